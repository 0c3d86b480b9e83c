/**
 * What happens to all jobs, as it happens: one stream for the whole page, whichever views listen.
 *
 * A listener has `event(event)` for each event and `reset()` for when some may have been missed, so that it reads anew.
 */

import { follow } from "./stream.js";

const listeners = new Set();
const watchers = new Set();
let retry = () => {};
let isStarted = false;
let wasOpen = false;
let state = { link: "connecting" };

/** Starts the stream. */
export function start() {
  if (isStarted) return;
  isStarted = true;
  retry = follow("events", { open: opened, event, lost, ended }, new AbortController().signal);
}

/** Listens until `signal`. */
export function listen(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener), { once: true });
}

/** Calls `watcher` with how the connection stands, now and whenever that changes. */
export function watchLink(watcher) {
  watchers.add(watcher);
  watcher(state);
}

/** Tries at once, where the next attempt is still to come; also where the server had said that there is none. */
export function tryNow() {
  if (isStarted) retry();
  else start();
}

function opened(isResumed) {
  setState({ link: "live" });
  // Without a place to go on from, what happened in between is not told.
  if (wasOpen && !isResumed) tellReset();
  wasOpen = true;
}

function event({ name, data }) {
  if (name === "reset") tellReset();
  if (name !== "message") return;
  const happened = JSON.parse(data);
  for (const listener of listeners) listener.event(happened);
}

function tellReset() {
  for (const listener of listeners) listener.reset();
}

function lost(ms, error) {
  setState({ link: "lost", again: Date.now() + ms, message: error.message });
}

function ended(error) {
  isStarted = false;
  setState({ link: "lost", again: null, message: error?.message ?? "The server told that nothing more comes." });
}

function setState(next) {
  state = next;
  for (const watcher of watchers) watcher(state);
}
