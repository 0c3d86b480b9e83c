/** The newest state of a job, as far as it is JSON. */

import { getText } from "./api.js";
import { el, section, setText, show } from "./dom.js";
import { download } from "./download.js";
import { bytes, count } from "./format.js";
import { parseJson, writeJson } from "./json.js";
import { openBranches, tree } from "./tree.js";
import { tellFailure } from "./router.js";
import { Soon } from "./soon.js";

/** States above this are only shown once somebody asks. */
const LARGE = 200_000;

export class Checkpoint {
  #id;
  #signal;
  #place = el("div", { class: "json-tree" });
  #note = el("p", { class: "muted" });
  #tools = el("div", { class: "actions" });
  #soon;
  #shown = null;
  #newest = null;

  constructor(id, signal) {
    this.#id = id;
    this.#signal = signal;
    this.#soon = new Soon(1_000, () => this.#load(), signal);
    this.node = section("State", { class: "card" }, this.#note, this.#place, this.#tools);
  }

  /** That there is a newer one. */
  changed() {
    this.#soon.ask();
  }

  refresh() {
    this.#load().catch(tellFailure);
  }

  async #load() {
    let answer;
    try {
      answer = parseJson(await getText(`jobs/${this.#id}/checkpoint`, this.#signal));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!["no_checkpoint", "unknown_job"].includes(error.code)) setText(this.#note, error.message);
      else if (this.#shown === null) setText(this.#note, "None yet.");
      return;
    }
    this.#newest = answer;
    const { sequence, bytes: size } = answer;
    setText(this.#note, sequence ? `Checkpoint ${count(sequence)}, ${bytes(size)}` : `As it was dispatched, ${bytes(size)}`);
    if (answer.base64 === this.#shown) return;
    this.#shown = answer.base64;
    this.#render(answer);
  }

  #render({ json, bytes: size }) {
    const isJson = json !== undefined && (json !== null || atob(this.#newest.base64).trim() === "null");
    if (size === 0) show(this.#place, el("p", {}, "Nothing: the job takes its defaults."));
    else if (!isJson) show(this.#place, el("p", {}, "It is no JSON, so only the job itself can read it."));
    else if (size > LARGE) {
      const button = el("button", { type: "button", on: { click: () => show(this.#place, tree(json)) } }, "Show it");
      show(this.#place, el("p", {}, "It is large."), button);
    } else show(this.#place, tree(json, openBranches(this.#place)));
    show(this.#tools, size > 0 && el("button", { type: "button", class: "small", on: { click: () => this.#save(isJson) } }, "Save"));
  }

  #save(isJson) {
    const { base64, json } = this.#newest;
    const raw = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const blob = isJson ? new Blob([writeJson(json)], { type: "application/json" }) : new Blob([raw]);
    download(blob, `${this.#id}.${isJson ? "json" : "state"}`);
  }
}
