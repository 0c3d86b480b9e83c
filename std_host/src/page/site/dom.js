/** Elements are made here. What comes from a job, an extension or the server gets into the page as text only. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: `el("a", { class: "x", href, on: { click } }, "text", child)`.
 * An attribute that is null or false is left out, one that is true has no value.
 */
export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in a picture. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...wanted(children));
  return node;
}

/** Children without those that are null, undefined or false; arrays among them are opened. */
function wanted(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}

/** Puts these in the place of what is in `node`. */
export function show(node, ...children) {
  node.replaceChildren(...wanted(children));
}

/** Sets a text, and touches nothing where it is that already. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets or removes an attribute, and touches nothing where it is so already. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (value === true) node.setAttribute(name, "");
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

let last = 0;
/** An id for an element that another one names. */
export function newId(word) {
  last += 1;
  return `${word}-${last}`;
}

/** A part of the page with a heading of its own. */
export function section(title, attributes, ...children) {
  const id = newId("part");
  return el("section", { "aria-labelledby": id, ...attributes }, el("h2", { id }, title), ...children);
}

/** Does `work` with the next picture of the screen, however often it is asked for before. */
export function eachFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}
