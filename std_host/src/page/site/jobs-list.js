/** All jobs, a page of them at a time, which follows what happens. */

import { get, withQuery } from "./api.js";
import { announce } from "./announce.js";
import { el, setAttribute, setText, show } from "./dom.js";
import { count, counted, STATES } from "./format.js";
import { JobRow } from "./job-row.js";
import { listen } from "./live.js";
import { problem } from "./parts.js";
import { linkTo, replaceQuery, tellFailure } from "./router.js";
import { Soon } from "./soon.js";

const PAGE = 50;
const COLUMNS = ["State", "Job", "Progress", "Rate", "Time", "Dispatched"];

export const jobsView = {
  title: "Jobs",
  path: "/jobs",
  open({ main, query, signal }) {
    const list = new JobsList(query, signal);
    main.append(list.node);
    return (changed) => list.changeQuery(changed);
  },
};

class JobsList {
  #query;
  #signal;
  #rows = new Map();
  #page = { first: null, next: null };
  #body = el("tbody", { role: "rowgroup" });
  #message = el("div", { class: "empty" });
  #total = el("p", { class: "muted", id: "list-total" });
  #older = el("a", { class: "button" }, "Older");
  #newer = el("a", { class: "button" }, "Newer");
  #tabs = new Map();
  #extension = el("select", { id: "filter-extension" }, el("option", { value: "" }, "All"));
  #find = el("input", { id: "filter-find", type: "search", autocomplete: "off", spellcheck: "false" });
  #reloadSoon;
  #countSoon;
  #recountSoon;
  #changed = new Set();
  #refreshSoon;
  #loads = 0;

