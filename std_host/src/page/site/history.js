/** What happened to a job. */

import { el, eachFrame, section, setText, show } from "./dom.js";
import { clock, count, dateTime } from "./format.js";

/** Entries that are kept on the page. */
const KEPT = 200;

export class History {
  #list = el("ol", { class: "events", reversed: true });
  #note = el("p", { class: "muted" });
  #entries = [];
  #changed = new Set();
  #last = 0;
  #dropped = 0;
  #waiting = [];
  #started = false;
  #show = eachFrame(() => this.#render());

  constructor() {
    this.node = section("Events", { class: "card" }, this.#list, this.#note);
  }

  /** What happened before; those that were told in the meantime come behind. */
  start(events, dropped) {
    this.#entries = [];
    this.#changed.clear();
    show(this.#list);
    this.#last = 0;
    this.#dropped = dropped;
    this.#started = true;
    for (const event of [...events, ...this.#waiting.splice(0)]) this.#take(event);
    this.#show();
  }

  add(event) {
    if (!this.#started) this.#waiting.push(event);
    else {
      this.#take(event);
      this.#show();
    }
  }

  /** Checkpoints that follow each other become one entry. */
  #take(event) {
    if (event.seq <= this.#last) return;
    this.#last = event.seq;
    let entry = this.#entries.at(-1);
    if (event.event === "checkpoint" && entry?.event.event === "checkpoint") {
      entry.event = event;
      entry.times += 1;
    } else {
      entry = { event, times: 1, node: null };
      this.#entries.push(entry);
    }
    this.#changed.add(entry);
  }

  #render() {
    for (const entry of this.#changed) {
      const node = row(entry);
      if (entry.node?.isConnected) entry.node.replaceWith(node);
      else this.#list.prepend(node);
      entry.node = node;
    }
    this.#changed.clear();
    for (const { node } of this.#entries.splice(0, this.#entries.length - KEPT)) node.remove();
    const [first] = this.#entries;
    const before = first ? first.event.seq - first.times : 0;
    setText(this.#note, before > 0 ? `${count(before)} before them are not shown${this.#lost()}.` : "");
  }

  #lost() {
    return this.#dropped > 0 ? `; ${count(this.#dropped)} of those are not kept any more` : "";
  }
}

function row({ event, times }) {
  const [word, more] = words(event, times);
  return el("li", { "data-event": event.event },
    el("time", { datetime: new Date(event.at).toISOString(), title: dateTime(event.at) }, clock(event.at)), " ",
    el("span", { class: "event-word" }, word), " ", more && el("span", { class: "event-more" }, more));
}

function words(event, times) {
  switch (event.event) {
    case "queued": return ["Queued", null];
    case "running": return ["Running", event.attempt > 1 ? `attempt ${event.attempt}` : null];
    case "checkpoint": return times > 1
      ? [`${count(times)} checkpoints`, `up to number ${count(event.sequence)}`]
      : ["Checkpoint", `number ${count(event.sequence)}`];
    case "warning": return ["Warning", event.text];
    case "paused": return ["Paused", event.reason];
    case "retry": return [`Failed, attempt ${event.attempt} follows`, event.error];
    case "upgraded": return ["Upgraded", `to version ${event.version}`];
    case "completed": return ["Completed", null];
    case "failed": return ["Failed", event.error];
    case "cancelled": return ["Cancelled", null];
    default: return [event.event, null];
  }
}
