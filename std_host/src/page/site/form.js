/**
 * A form for a value of a kind that `fieldOf` gave. A field is a class with `node`, `get()`, which is `undefined` where nothing is
 * wanted, and `set(value)`. It calls `changed` when somebody changes it.
 */

import { el, newId, setText, show } from "./dom.js";
import { kindOf, parseJson, writeJson } from "./json.js";
import { fits } from "./schema.js";

/** A form for this field. */
export function formFor(name, field, changed, isRequired = false) {
  const kinds = {
    text: TextField, number: NumberField, boolean: BooleanField, choice: ChoiceField, constant: ConstantField, list: ListField,
    object: ObjectField, variants: VariantsField,
  };
  const Kind = kinds[field.kind] ?? JsonField;
  return new Kind(name, field, changed, isRequired);
}

/** A control with its label and what there is to say of it. */
function labelled(name, field, control, hint) {
  const id = newId("field");
  control.id = id;
  const said = [field.description, hint].filter(Boolean).join(" ");
  const help = said && el("p", { class: "hint", id: `${id}-help` }, said);
  if (help) control.setAttribute("aria-describedby", help.id);
  return el("div", { class: "form-field" }, el("label", { for: id }, field.title ?? name,
    field.title && field.title !== name && [" ", el("code", {}, name)]), control, help);
}

function shown(value) {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : writeJson(value, 0);
}

class TextField {
  #input;
  #field;
  #isRequired;

  constructor(name, field, changed, isRequired) {
    this.#field = field;
    this.#isRequired = isRequired;
    // Only one line is given: a text with several has a box of its own.
    const isLong = typeof field.fallback === "string" && field.fallback.includes("\n");
    this.#input = el(isLong ? "textarea" : "input", {
      type: isLong ? null : "text", minlength: field.shortest, maxlength: field.longest, pattern: isLong ? null : field.pattern,
      required: isRequired && field.shortest > 0, spellcheck: "false", autocomplete: "off", on: { input: changed },
    });
    const hint = field.pattern && `It must match ${field.pattern}.`;
    this.node = labelled(name, field, this.#input, hint);
    this.set(field.fallback);
  }

  get() {
    const { value } = this.#input;
    if (value !== "") return value;
    if (this.#field.isNullable) return null;
    return this.#isRequired || this.#field.fallback !== undefined ? "" : undefined;
  }

  set(value) {
    this.#input.value = shown(value);
  }
}

class NumberField {
  #input;
  #field;

  constructor(name, field, changed, isRequired) {
    this.#field = field;
    this.#input = el("input", {
      type: "text", inputmode: field.isWhole ? "numeric" : "decimal", required: isRequired, autocomplete: "off", class: "number-input",
      on: { input: () => {
        this.#check();
        changed();
      } },
    });
    this.node = labelled(name, field, this.#input, this.#hint());
    this.set(field.fallback);
  }

  /** Not an input of type `number`: that one rounds large numbers, and changes them when somebody scrolls. */
  get() {
    const text = this.#input.value.trim();
    if (text === "") return this.#field.isNullable ? null : undefined;
    try {
      const value = parseJson(text);
      return kindOf(value) === "number" ? value : text;
    } catch {
      return text;
    }
  }

  set(value) {
    this.#input.value = shown(value);
    this.#check();
  }

  #check() {
    const value = this.get();
    this.#input.setCustomValidity(value === undefined || value === null ? "" : this.#wrong(value));
  }

  #wrong(value) {
    const { isWhole, least, most, multipleOf } = this.#field;
    if (kindOf(value) !== "number") return "This must be a number.";
    if (isWhole && typeof value === "number" && !Number.isInteger(value)) return "This must be a whole number.";
    if (least !== undefined && value < least) return `This must be ${least} or more.`;
    if (most !== undefined && value > most) return `This must be ${most} or less.`;
    if (!isMultiple(value, multipleOf)) return `This must be a multiple of ${multipleOf}.`;
    return "";
  }

  #hint() {
    const { multipleOf } = this.#field;
    const step = multipleOf !== undefined && multipleOf !== 1 && `A multiple of ${multipleOf}.`;
    return [this.#range(), step].filter(Boolean).join(" ");
  }

  #range() {
    const { least, most } = this.#field;
    if (least !== undefined && most !== undefined) return `From ${least} to ${most}.`;
    // Most numbers count something: that they are not negative needs no word.
    if (least !== undefined && least !== 0) return `${least} or more.`;
    return most !== undefined ? `${most} or less.` : undefined;
  }
}

