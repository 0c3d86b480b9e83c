/** What there is to know of a job, in lists. */

import { get, withQuery } from "./api.js";
import { el, section, setText, show } from "./dom.js";
import { bytes, count, counted, dateTime, duration } from "./format.js";
import { listen } from "./live.js";
import { fact, StateBadge } from "./parts.js";
import { linkTo } from "./router.js";
import { Soon } from "./soon.js";

/** Counts, times, and where it comes from. */
export class Facts {
  #values = new Map();

  constructor(status) {
    const list = el("dl", { class: "facts" });
    for (const [term, , code] of FACTS) {
      const [name, value] = fact(term, "", code ? { class: "mono" } : undefined);
      this.#values.set(term, { name, value });
      list.append(name, value);
    }
    if (status.parent) {
      list.append(...fact("Dispatched by", el("a", { href: linkTo(`/jobs/${status.parent}`), class: "mono" }, status.parent.slice(0, 8))));
    }
    this.node = section("Details", { class: "card" }, list);
  }

  update(status) {
    for (const [term, words] of FACTS) {
      const text = words(status);
      const { name, value } = this.#values.get(term);
      name.hidden = value.hidden = text === "";
      setText(value, text);
    }
  }
}

/** What it is called, what to say of it, and whether that is for machines. */
const FACTS = [
  ["Items", ({ report }) => count(report.items)],
  ["Bytes", ({ report }) => (report.bytes > 0 ? bytes(report.bytes) : "")],
  ["Fuel", (status) => count(status.fuel_used)],
  ["Checkpoints", ({ report }) => count(report.checkpoints)],
  ["Log lines", ({ report }) => count(report.log_lines) + dropped(report.log_lines_dropped)],
  ["Refused values", ({ report }) => (report.refused > 0 ? count(report.refused) : "")],
  ["Attempt", (status) => `${status.attempt} of ${status.attempts}`],
  ["Next attempt", (status) => (status.retry_at ? dateTime(status.retry_at) : "")],
  ["Asleep until", (status) => (status.sleeps_until ? dateTime(status.sleeps_until) : "")],
  ["Priority", (status) => status.priority],
  ["Dispatched", (status) => dateTime(status.created_at)],
  ["Started", (status) => (status.started_at ? dateTime(status.started_at) : "")],
  ["Ended", (status) => (status.ended_at ? dateTime(status.ended_at) : "")],
  ["Took", took],
  ["Library", (status) => status.library ?? "", true],
  ["Module", (status) => status.module.slice(0, 16), true],
];

function took({ started_at: started, ended_at: ended }) {
  return started && ended ? duration(ended - started) : "";
}

function dropped(number) {
  return number > 0 ? `, ${count(number)} dropped` : "";
}

/** What it told of issues that did not stop it. */
export class Warnings {
  #shown = 0;
  #list = el("ul", { class: "warnings" });
  #more = el("p", { class: "muted" });
  #title;

  constructor() {
    this.node = section("Warnings", { class: "card warned", hidden: true }, this.#list, this.#more);
    this.#title = this.node.querySelector("h2");
  }

  update({ report: { warnings, warnings_dropped: more } }) {
    this.node.hidden = warnings.length === 0;
    if (warnings.length < this.#shown) {
      show(this.#list);
      this.#shown = 0;
    }
    for (const text of warnings.slice(this.#shown)) this.#list.append(el("li", {}, text));
    this.#shown = warnings.length;
    setText(this.#title, counted(warnings.length + more, "warning"));
    setText(this.#more, more > 0 ? `${counted(more, "warning")} more were over the limit of this server and are not kept.` : "");
  }
}

/** What is left to say of one that failed. */
export class LastWords {
  #shown = null;

  constructor() {
    this.node = section("Last words", { class: "card failed", hidden: true });
  }

  update({ last_words: words }) {
    this.node.hidden = !words;
    const text = JSON.stringify(words);
    if (!words || text === this.#shown) return;
    this.#shown = text;
    show(this.node, this.node.querySelector("h2"),
      el("p", { class: "cause" }, words.cause),
      el("dl", { class: "facts" },
        words.last_error && fact("Last error", words.last_error),
        fact("Memory", bytes(words.memory_bytes))),
      words.log_tail.length > 0 && el("ol", { class: "last-log" },
        words.log_tail.map(({ text: line }) => el("li", { class: "mono" }, line))));
  }
}

/** Jobs that it dispatched. */
export class Children {
  #id;
  #signal;
  /** By their ids: what shows how each stands. */
  #badges = new Map();
  #list = el("ul", { class: "children" });
  #more = el("p", { class: "muted", hidden: true }, "These are the newest 20.");
  #soon;

  constructor(id, signal) {
    this.#id = id;
    this.#signal = signal;
    this.#soon = new Soon(500, () => this.#load(), signal);
    this.node = section("Jobs that it dispatched", { class: "card", hidden: true }, this.#list, this.#more);
    this.#load();
    listen({ event: (event) => this.#event(event), reset: () => this.#soon.ask() }, signal);
  }

  #event({ job_id: id, event }) {
    // Nobody tells whose child a new job is.
    if (event === "queued" || (this.#badges.has(id) && event !== "progress")) this.#soon.ask();
  }

  async #load() {
    try {
      const { jobs, next } = await get(withQuery("jobs", { parent: this.#id, limit: 20 }), this.#signal);
      this.#show(jobs, next !== null);
    } catch {
      // The rest of the view says it where the server is gone.
    }
  }

  #show(jobs, hasMore) {
    this.node.hidden = jobs.length === 0;
    this.#more.hidden = !hasMore;
    const ids = jobs.map((status) => status.job_id);
    // What stays where it is keeps the focus that it may have.
    if (ids.join() !== [...this.#badges.keys()].join()) {
      this.#badges = new Map(ids.map((id) => [id, new StateBadge()]));
      show(this.#list, jobs.map(({ job_id: id, job }) => el("li", {}, this.#badges.get(id).node, " ",
        el("a", { href: linkTo(`/jobs/${id}`) }, job, " ", el("span", { class: "mono" }, id.slice(0, 8))))));
    }
    for (const status of jobs) this.#badges.get(status.job_id).update(status);
  }
}
