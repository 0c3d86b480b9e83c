/** The part of JSON Schema that a form is made from, and a schema for a value that has none. */

import { kindOf, writeJson } from "./json.js";

/** How deep a form goes. What is deeper is edited as JSON. */
const DEEPEST = 4;

/**
 * What a form needs to know of a schema: `{ kind, … }` with the kinds `text`, `number`, `boolean`, `choice`, `constant`, `list`,
 * `object`, `variants` and `json`, the last for all that no form can show. `root` is the whole document, in which `$ref` leads
 * from place to place.
 */
export function fieldOf(referring, depth = 0, root = referring) {
  const schema = resolved(referring, root);
  const { type, isNullable } = typeOf(schema);
  const common = {
    title: text(schema?.title), description: text(schema?.description), fallback: schema?.default, isNullable,
  };
  if (!schema || typeof schema !== "object" || schema.$ref || schema.allOf || depth > DEEPEST) {
    return { ...common, kind: "json" };
  }
  if (schema.oneOf || schema.anyOf) return variants(schema, common, depth, root);
  if ("const" in schema) return { ...common, kind: "constant", value: schema.const };
  if (Array.isArray(schema.enum)) {
    const simple = schema.enum.every((value) => !["object", "array"].includes(kindOf(value)));
    return simple ? { ...common, kind: "choice", choices: schema.enum } : { ...common, kind: "json" };
  }
  switch (type) {
    case "string":
      return { ...common, kind: "text", shortest: schema.minLength, longest: schema.maxLength, pattern: text(schema.pattern) };
    case "integer":
    case "number":
      return { ...common, kind: "number", isWhole: type === "integer", ...bounds(schema, type) };
    case "boolean":
      return { ...common, kind: "boolean" };
    case "array": {
      const item = fieldOf(schema.items, depth + 1, root);
      const isSimple = ["text", "number", "boolean", "choice"].includes(item.kind);
      return isSimple ? { ...common, kind: "list", item, fewest: schema.minItems, most: schema.maxItems } : { ...common, kind: "json" };
    }
    case "object": {
      if (kindOf(schema.properties ?? null) !== "object") return { ...common, kind: "json" };
      const required = new Set(Array.isArray(schema.required) ? schema.required : []);
      const members = Object.entries(schema.properties).map(([name, inner]) =>
        ({ name, field: fieldOf(inner, depth + 1, root), isRequired: required.has(name) }));
      return { ...common, kind: "object", members };
    }
    default:
      return { ...common, kind: "json" };
  }
}

/** How many `$ref` are followed one after the other: the server refuses those that lead in a circle. */
const MOST_STEPS = 20;

/** What a `$ref` leads to, with what stands beside it; as it is where it leads out of the document or nowhere. */
function resolved(schema, root) {
  let found = schema;
  for (let step = 0; step < MOST_STEPS && typeof found?.$ref === "string"; step += 1) {
    const { $ref: reference, ...beside } = found;
    const target = at(root, reference);
    if (kindOf(target ?? null) !== "object") return found;
    found = { ...target, ...beside };
  }
  return found;
}

/** The part of a document that a pointer in a URI's fragment names. */
function at(root, reference) {
  if (reference !== "#" && !reference.startsWith("#/")) return undefined;
  let place = root;
  for (const part of reference.split("/").slice(1)) {
    let name = part;
    try {
      name = decodeURIComponent(part);
    } catch {
      // It is a name with a percent sign.
    }
    name = name.replaceAll("~1", "/").replaceAll("~0", "~");
    if (place === null || typeof place !== "object" || !Object.hasOwn(place, name)) return undefined;
    place = place[name];
  }
  return place;
}