/** How far from a whole number a quotient may be: 0.3 is three times 0.1, whatever a computer says. */
const NEARLY = 1e-9;

function isMultiple(value, of) {
  if (kindOf(of ?? null) !== "number" || Number(of) <= 0) return true;
  if (typeof value === "bigint" || typeof of === "bigint") {
    const isWhole = [value, of].every((one) => typeof one === "bigint" || Number.isInteger(one));
    return !isWhole || BigInt(value) % BigInt(of) === 0n;
  }
  const times = value / of;
  return Math.abs(times - Math.round(times)) <= NEARLY * Math.max(1, Math.abs(times));
}

class BooleanField {
  #input;

  constructor(name, field, changed) {
    this.#input = el("input", { type: "checkbox", on: { change: changed } });
    const node = labelled(name, field, this.#input);
    node.classList.add("check-field");
    this.node = node;
    this.set(field.fallback);
  }

  get() {
    return this.#input.checked;
  }

  set(value) {
    this.#input.checked = value === true;
  }
}

class ChoiceField {
  #select;
  #choices;

  constructor(name, field, changed, isRequired) {
    this.#choices = field.choices;
    const none = !isRequired && !field.choices.includes(null) && el("option", { value: "" }, "");
    this.#select = el("select", { on: { change: changed } }, none,
      field.choices.map((choice, index) => el("option", { value: index },
        field.words?.[index] ?? (choice === null ? "none" : shown(choice)))));
    this.node = labelled(name, field, this.#select);
    this.set(field.fallback);
  }

  get() {
    return this.#select.value === "" ? undefined : this.#choices[Number(this.#select.value)];
  }

  set(value) {
    const index = this.#choices.indexOf(value);
    if (index >= 0) this.#select.value = String(index);
    else if (value === undefined) this.#select.selectedIndex = 0;
  }
}

/** What can be only one value: nobody has to see it. */
class ConstantField {
  node = el("span", { hidden: true });
  #value;

  constructor(name, field) {
    this.#value = field.value;
  }

  get() {
    return this.#value;
  }

  set() {}
}

/** One of several forms. */
class VariantsField {
  #name;
  #field;
  #changed;
  #select;
  #place = el("div", { class: "form-members" });
  #form = null;

