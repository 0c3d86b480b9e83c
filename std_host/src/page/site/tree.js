/** JSON as a tree that opens and closes. */

import { el } from "./dom.js";
import { count, counted } from "./format.js";
import { kindOf } from "./json.js";

/** What is open from the start. */
const OPEN_DEPTH = 1;
/** Members that are shown at a time. */
const AT_ONCE = 100;

/** The tree of a value. `isOpen(path)` says whether a branch was open in the tree before this one. */
export function tree(value, isOpen = () => null, path = "", key = null) {
  const kind = kindOf(value);
  if (kind !== "object" && kind !== "array") return leaf(value, kind);
  const entries = kind === "array" ? value.map((inner, index) => [index, inner]) : Object.entries(value);
  if (entries.length === 0) return el("span", { class: "json-empty" }, kind === "array" ? "[ ] empty" : "{ } empty");
  const list = el("ul", { class: "json-members" });
  const more = (from) => {
    const rows = entries.slice(from, from + AT_ONCE).map(([key, inner]) => member(key, inner, isOpen, path));
    const left = entries.length - from - AT_ONCE;
    const button = left > 0 && el("button", {
      type: "button", class: "small", on: { click: (event) => {
        const row = event.currentTarget.parentElement;
        more(from + AT_ONCE);
        row.remove();
      } },
    }, `${count(left)} more`);
    list.append(...rows, ...(button ? [el("li", {}, button)] : []));
  };
  if (path === "") {
    more(0);
    return list;
  }
  const size = kind === "array" ? counted(entries.length, "item") : counted(entries.length, "field");
  const depth = path.split("/").length - 1;
  const details = el("details", { "data-path": path, open: isOpen(path) ?? depth <= OPEN_DEPTH },
    el("summary", {}, key, " ", size), list);
  // A branch is only made once somebody looks at it.
  const make = () => list.childElementCount === 0 && details.open && more(0);
  make();
  details.addEventListener("toggle", make);
  return details;
}

function member(name, value, isOpen, path) {
  const key = el("span", { class: "json-key" }, String(name));
  const inner = tree(value, isOpen, `${path}/${name}`, key);
  return el("li", {}, key.parentElement === null && [key, " "], inner);
}

function leaf(value, kind) {
  const text = kind === "string" ? value : String(value);
  return el("span", { class: "json-value", "data-kind": kind }, kind === "string" ? `“${text}”` : text);
}

/** Whether branches of a tree are open, by their paths. */
export function openBranches(node) {
  const open = new Map([...node.querySelectorAll("details")].map((one) => [one.dataset.path, one.open]));
  return (path) => open.get(path) ?? null;
}