/** One of several: a choice where each is one value, else a form for each. */
function variants(schema, common, depth, root) {
  const { oneOf, anyOf, ...base } = schema;
  const listed = oneOf ?? anyOf;
  if ((oneOf && anyOf) || !Array.isArray(listed)) return { ...common, kind: "json" };
  const all = listed.map((one) => resolved(one, root));
  const isNull = (one) => one?.type === "null" || one?.const === null;
  if (all.every((one) => kindOf(one ?? null) === "object" && "const" in one && kindOf(one.const) !== "object" && kindOf(one.const) !== "array")) {
    return { ...common, kind: "choice", choices: all.map((one) => one.const), words: all.map((one) => text(one.title)) };
  }
  const wanted = all.filter((one) => !isNull(one)).map((one) => merged(base, one));
  const isNullable = common.isNullable || wanted.length < all.length;
  if (wanted.length === 0) return { ...common, kind: "json" };
  if (wanted.length === 1) {
    return { ...fieldOf(wanted[0], depth + 1, root), title: common.title ?? text(wanted[0].title), isNullable };
  }
  const fields = wanted.map((one, index) => {
    const field = fieldOf(one, depth + 1, root);
    const own = text(all.filter((other) => !isNull(other))[index]?.title);
    return { name: own ?? named(field) ?? `Variant ${index + 1}`, field: { ...field, title: undefined } };
  });
  return { ...common, kind: "variants", isNullable, variants: fields };
}

/** A variant as it is with what all of them have. */
function merged(base, one) {
  if (kindOf(one ?? null) !== "object") return one;
  const { title: _title, description: _description, default: _default, ...common } = base;
  const whole = { ...common, ...one };
  if (base.properties || one.properties) whole.properties = { ...base.properties, ...one.properties };
  if (base.required || one.required) whole.required = [...(base.required ?? []), ...(one.required ?? [])];
  if (whole.properties && whole.type === undefined) whole.type = "object";
  return whole;
}

/** What a variant is called that has no title: by the value that only it has, or by its kind. */
function named({ kind, members = [] }) {
  const mark = members.find(({ field }) => field.kind === "constant" && typeof field.value === "string");
  if (mark) return mark.field.value;
  const words = { text: "Text", number: "Number", boolean: "Yes or no", list: "List" };
  return words[kind];
}

/** Whether a value is one that a field may have, as far as its form tells. */
export function fits(field, value) {
  const kind = kindOf(value ?? null);
  switch (field.kind) {
    case "text": return kind === "string";
    case "number": return kind === "number";
    case "boolean": return kind === "boolean";
    case "choice": return field.choices.includes(value);
    case "constant": return writeJson(field.value, 0) === writeJson(value, 0);
    case "list": return kind === "array" && value.every((item) => fits(field.item, item));
    case "variants": return field.variants.some((one) => fits(one.field, value));
    case "object":
      return kind === "object" && field.members.every(({ name, field: inner, isRequired }) =>
        (Object.hasOwn(value, name) ? fits(inner, value[name]) || value[name] === null : !isRequired));
    default: return true;
  }
}

function typeOf(schema) {
  if (!Array.isArray(schema?.type)) return { type: schema?.type, isNullable: false };
  const types = schema.type.filter((type) => type !== "null");
  return { type: types.length === 1 ? types[0] : undefined, isNullable: types.length < schema.type.length };
}

function bounds({ minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf }, type) {
  const step = type === "integer" ? 1 : 0;
  const least = minimum ?? (typeof exclusiveMinimum === "number" ? exclusiveMinimum + step : undefined);
  const most = maximum ?? (typeof exclusiveMaximum === "number" ? exclusiveMaximum - step : undefined);
  return { least, most, multipleOf };
}

const text = (value) => (typeof value === "string" ? value : undefined);

/** A schema that a value fits: what there is of a job that says nothing of its state. */
export function schemaOf(value) {
  switch (kindOf(value)) {
    case "string": return { type: "string", default: value };
    case "boolean": return { type: "boolean", default: value };
    case "number": return { type: typeof value === "bigint" || Number.isInteger(value) ? "integer" : "number", default: value };
    case "array": {
      const kinds = new Set(value.map(kindOf));
      const isSimple = kinds.size === 1 && ["string", "number", "boolean"].includes([...kinds][0]);
      return { type: "array", items: isSimple ? { type: schemaOf(value[0]).type } : {}, default: value };
    }
    case "object": {
      const properties = Object.entries(value).map(([name, inner]) => [name, schemaOf(inner)]);
      return { type: "object", properties: Object.fromEntries(properties) };
    }
    default: return {};
  }
}