  constructor(name, field, changed, isRequired) {
    this.#name = name;
    this.#field = field;
    this.#changed = changed;
    const none = (field.isNullable || !isRequired) && name !== "" && el("option", { value: "" }, "none");
    this.#select = el("select", { on: { change: () => {
      this.#choose(this.#select.value);
      changed();
    } } }, none, field.variants.map((one, index) => el("option", { value: index }, one.name)));
    const choice = labelled(name === "" ? "Kind" : name, { title: field.title }, this.#select);
    this.node = el("fieldset", { class: "form-group" }, el("legend", {}, field.title ?? (name === "" ? "State" : name)),
      field.description && el("p", { class: "hint" }, field.description), choice, this.#place);
    // The legend has the name already; the choice says what it is for.
    setText(choice.querySelector("label"), "Kind");
    this.#choose(this.#select.value);
    if (field.fallback !== undefined) this.set(field.fallback);
  }

  get() {
    if (this.#form !== null) return this.#form.get();
    return this.#field.isNullable ? null : undefined;
  }

  set(value) {
    if (value === undefined || value === null) {
      if (this.#select.querySelector('option[value=""]')) this.#choose("");
      return;
    }
    // Who writes JSON beside it may be on the way from one to the next: what fits now stays.
    const fitting = this.#field.variants.findIndex((one) => fits(one.field, value));
    const now = this.#select.value === "" ? null : this.#field.variants[Number(this.#select.value)];
    if (fitting >= 0 && !(now && fits(now.field, value))) this.#choose(String(fitting));
    this.#form?.set(value);
  }

  #choose(index) {
    this.#select.value = index;
    const variant = index === "" ? null : this.#field.variants[Number(index)];
    // Without a name of its own: the members of an object stand as they are.
    this.#form = variant && formFor(variant.field.kind === "object" ? "" : variant.name, variant.field, this.#changed, true);
    show(this.#place, this.#form?.node);
  }
}

class ListField {
  #name;
  #field;
  #changed;
  #items = [];
  #list = el("ol", { class: "form-list" });
  #add;

  constructor(name, field, changed) {
    this.#name = field.title ?? name;
    this.#field = field;
    this.#changed = changed;
    this.#add = el("button", { type: "button", class: "small", on: { click: () => this.#append() } }, "Add");
    this.#add.setAttribute("aria-label", `Add to ${this.#name}`);
    this.node = el("fieldset", { class: "form-group" }, el("legend", {}, this.#name),
      field.description && el("p", { class: "hint" }, field.description), this.#list, this.#add);
    this.set(field.fallback);
  }

  get() {
    return this.#items.map(({ form }) => form.get() ?? null);
  }

  set(value) {
    this.#items = [];
    show(this.#list);
    for (const item of Array.isArray(value) ? value : []) this.#place(item);
  }

  #append() {
    this.#place(undefined);
    this.#list.lastElementChild.querySelector("input, select")?.focus();
    this.#changed();
  }

  #place(value) {
    const form = formFor(`${this.#name} ${this.#items.length + 1}`, { ...this.#field.item, title: undefined }, this.#changed);
    if (value !== undefined) form.set(value);
    const item = { form };
    // What they are in is said above them; only who does not see that needs it again.
    form.node.querySelector("label").classList.add("unseen");
    const row = el("li", {}, form.node, el("button", {
      type: "button", class: "small", "aria-label": `Remove ${this.#name} ${this.#items.length + 1}`, on: { click: () => {
        this.#items = this.#items.filter((one) => one !== item);
        row.remove();
        this.#add.focus();
        this.#changed();
      } },
    }, "Remove"));
    this.#items.push(item);
    this.#list.append(row);
  }
}

class ObjectField {
  #members = new Map();
  #others = {};

  constructor(name, field, changed) {
    for (const { name: key, field: inner, isRequired } of field.members) {
      this.#members.set(key, formFor(key, inner, changed, isRequired));
    }
    const nodes = [...this.#members.values()].map((form) => form.node);
    this.node = name === ""
      ? el("div", { class: "form-members" }, nodes)
      : el("fieldset", { class: "form-group" }, el("legend", {}, field.title ?? name),
        field.description && el("p", { class: "hint" }, field.description), nodes);
    if (field.fallback !== undefined) this.set(field.fallback);
  }

  get() {
    const value = { ...this.#others };
    for (const [key, form] of this.#members) {
      const inner = form.get();
      if (inner !== undefined) value[key] = inner;
    }
    return value;
  }

  set(value) {
    if (kindOf(value ?? null) !== "object") return;
    // What the form has no field for stays in the value.
    this.#others = Object.fromEntries(Object.entries(value).filter(([key]) => !this.#members.has(key)));
    for (const [key, form] of this.#members) form.set(value[key]);
  }
}

/** What has no form of its own. */
class JsonField {
  #input;
  #error = el("p", { class: "hint bad" });

  constructor(name, field, changed) {
    this.#input = el("textarea", { rows: 3, class: "mono", spellcheck: "false", on: { input: () => {
      this.get();
      changed();
    } } });
    this.node = labelled(name, field, this.#input, "As JSON.");
    this.node.append(this.#error);
    this.set(field.fallback);
  }

  get() {
    const text = this.#input.value.trim();
    this.#input.setCustomValidity("");
    setText(this.#error, "");
    if (text === "") return undefined;
    try {
      return parseJson(text);
    } catch (error) {
      setText(this.#error, error.message);
      this.#input.setCustomValidity("This is not JSON.");
      return undefined;
    }
  }

  set(value) {
    this.#input.value = value === undefined ? "" : writeJson(value);
  }
}
