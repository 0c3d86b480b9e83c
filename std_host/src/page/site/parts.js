/** Small parts that several views show. */

import { ApiError } from "./api.js";
import { el, setAttribute, setText, show } from "./dom.js";
import { ago, dateTime, percent, progressWords } from "./format.js";

/** The word for a job's state, with a mark of its own, so that nobody has to tell colours apart. */
export class StateBadge {
  node = el("span", { class: "state" });

  update(status) {
    setAttribute(this.node, "data-state", status.state);
    setText(this.node, words(status));
  }
}

function words({ state, wanted, retry_at: retryAt, sleeps_until: sleepsUntil }) {
  if (wanted) return wanted === "pause" ? "pausing" : "cancelling";
  if (state === "queued" && retryAt) return "to retry";
  if (state === "running" && sleepsUntil && sleepsUntil > Date.now()) return "asleep";
  return state;
}

/** How far a job is, as a bar and in words. */
export class ProgressBar {
  #fill = el("div", { class: "bar-fill" });
  #bar;
  #percent = el("span", { class: "percent", "aria-hidden": "true" });
  #words = el("span", { class: "progress-words" });

  constructor(label) {
    this.#bar = el("div", {
      role: "progressbar", class: "bar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100,
    }, this.#fill);
    this.node = el("div", { class: "progress" }, this.#bar, this.#percent, this.#words);
  }

  update({ state, report: { progress } }) {
    // Done is done, whether or not the job told the last of it.
    const fraction = state === "completed" ? 1 : progress?.fraction;
    setAttribute(this.#bar, "data-state", state);
    if (fraction === undefined) {
      // Without a value it says that nobody knows.
      setAttribute(this.#bar, "aria-valuenow", null);
      setAttribute(this.#bar, "aria-valuetext", "not told");
      this.#fill.style.setProperty("transform", "scaleX(0)");
      setText(this.#percent, "");
    } else {
      setAttribute(this.#bar, "aria-valuenow", Math.floor(fraction * 1_000) / 10);
      setAttribute(this.#bar, "aria-valuetext", percent(fraction));
      this.#fill.style.setProperty("transform", `scaleX(${fraction})`);
      setText(this.#percent, percent(fraction));
    }
    const said = progressWords(progress);
    setText(this.#words, said);
    setAttribute(this.#words, "title", said || null);
  }
}

/** A time as how long ago it is, with all of it for who points at it. */
export class Ago {
  node = el("time");
  #at = null;

  update(at) {
    if (at !== this.#at) {
      this.#at = at;
      setAttribute(this.node, "datetime", at === null ? null : new Date(at).toISOString());
      setAttribute(this.node, "title", at === null ? null : dateTime(at));
    }
    setText(this.node, at === null ? "" : ago(at));
  }
}

/** What the server says of something that it did not do, with what to do where that is known. */
export function problem(error, more) {
  const help = error instanceof ApiError ? HELP[error.code] : null;
  return el("div", { class: "problem", role: "alert" },
    el("p", {}, error.message), help && el("p", { class: "help" }, help), more);
}

const HELP = {
  not_running: "Start `toehold serve` on this data folder; the job goes on then.",
  store_full: "Remove jobs that are over, or give the store more room with --max-store-bytes.",
  untrusted: "This server takes only what its trusted keys have signed. Ask whoever runs it, or sign the package.",
  extension_in_use: "Cancel its jobs first, or wait until they are over.",
  no_module: "Export the bundle again with its extension, or install that extension here first.",
  job_exists: "To take it over anew, remove the job that is here first.",
  read_only: "Stop the process that has the data folder, or ask that one.",
};

/** A place that says that something is being loaded, has failed with a button to try again, or shows it. */
export class Loading {
  node = el("div", { class: "loading" });

  /** Shows what `load` brings by `render`; what it fails with otherwise. */
  async run(load, render) {
    // What is there quickly needs no word.
    const timer = setTimeout(() => show(this.node, el("p", { class: "muted" }, "Loading…")), 300);
    try {
      const loaded = await load();
      clearTimeout(timer);
      show(this.node, render(loaded));
    } catch (error) {
      clearTimeout(timer);
      if (error.name === "AbortError") return;
      const again = el("button", { type: "button", on: { click: () => this.run(load, render) } }, "Try again");
      show(this.node, problem(error, again));
    }
  }
}

/** A term and what there is to say of it, in a list of such. */
export function fact(term, value, attributes) {
  const detail = el("dd", attributes, value);
  return [el("dt", {}, term), detail];
}
