/** How fast a job is, by what it told over the last seconds: as the server reckons it, between two answers of it. */

const WINDOW = 10_000;
const APART = 200;

export class RateMeter {
  #samples = [];

  /** What a job told at a time. */
  add(at, { items, bytes, fraction }) {
    const last = this.#samples.at(-1);
    if (last && at - last.at < APART) return;
    this.#samples.push({ at, items, bytes, fraction });
    while (this.#samples.length > 2 && at - this.#samples[0].at > WINDOW) this.#samples.shift();
  }

  /** Forgets all, as where a job starts again from an earlier state. */
  clear() {
    this.#samples = [];
  }

  /** As the server writes a rate; null where nobody knows yet. */
  get() {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    const seconds = last ? (last.at - first.at) / 1_000 : 0;
    if (seconds <= 0) return null;
    const moved = (last.fraction - first.fraction) / seconds;
    return {
      items_per_second: Math.max(0, last.items - first.items) / seconds,
      bytes_per_second: Math.max(0, last.bytes - first.bytes) / seconds,
      left_ms: moved > 0 ? ((1 - last.fraction) / moved) * 1_000 : null,
    };
  }
}
