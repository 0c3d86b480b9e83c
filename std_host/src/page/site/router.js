/**
 * Which view is shown is in the address, behind its `#`: links are links, and the browser goes back and forward.
 *
 * A view is `{ title, path, open(place) }`: `path` has `:name` for a part that varies. `open` fills `place.main` with an `h1` and
 * the rest, and stops what it does with `place.signal`. It may return a function for when only what stands behind the question
 * mark changes; without one the view is opened anew.
 */

import { alertUser } from "./announce.js";
import { el, show } from "./dom.js";

const main = document.getElementById("main");
let views = [];
let current = null;

/** Shows what the address says, now and whenever it changes. */
export function startRouter(all) {
  views = all;
  addEventListener("hashchange", () => go(true));
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  go(false);
}

/** The address of a view. */
export function linkTo(path, query = {}) {
  const entries = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(entries).toString();
  return `#${path}${text ? `?${text}` : ""}`;
}

/** Goes there. */
export function navigate(hash) {
  location.hash = hash;
}

/** Changes the address without a step in the browser's history, as while somebody types. */
export function replaceQuery(query) {
  const { path } = address();
  history.replaceState(history.state, "", linkTo(path, query));
  go(true);
}

/** The title of the document: what is seen, then where. */
export function setTitle(text) {
  document.title = `${text} – Toehold`;
}

function address() {
  const [path, query] = location.hash.slice(1).split("?");
  return { path: path || "/jobs", query: Object.fromEntries(new URLSearchParams(query)) };
}

function go(isMove) {
  const { path, query } = address();
  if (current?.path === path && current.update) {
    current.update(query);
    return;
  }
  current?.leaving.abort();
  const leaving = new AbortController();
  const found = find(path);
  current = { path, leaving, update: null };
  document.querySelectorAll("#nav a").forEach((link) => {
    const isHere = path.startsWith(link.hash.slice(1));
    if (isHere) link.setAttribute("aria-current", path === link.hash.slice(1) ? "page" : "true");
    else link.removeAttribute("aria-current");
  });
  show(main);
  if (found === null) {
    setTitle("Nothing here");
    show(main, el("h1", {}, "Nothing here"),
      el("p", {}, `There is no view at ${path}. `, el("a", { href: "#/jobs" }, "To the jobs")));
  } else {
    setTitle(found.view.title);
    current.update = found.view.open({ main, query, params: found.params, signal: leaving.signal }) ?? null;
  }
  const heading = main.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  if (isMove) {
    scrollTo(0, 0);
    heading?.focus({ preventScroll: true });
  }
}

function find(path) {
  const parts = path.split("/");
  for (const view of views) {
    const pattern = view.path.split("/");
    if (pattern.length !== parts.length) continue;
    const params = {};
    const fits = pattern.every((piece, index) => {
      if (!piece.startsWith(":")) return piece === parts[index];
      params[piece.slice(1)] = decode(parts[index]);
      return parts[index] !== "";
    });
    if (fits) return { view, params };
  }
  return null;
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** What a promise that nobody waits for failed with; not that its view was left. */
export function tellFailure(error) {
  if (error.name !== "AbortError") alertUser(error.message);
}
