/** A job in the list. */

import { el, setText } from "./dom.js";
import { duration, extensionOf, isOver, jobName, rate } from "./format.js";
import { Ago, ProgressBar, StateBadge } from "./parts.js";
import { RateMeter } from "./rate.js";
import { linkTo } from "./router.js";

export class JobRow {
  #badge = new StateBadge();
  #bar;
  #rate = el("td", { class: "rate", role: "cell" });
  #left = el("td", { class: "left", role: "cell" });
  #since = new Ago();
  #reason = el("span", { class: "reason" });
  #meter = new RateMeter();

  constructor(status) {
    const id = status.job_id.slice(0, 8);
    this.#bar = new ProgressBar(`Progress of ${status.job} ${id}`);
    const link = el("a", { href: linkTo(`/jobs/${status.job_id}`), class: "job-link" }, jobName(status.job));
    this.node = el("tr", { role: "row", "data-job": status.job_id },
      el("td", { class: "state-cell", role: "cell" }, this.#badge.node),
      el("td", { class: "name", role: "cell" }, link,
        el("span", { class: "under" }, extensionOf(status.job), " ", el("span", { class: "mono" }, id))),
      el("td", { class: "progress-cell", role: "cell" }, this.#bar.node, this.#reason),
      this.#rate,
      this.#left,
      el("td", { class: "since", role: "cell" }, this.#since.node));
    this.update(status);
  }

  /** How the job stands, as the server tells it. */
  update(status) {
    this.status = status;
    this.#show(status.rate);
  }

  /** That it told how far it is. */
  progress({ at, progress, items, bytes }) {
    const report = { ...this.status.report, progress, items, bytes };
    this.status = { ...this.status, report };
    this.#meter.add(at, { items, bytes, fraction: progress?.fraction ?? 0 });
    this.#show(this.#meter.get() ?? this.status.rate);
  }

  /** Lets time go by. */
  tick() {
    this.#since.update(this.status.created_at);
  }

  #show(measured) {
    const { status } = this;
    const moves = status.state === "running";
    this.#badge.update(status);
    this.#bar.update(status);
    setText(this.#reason, status.reason ?? "");
    this.#reason.hidden = !status.reason;
    setText(this.#rate, moves ? rate(measured) : "");
    setText(this.#left, this.#leftWords(moves, measured));
    this.tick();
  }

  #leftWords(moves, measured) {
    const { started_at: started, ended_at: ended, state } = this.status;
    if (isOver(state)) return started && ended ? `took ${duration(ended - started)}` : "";
    return moves && measured?.left_ms ? `${duration(measured.left_ms)} left` : "";
  }
}
