/** One job: how it stands, what can be done about it, and what there is of it. */

import { get } from "./api.js";
import { announce } from "./announce.js";
import { Checkpoint } from "./checkpoint.js";
import { Curve } from "./curve.js";
import { el, eachFrame, setText, show } from "./dom.js";
import { duration, extensionOf, isOver, jobName, rate } from "./format.js";
import { History } from "./history.js";
import { JobActions } from "./job-actions.js";
import { Children, Facts, LastWords, Warnings } from "./job-facts.js";
import { listen } from "./live.js";
import { Log } from "./log.js";
import { problem, ProgressBar, StateBadge } from "./parts.js";
import { RateMeter } from "./rate.js";
import { linkTo, setTitle, tellFailure } from "./router.js";
import { Soon } from "./soon.js";

export const jobView = {
  title: "Job",
  path: "/jobs/:id",
  open({ main, params, signal }) {
    const heading = el("h1", {}, "Job");
    const rest = el("div");
    main.append(heading, rest);
    const load = async () => {
      try {
        const status = await get(`jobs/${encodeURIComponent(params.id)}`, signal);
        // The heading moves to where the job is named, and with it the focus.
        const isFocused = document.activeElement === heading;
        const view = new JobView(status, heading, signal);
        setTitle(`${jobName(status.job)} ${status.job_id.slice(0, 8)}`);
        main.prepend(view.head);
        show(rest, view.node);
        if (isFocused) heading.focus({ preventScroll: true });
      } catch (error) {
        if (error.name === "AbortError") return;
        show(rest, problem(error, el("button", { type: "button", on: { click: load } }, "Try again")));
      }
    };
    load();
  },
};

class JobView {
  #status;
  #signal;
  #badge = new StateBadge();
  #bar;
  #rate = el("span");
  #left = el("span");
  #reason = el("p", { class: "reason-box", hidden: true });
  #parts;
  #meter = new RateMeter();
  #measured = null;
  #refreshSoon;
  #show = eachFrame(() => this.#render());
  #checkpoint;
  #curve;
  #history;
  #actions;

  constructor(status, heading, signal) {
    this.#status = status;
    this.#measured = status.rate;
    this.#signal = signal;
    const id = status.job_id;
    this.#bar = new ProgressBar("Progress");
    this.#actions = new JobActions(id, (changed, words) => this.#steered(changed, words), signal);
    this.#checkpoint = new Checkpoint(id, signal);
    this.#curve = new Curve(status, signal);
    this.#history = new History();
    const log = new Log(id, signal);
    const children = new Children(id, signal);
    this.#parts = [this.#actions, new Facts(status), new Warnings(), new LastWords(), children];
    const [, facts, warnings, lastWords] = this.#parts;
    setText(heading, jobName(status.job));
    const title = el("div", { class: "job-title" });
    this.head = el("div", { class: "job-head" },
      el("nav", { class: "crumbs", "aria-label": "Where this is" },
        el("a", { href: "#/jobs" }, "Jobs"), " / ",
        el("a", { href: linkTo("/jobs", { extension: extensionOf(status.job) }) }, extensionOf(status.job))),
      el("div", { class: "view-head" },
        title, this.#actions.node));
    title.append(heading, this.#badge.node, el("code", { class: "muted job-id" }, id));
    this.node = el("div", { class: "job" },
      el("div", { class: "card job-progress" }, this.#bar.node,
        el("p", { class: "pace" }, this.#rate, this.#left), this.#reason),
      lastWords.node, warnings.node,
      el("div", { class: "job-columns" },
        el("div", { class: "job-main" }, log.node, this.#curve.node, this.#history.node),
        el("div", { class: "job-side" }, facts.node, this.#checkpoint.node, children.node)));
    this.#refreshSoon = new Soon(300, () => this.#refresh(), signal);
    listen({
      event: (event) => event.job_id === id && this.#event(event),
      reset: () => this.#reset(),
    }, signal);
    const clock = setInterval(this.#show, 1_000);
    signal.addEventListener("abort", () => clearInterval(clock), { once: true });
    this.#render();
    this.#readHistory().catch(tellFailure);
    this.#checkpoint.refresh();
  }

  /** What happened before somebody looked; the curve and the list go on from there. */
  async #readHistory() {
    const { events, dropped } = await get(`jobs/${this.#status.job_id}/events?tail=500`, this.#signal);
    this.#history.start(events, dropped);
    this.#curve.start(events);
  }

  #event(event) {
    this.#curve.add(event);
    if (event.event === "progress") {
      const { progress, items, bytes } = event;
      const report = { ...this.#status.report, progress, items, bytes };
      this.#status = { ...this.#status, report };
      this.#meter.add(event.at, { items, bytes, fraction: progress?.fraction ?? 0 });
      this.#measured = this.#meter.get() ?? this.#measured;
      this.#show();
      return;
    }
    this.#history.add(event);
    if (event.event === "checkpoint") {
      this.#status = { ...this.#status, fuel_used: event.fuel_used ?? this.#status.fuel_used };
      this.#checkpoint.changed();
    } else if (event.event === "removed") {
      this.#take(null);
      return;
    } else if (isOver(event.event) || event.event === "paused") {
      // At once: the answer to who has cancelled it may come after this, and knows less.
      if (isOver(event.event)) this.#status = { ...this.#status, state: event.event, wanted: null };
      this.#show();
      announce(`The job is ${event.event}.`);
    }
    this.#refreshSoon.ask();
  }

  #reset() {
    this.#readHistory().catch(tellFailure);
    this.#refreshSoon.ask();
    this.#checkpoint.changed();
  }

  async #refresh() {
    try {
      this.#take(await get(`jobs/${this.#status.job_id}`, this.#signal));
    } catch (error) {
      if (error.code === "unknown_job") this.#take(null);
      else throw error;
    }
  }

  /** What came of a wish. The answer may come after the news of what became of it. */
  #steered(status, words) {
    if (!isOver(this.#status.state)) {
      this.#take(status);
      if (status.wanted || status.state === "queued") announce(words);
    }
    this.#refreshSoon.ask();
  }

  /** How the job stands now; null where it is gone. */
  #take(status) {
    if (status === null) {
      show(this.head, el("h1", { tabindex: -1 }, "Job removed"));
      show(this.node, el("p", {}, "Nothing is kept of this job any more. ", el("a", { href: "#/jobs" }, "To the jobs")));
      return;
    }
    if (status.state !== this.#status.state) this.#meter.clear();
    // An answer that was under way while the job went on knows less than what was told since.
    if (status.report.items < this.#status.report.items && status.state === "running") {
      status.report = { ...status.report, progress: this.#status.report.progress, items: this.#status.report.items };
    }
    this.#measured = status.rate ?? this.#measured;
    this.#status = status;
    this.#show();
  }

  #render() {
    const status = this.#status;
    this.#badge.update(status);
    this.#bar.update(status);
    const moves = status.state === "running";
    setText(this.#rate, moves ? rate(this.#measured) : "");
    const left = moves && this.#measured?.left_ms ? `${duration(this.#measured.left_ms)} left` : "";
    setText(this.#left, left);
    setText(this.#reason, status.reason ?? "");
    this.#reason.hidden = !status.reason;
    this.#reason.setAttribute("data-state", status.state);
    for (const part of this.#parts) part.update?.(status);
  }
}
