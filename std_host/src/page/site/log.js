/** What a job logs, as it logs it: the last lines of it. */

import { el, eachFrame, section, setText, show } from "./dom.js";
import { clock, count, dateTime } from "./format.js";
import { follow } from "./stream.js";

/** Lines that are kept on the page. */
const KEPT = 2_000;
/** How near to its end a log counts as read to its end. */
const NEAR = 24;

export class Log {
  #lines = el("ol", { class: "log-lines" });
  #box;
  #note = el("p", { class: "muted log-note" });
  #following;
  #isFollowing = true;
  #waiting = [];
  #shown = 0;
  #show = eachFrame(() => this.#append());

  constructor(id, signal) {
    // No live region: a log that is read out while it grows drowns all else. Who wants to hear it goes there.
    this.#box = el("div", { class: "log", tabindex: 0, role: "group", "aria-label": "Log lines" }, this.#lines);
    this.#following = el("button", { type: "button", class: "small", "aria-pressed": "true", on: { click: () => this.#toggle() } },
      "Follow");
    this.node = section("Log", { class: "card log-card" }, this.#box);
    const heading = this.node.querySelector("h2");
    this.node.prepend(el("div", { class: "part-head" }, heading, this.#note, this.#following));
    this.#box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    show(this.#lines, el("li", { class: "muted nothing" }, "Nothing yet."));
    follow(`jobs/${id}/logs?follow=1&tail=${KEPT}`, {
      open: () => {},
      event: ({ data }) => this.#take(JSON.parse(data)),
      lost: () => {},
      ended: (error) => this.#ended(error),
    }, signal);
  }

  #take(line) {
    this.#waiting.push(line);
    if (this.#waiting.length > KEPT) this.#waiting.shift();
    this.#show();
  }

  #append() {
    if (this.#shown === 0) show(this.#lines);
    const lines = this.#waiting.splice(0);
    this.#lines.append(...lines.map(row));
    this.#shown += lines.length;
    const over = this.#lines.childElementCount - KEPT;
    const heightBefore = this.#box.scrollHeight;
    for (let index = 0; index < over; index += 1) this.#lines.firstElementChild.remove();
    if (this.#isFollowing) this.#box.scrollTop = this.#box.scrollHeight;
    // What is being read stays where it is while older lines go.
    else if (over > 0) this.#box.scrollTop -= heightBefore - this.#box.scrollHeight;
    const before = Number(this.#lines.firstElementChild.dataset.line) - 1;
    setText(this.#note, before > 0 ? `The last ${count(KEPT)} lines; ${count(before)} before them are not shown.` : "");
  }

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.#box;
    this.#setFollowing(scrollHeight - scrollTop - clientHeight < NEAR);
  }

  #toggle() {
    this.#setFollowing(!this.#isFollowing);
    if (this.#isFollowing) this.#box.scrollTop = this.#box.scrollHeight;
  }

  #setFollowing(isFollowing) {
    this.#isFollowing = isFollowing;
    this.#following.setAttribute("aria-pressed", String(isFollowing));
  }

  #ended(error) {
    // Nothing comes any more that could be followed.
    this.#following.hidden = error === null;
    if (error !== null && error.code !== "unknown_job") setText(this.#note, error.message);
    else if (this.#shown === 0 && this.#waiting.length === 0) {
      show(this.#lines, el("li", { class: "muted nothing" }, "It logged nothing."));
    }
  }
}

function row({ seq, at, level, text }) {
  return el("li", { class: "log-line", "data-level": level, "data-line": seq },
    el("time", { datetime: new Date(at).toISOString(), title: dateTime(at) }, clock(at)), " ",
    el("span", { class: "level" }, level), " ",
    el("span", { class: "log-text" }, text));
}
