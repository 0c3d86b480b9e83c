/** The part of JSON Schema that a form is made from, and a schema for a value that has none. */

import { kindOf } from "./json.js";

/** How deep a form goes. What is deeper is edited as JSON. */
const DEEPEST = 4;

/**
 * What a form needs to know of a schema: `{ kind, … }` with the kinds `text`, `number`, `boolean`, `choice`, `list`, `object`
 * and `json`, the last for all that no form can show.
 */
export function fieldOf(schema, depth = 0) {
  const { type, isNullable } = typeOf(schema);
  const common = {
    title: text(schema?.title), description: text(schema?.description), fallback: schema?.default, isNullable,
  };
  if (!schema || typeof schema !== "object" || schema.$ref || schema.oneOf || schema.anyOf || schema.allOf || depth > DEEPEST) {
    return { ...common, kind: "json" };
  }
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
      const item = fieldOf(schema.items, depth + 1);
      const isSimple = ["text", "number", "boolean", "choice"].includes(item.kind);
      return isSimple ? { ...common, kind: "list", item, fewest: schema.minItems, most: schema.maxItems } : { ...common, kind: "json" };
    }
    case "object": {
      if (kindOf(schema.properties ?? null) !== "object") return { ...common, kind: "json" };
      const required = new Set(Array.isArray(schema.required) ? schema.required : []);
      const members = Object.entries(schema.properties).map(([name, inner]) =>
        ({ name, field: fieldOf(inner, depth + 1), isRequired: required.has(name) }));
      return { ...common, kind: "object", members };
    }
    default:
      return { ...common, kind: "json" };
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