  constructor(query, signal) {
    this.#query = query;
    this.#signal = signal;
    this.#reloadSoon = new Soon(500, () => this.#load(), signal);
    this.#countSoon = new Soon(1_000, () => this.#count(), signal);
    // That a job runs is written with whatever is written of it next, which nobody tells.
    this.#recountSoon = new Soon(5_000, () => this.#count(), signal);
    this.#refreshSoon = new Soon(400, () => this.#refresh(), signal);
    this.node = this.#build();
    this.#showQuery();
    this.#load().catch(tellFailure);
    this.#count().catch(tellFailure);
    this.#extensions().catch(tellFailure);
    listen({ event: (event) => this.#event(event), reset: () => this.#reset() }, signal);
    const clock = setInterval(() => this.#rows.forEach((row) => row.tick()), 1_000);
    signal.addEventListener("abort", () => clearInterval(clock), { once: true });
  }

  /** Another filter or page. */
  changeQuery(query) {
    this.#query = query;
    this.#showQuery();
    this.#load().then(() => announce(this.#total.textContent)).catch(tellFailure);
  }

  #build() {
    const tab = (state) => {
      const number = el("span", { class: "number" });
      const link = el("a", { "data-state": state }, state ? state[0].toUpperCase() + state.slice(1) : "All", " ", number);
      this.#tabs.set(state, { link, number });
      return el("li", {}, link);
    };
    const typed = new Soon(250, () => this.#filter(), this.#signal);
    this.#find.addEventListener("input", () => typed.ask());
    this.#extension.addEventListener("change", () => this.#filter());
    return el("div", { class: "jobs" },
      el("div", { class: "view-head" }, el("h1", {}, "Jobs"),
        el("a", { class: "button primary", href: "#/dispatch" }, "Dispatch a job")),
      el("nav", { "aria-label": "Jobs by state", class: "tabs" }, el("ul", {}, ["", ...STATES].map(tab))),
      el("form", { class: "filters", role: "search", "aria-label": "Jobs", on: { submit: (event) => event.preventDefault() } },
        el("div", { class: "field" }, el("label", { for: "filter-extension" }, "Extension"), this.#extension),
        el("div", { class: "field grow" }, el("label", { for: "filter-find" }, "Name or id starts with"), this.#find)),
      el("div", { class: "card" },
        el("table", { class: "job-table", role: "table", "aria-label": "Jobs" },
          el("thead", { role: "rowgroup" }, el("tr", { role: "row" },
            COLUMNS.map((name) => el("th", { scope: "col", role: "columnheader" }, name)))),
          this.#body),
        this.#message),
      el("nav", { class: "pager", "aria-label": "Pages" }, this.#total, this.#newer, this.#older));
  }

  #showQuery() {
    const { state = "", extension = "", find = "", after } = this.#query;
    for (const [name, { link }] of this.#tabs) {
      setAttribute(link, "href", linkTo("/jobs", { state: name, extension, find }));
      setAttribute(link, "aria-current", name === state ? "page" : null);
    }
    if (this.#find.value.trim() !== find) this.#find.value = find;
    this.#chooseExtension(extension);
    this.#newer.hidden = after === undefined;
    // Until it is known where that page starts.
    setAttribute(this.#newer, "href", null);
  }

  #chooseExtension(id) {
    const known = [...this.#extension.options].some((option) => option.value === id);
    if (!known) this.#extension.append(el("option", { value: id }, id));
    this.#extension.value = id;
  }

  #filter() {
    replaceQuery({ state: this.#query.state, extension: this.#extension.value, find: this.#find.value.trim() });
  }

  /** The query as the server takes it. */
  #asked(more) {
    const { state, extension, find = "" } = this.#query;
    if (/^[0-9a-f-]{4,36}$/i.test(find)) return { id_prefix: find, limit: PAGE };
    // A name without its extension is one of the extension that is chosen.
    const job = find && extension && !find.includes(":") ? `${extension}:${find}` : find;
    return { state, extension, job, limit: PAGE, ...more };
  }

  async #load() {
    this.#loads += 1;
    const load = this.#loads;
    try {
      const { jobs, next } = await get(withQuery("jobs", this.#asked({ after: this.#query.after })), this.#signal);
      // Another page was asked for since.
      if (load !== this.#loads) return;
      this.#show(jobs, next);
    } catch (error) {
      if (error.name === "AbortError" || load !== this.#loads) return;
      this.#rows.clear();
      show(this.#body);
      show(this.#message, problem(error, el("button", { type: "button", on: { click: () => this.#load() } }, "Try again")));
    }
  }

  #show(jobs, next) {
    const rows = new Map();
    for (const status of jobs) {
      const row = this.#rows.get(status.job_id) ?? new JobRow(status);
      row.update(status);
      rows.set(status.job_id, row);
    }
    const before = [...this.#rows.keys()].join();
    this.#rows = rows;
    if (before !== [...rows.keys()].join()) this.#place([...rows.values()].map((row) => row.node));
    this.#page.next = next;
    const { after, page = "1" } = this.#query;
    show(this.#message, jobs.length === 0 && this.#nothing());
    setText(this.#total, jobs.length === 0 ? "" : `${counted(jobs.length, "job")} on page ${page}`);
    this.#older.hidden = next === null;
    const { state, extension, find } = this.#query;
    setAttribute(this.#older, "href", linkTo("/jobs", { state, extension, find, after: next, page: Number(page) + 1 }));
    if (after !== undefined) this.#linkNewer(Number(page)).catch(tellFailure);
  }

  /** Puts rows in this order, and leaves the focus where it is. */
  #place(nodes) {
    const focused = this.#body.contains(document.activeElement) ? document.activeElement : null;
    show(this.#body, nodes);
    if (focused?.isConnected) focused.focus({ preventScroll: true });
  }

  /** The page of newer ones starts behind the last of those that are newer than this page's. */
  async #linkNewer(page) {
    const { state, extension, find, after } = this.#query;
    const newer = await get(withQuery("jobs", this.#asked({ after, order: "oldest" })), this.#signal);
    const where = newer.next === null ? {} : { after: newer.next, page: Math.max(1, page - 1) };
    setAttribute(this.#newer, "href", linkTo("/jobs", { state, extension, find, ...where }));
  }

  #nothing() {
    const { state, extension, find, after } = this.#query;
    if (state || extension || find || after) {
      return el("p", {}, "No job fits. ", el("a", { href: "#/jobs" }, "Show all"));
    }
    return el("p", {}, "No job yet. ", el("a", { href: "#/extensions" }, "Install an extension"), ", then ",
      el("a", { href: "#/dispatch" }, "dispatch a job"), " of it.");
  }

  #event(event) {
    this.#recountSoon.ask();
    const row = this.#rows.get(event.job_id);
    if (event.event === "progress") {
      row?.progress(event);
      return;
    }
    if (event.event === "checkpoint") return;
    this.#countSoon.ask();
    if (event.event === "warning") return;
    if (row && event.event !== "removed") {
      this.#changed.add(event.job_id);
      this.#refreshSoon.ask();
    }
    // A list of one state gains and loses jobs with each change, the first page with each new one.
    const comesOrGoes = event.event === "removed" ? row : this.#query.state || (event.event === "queued" && !row);
    if (comesOrGoes && (row || this.#query.after === undefined)) this.#reloadSoon.ask();
  }

  /** Asks how those jobs stand that something happened to. */
  async #refresh() {
    const ids = [...this.#changed].filter((id) => this.#rows.has(id));
    this.#changed.clear();
    // Where it is many, the page says it at once.
    if (ids.length > 4) {
      await this.#load();
      return;
    }
    await Promise.all(ids.map(async (id) => {
      const status = await get(`jobs/${id}`, this.#signal).catch((error) => {
        if (error.code !== "unknown_job") throw error;
      });
      if (status) this.#rows.get(id)?.update(status);
    }));
  }

  #reset() {
    this.#reloadSoon.ask();
    this.#countSoon.ask();
  }

  async #count() {
    const { jobs } = await get("health", this.#signal);
    let all = 0;
    for (const state of STATES) {
      all += jobs[state] ?? 0;
      setText(this.#tabs.get(state).number, count(jobs[state] ?? 0));
    }
    setText(this.#tabs.get("").number, count(all));
  }

  async #extensions() {
    const { extensions } = await get("extensions", this.#signal);
    const chosen = this.#query.extension ?? "";
    const options = extensions.map(({ id, name }) => el("option", { value: id }, name === id ? id : `${name} (${id})`));
    show(this.#extension, el("option", { value: "" }, "All"), options);
    this.#chooseExtension(chosen);
  }
}
