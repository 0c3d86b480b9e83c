/** Work that is asked for often and done seldom: not before `ms` have passed, and one at a time. */

import { tellFailure } from "./router.js";

export class Soon {
  #ms;
  #work;
  #signal;
  #timer = null;
  #busy = false;
  #again = false;

  constructor(ms, work, signal) {
    this.#ms = ms;
    this.#work = work;
    this.#signal = signal;
    signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
  }

  /** It is done soon, once for all who asked. */
  ask() {
    if (this.#busy) this.#again = true;
    else if (this.#timer === null) this.#timer = setTimeout(() => this.#run(), this.#ms);
  }

  async #run() {
    this.#timer = null;
    this.#busy = true;
    try {
      await this.#work();
    } catch (error) {
      tellFailure(error);
    }
    this.#busy = false;
    if (this.#again && !this.#signal.aborted) {
      this.#again = false;
      this.ask();
    }
  }
}
