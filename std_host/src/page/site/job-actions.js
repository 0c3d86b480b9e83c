/** What can be done about a job. */

import { post, remove, request } from "./api.js";
import { alertUser, announce } from "./announce.js";
import { ask } from "./confirm.js";
import { download } from "./download.js";
import { el } from "./dom.js";
import { isOver } from "./format.js";
import { problem } from "./parts.js";
import { navigate } from "./router.js";

export class JobActions {
  #id;
  #changed;
  #signal;
  #problem = el("div");
  #buttons;

  /** `changed` is called with how the job stands after what was done, and with words for it. */
  constructor(id, changed, signal) {
    this.#id = id;
    this.#changed = changed;
    this.#signal = signal;
    const button = (word, work, style) =>
      el("button", { type: "button", class: style ?? null, on: { click: (event) => this.#do(event.currentTarget, work) } }, word);
    this.#buttons = {
      pause: button("Pause", () => this.#steer("pause", "The job is asked to pause.")),
      resume: button("Resume", () => this.#steer("resume", "The job goes on."), "primary"),
      cancel: button("Cancel", () => this.#cancel()),
      export: button("Export", () => this.#export()),
      remove: button("Remove", () => this.#remove()),
    };
    this.node = el("div", { class: "job-actions" },
      el("div", { class: "actions", role: "group", "aria-label": "This job" }, Object.values(this.#buttons)), this.#problem);
  }

  update({ state, wanted }) {
    const { pause, resume, cancel, remove: removing } = this.#buttons;
    const over = isOver(state);
    const hidden = new Map([
      [pause, over || state === "paused" || wanted !== null],
      [resume, state !== "paused" && wanted !== "pause"],
      [cancel, over || wanted === "cancel"],
      [removing, !over && state !== "paused"],
    ]);
    const lost = hidden.get(document.activeElement);
    for (const [button, isHidden] of hidden) button.hidden = isHidden;
    // Whoever pressed a button that is gone goes on at the one in its place.
    if (lost) [resume, pause, removing, this.#buttons.export].find((button) => !button.hidden)?.focus();
  }

  async #do(button, work) {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    this.#problem.replaceChildren();
    try {
      await work();
    } catch (error) {
      if (error.name !== "AbortError") this.#problem.replaceChildren(problem(error));
    }
    button.removeAttribute("aria-disabled");
  }

  async #steer(wish, words) {
    this.#changed(await post(`jobs/${this.#id}/${wish}`, undefined, this.#signal), words);
  }

  async #cancel() {
    const sure = await ask("Cancel this job?", "It stops and does not go on again. What it has logged is kept.", "Cancel the job");
    if (sure) await this.#steer("cancel", "The job is asked to stop.");
  }

  async #export() {
    const response = await request(`jobs/${this.#id}/bundle?extension=1`, { signal: this.#signal });
    download(await response.blob(), `${this.#id}.bundle`);
    announce("The bundle of the job is downloaded.");
  }

  async #remove() {
    const sure = await ask("Remove this job?", "Its log, its events and its checkpoint are deleted.", "Remove the job");
    if (!sure) return;
    await remove(`jobs/${this.#id}`, this.#signal);
    navigate("#/jobs");
    alertUser("The job is removed.");
  }
}
