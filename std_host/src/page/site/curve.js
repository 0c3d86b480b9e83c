/** What a job has done over time: its points, from its events, and which of its counts is drawn. */

import { Chart } from "./chart.js";
import { el, eachFrame, newId, section } from "./dom.js";
import { brief, bytes, count, percent } from "./format.js";

/** Points that are kept. Where there are more, every second one of them goes, so that all of the time stays in view. */
const KEPT = 400;

const COUNTS = {
  items: { word: "Items", of: (point) => point.items, axis: brief, full: count },
  bytes: { word: "Bytes", of: (point) => point.bytes, axis: bytes, full: bytes },
  fuel: { word: "Fuel", of: (point) => point.fuel, axis: brief, full: count },
  fraction: { word: "Progress", of: (point) => point.fraction, axis: percent, full: percent },
};

export class Curve {
  #points = [];
  #apart = 0;
  #chart = new Chart();
  #choice;
  #waiting = [];
  #started = false;
  #show = eachFrame(() => this.#render());

  constructor(status, signal) {
    const id = newId("curve");
    this.#choice = el("select", { id, on: { change: this.#show } },
      Object.entries(COUNTS).map(([value, { word }]) => el("option", { value }, word)));
    this.node = section("Over time", { class: "card curve" });
    this.node.append(
      el("div", { class: "part-head" }, this.node.querySelector("h2"),
        el("div", { class: "field inline" }, el("label", { for: id }, "Show"), this.#choice)),
      this.#chart.node);
    if (status.started_at) {
      // Where it started: nothing was done yet.
      this.#points.push({ at: status.started_at, items: 0, bytes: 0, fuel: 0, fraction: 0 });
    }
    const resized = new ResizeObserver(this.#show);
    resized.observe(this.#chart.node);
    signal.addEventListener("abort", () => resized.disconnect(), { once: true });
  }

  /** Takes what happened before; what was told in the meantime comes behind. */
  start(events) {
    if (!this.#started) {
      this.#started = true;
      for (const event of [...events, ...this.#waiting.splice(0)]) this.#take(event);
    } else {
      for (const event of events) this.#take(event);
    }
    this.#show();
  }

  add(event) {
    if (!this.#started) this.#waiting.push(event);
    else if (this.#take(event)) this.#show();
  }

  #take(event) {
    if (event.items === undefined && event.fuel_used === undefined) return false;
    const last = this.#points.at(-1);
    if (last && event.at < last.at) return false;
    const point = {
      at: event.at,
      items: event.items ?? last?.items ?? 0,
      bytes: event.bytes ?? last?.bytes ?? 0,
      fuel: event.fuel_used ?? last?.fuel ?? 0,
      fraction: event.progress?.fraction ?? last?.fraction ?? 0,
    };
    // The newest point moves on until it is far enough from the one before it.
    const before = this.#points.at(-2);
    if (before && last.at - before.at < this.#apart) this.#points.pop();
    this.#points.push(point);
    if (this.#points.length > KEPT) this.#thin();
    return true;
  }

  #thin() {
    const last = this.#points.length - 1;
    this.#points = this.#points.filter((_, index) => index % 2 === 0 || index === last);
    this.#apart = (this.#points.at(-1).at - this.#points[0].at) / KEPT;
  }

  #render() {
    const chosen = COUNTS[this.#choice.value];
    const points = this.#points.map((point) => ({ at: point.at, value: chosen.of(point) }));
    this.#chart.draw(points, chosen);
  }
}
