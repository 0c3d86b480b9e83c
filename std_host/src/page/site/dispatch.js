/** Dispatches a job: with a form for its state where one can be made, and always with the state as JSON beside it. */

import { get, getText, postText, withQuery } from "./api.js";
import { announce } from "./announce.js";
import { el, setAttribute, setText, show } from "./dom.js";
import { formFor } from "./form.js";
import { kindOf, parseJson, writeJson } from "./json.js";
import { Loading, problem } from "./parts.js";
import { linkTo, navigate } from "./router.js";
import { fieldOf, schemaOf } from "./schema.js";

export const dispatchView = {
  title: "Dispatch",
  path: "/dispatch",
  open({ main, query, signal }) {
    const place = new Loading();
    show(main, el("div", { class: "view-head" }, el("h1", {}, "Dispatch a job")), place.node);
    place.run(async () => (await get("extensions", signal)).extensions, (extensions) => {
      const jobs = extensions.flatMap((extension) => extension.jobs);
      if (jobs.length === 0) {
        return el("p", { class: "empty" }, "There is no job to dispatch. ", el("a", { href: "#/extensions" }, "Install an extension"), " first.");
      }
      return new DispatchForm(extensions, query, signal).node;
    });
  },
};

class DispatchForm {
  #extensions;
  #signal;
  #job;
  #priority = el("select", { id: "priority" }, ["low", "normal", "high"].map((name) =>
    el("option", { value: name, selected: name === "normal" }, name)));
  #attempts = el("input", { id: "attempts", type: "number", min: 1, max: 4_294_967_295, step: 1, placeholder: "default" });
  #source = el("p", { class: "hint" });
  #help = el("p", { class: "hint", id: "raw-help" });
  #fields = el("div", { class: "state-fields" });
  #fieldset = el("fieldset", { class: "card", hidden: true }, el("legend", {}, "State"), this.#source, this.#fields);
  #raw = el("textarea", { id: "raw", class: "mono", rows: 14, spellcheck: "false", autocomplete: "off", "aria-describedby": "raw-help raw-error" });
  #rawError = el("p", { class: "hint bad", id: "raw-error" });
  #trouble = el("div");
  #button = el("button", { type: "submit", class: "primary" }, "Dispatch");
  #form = null;
  #choices = 0;
  #isTyped = false;

  constructor(extensions, { job, extension }, signal) {
    this.#extensions = extensions;
    this.#signal = signal;
    this.#job = el("select", { id: "job", required: true, on: { change: () => this.#choose() } }, extensions.map(({ name, jobs }) =>
      el("optgroup", { label: name }, jobs.map((one) => el("option", { value: one.name }, one.name)))));
    const wanted = job ?? extensions.find(({ id }) => id === extension)?.jobs[0]?.name;
    if (wanted) this.#job.value = wanted;
    // A job that is not there any more leaves the choice empty.
    if (this.#job.selectedIndex < 0) this.#job.selectedIndex = 0;
    this.#raw.addEventListener("input", () => {
      this.#isTyped = true;
      this.#rawChanged();
    });
    this.node = el("form", { class: "dispatch", on: { submit: (event) => {
      event.preventDefault();
      this.#send();
    } } },
      el("div", { class: "card dispatch-head" },
        el("div", { class: "field grow" }, el("label", { for: "job" }, "Job"), this.#job),
        el("div", { class: "field" }, el("label", { for: "priority" }, "Priority"), this.#priority),
        el("div", { class: "field" }, el("label", { for: "attempts" }, "Attempts"), this.#attempts)),
      el("div", { class: "halves" },
        this.#fieldset,
        el("div", { class: "card raw" }, el("label", { for: "raw", class: "part-title" }, "State as JSON"),
          this.#help, this.#raw, this.#rawError)),
      this.#trouble,
      el("div", { class: "actions" }, this.#button));
    this.#choose();
  }

  /** Makes the form for the job that is chosen. */
  async #choose() {
    this.#choices += 1;
    const choice = this.#choices;
    const name = this.#job.value;
    history.replaceState(history.state, "", linkTo("/dispatch", { job: name }));
    show(this.#trouble);
    this.#form = null;
    this.#isTyped = false;
    this.#raw.value = "";
    let known = {};
    try {
      known = await this.#known(name);
    } catch (error) {
      if (error.name === "AbortError") return;
      // Without a form there is still the JSON.
      show(this.#trouble, problem(error));
    }
    if (choice !== this.#choices) return;
    const { schema, value, source } = known;
    const field = schema && fieldOf(schema);
    const hasForm = field && field.kind !== "json";
    this.#fieldset.hidden = !hasForm;
    setText(this.#source, hasForm ? source : "");
    setText(this.#help, hasForm
      ? "This is what is sent. The form and this follow each other."
      : "This is what is sent. Nobody has said what the state of this job looks like; leave it empty for the job's defaults.");
    if (hasForm) {
      this.#form = formFor("", field, () => this.#formChanged());
      if (value !== undefined) this.#form.set(value);
      show(this.#fields, this.#form.node);
    }
    // Who was quicker than the answer keeps what they wrote.
    if (this.#isTyped || !hasForm) this.#rawChanged();
    else this.#formChanged();
  }

  /** A schema for a job's state and a value to start with, as far as there are any. */
  async #known(name) {
    const described = this.#extensions.flatMap(({ jobs }) => jobs).find((one) => one.name === name);
    if (described?.state_schema) return { schema: described.state_schema, source: "As the extension describes it." };
    // Others may have a name that goes on.
    const { jobs } = await get(withQuery("jobs", { job: name, limit: 20 }), this.#signal);
    const newest = jobs.find((one) => one.job === name);
    if (!newest) return {};
    const first = await this.#object(`jobs/${newest.job_id}/state`);
    if (first) return { schema: schemaOf(first), value: first, source: "As the newest job of this name was dispatched." };
    const last = await this.#object(`jobs/${newest.job_id}/checkpoint`);
    if (last) {
      return { schema: schemaOf(last), value: last, source: "As the newest job of this name stands, which has done part of its work: look at each value." };
    }
    return {};
  }

  /** The object that a job's state is; nothing where it is none, or is kept no longer. */
  async #object(path) {
    try {
      const { json } = parseJson(await getText(path, this.#signal));
      return kindOf(json ?? null) === "object" ? json : null;
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  }

  #formChanged() {
    this.#raw.value = writeJson(this.#form.get());
    this.#checkRaw();
  }

  #rawChanged() {
    const value = this.#checkRaw();
    if (value !== undefined) this.#form?.set(value);
  }

  /** The JSON, and `undefined` where it is none. */
  #checkRaw() {
    const text = this.#raw.value.trim();
    let value;
    let wrong = "";
    try {
      if (text !== "") value = parseJson(text);
    } catch (error) {
      wrong = `This is not JSON: ${error.message}`;
    }
    setText(this.#rawError, wrong);
    this.#raw.setCustomValidity(wrong);
    setAttribute(this.#raw, "aria-invalid", wrong ? "true" : null);
    return value;
  }

  async #send() {
    if (this.#button.getAttribute("aria-disabled") === "true") return;
    const attempts = this.#attempts.value === "" ? undefined : Number(this.#attempts.value);
    const rest = JSON.stringify({ job: this.#job.value, priority: this.#priority.value, attempts });
    const state = this.#raw.value.trim();
    // The state goes as it was written: no number in it is rounded on the way.
    const body = state === "" ? rest : `${rest.slice(0, -1)},"state":${state}}`;
    this.#button.setAttribute("aria-disabled", "true");
    show(this.#trouble);
    try {
      const status = await postText("jobs", body, this.#signal);
      navigate(linkTo(`/jobs/${status.job_id}`));
      announce("The job is dispatched.");
    } catch (error) {
      if (error.name !== "AbortError") show(this.#trouble, problem(error));
    }
    this.#button.removeAttribute("aria-disabled");
  }
}
