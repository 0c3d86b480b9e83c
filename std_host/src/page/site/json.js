/**
 * JSON whose whole numbers stay what they are: JavaScript's numbers are exact up to 2⁵³, those of a job's state go further.
 * Larger ones become a `BigInt`, and are written as they came. Browsers that can't do that round them, as `JSON` does.
 */

const canKeep = typeof JSON.rawJSON === "function";

export function parseJson(text) {
  return JSON.parse(text, (key, value, context) => {
    const isRounded = typeof value === "number" && !Number.isSafeInteger(value);
    return canKeep && isRounded && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context.source) : value;
  });
}

export function writeJson(value, indent = 2) {
  return JSON.stringify(value, (key, inner) => (typeof inner === "bigint" ? JSON.rawJSON(inner.toString()) : inner), indent);
}

/** `object`, `array`, `string`, `number`, `boolean` or `null`. */
export function kindOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "bigint" ? "number" : typeof value;
}
