/**
 * Server-sent events by `fetch`, which can send a token where `EventSource` can't.
 *
 * A stream that breaks off is asked for again from where it was, after a pause that grows and is never the same for two
 * pages: a server that comes back is not met by all of them at once. A page that nobody sees lets go of its streams, since a
 * browser has six connections for one server, and resumes them once it is seen.
 */

import { ApiError, request } from "./api.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
/** The server gives a sign of life every 15 s. One that is silent for so long is gone. */
const SILENCE = 45_000;
/** How long a page may be out of sight before it lets go. */
const UNSEEN = 5_000;

/**
 * Whether the page was left, and may be kept to come back to: it stands still then, timers too, and must hold no connection.
 */
let isLeft = false;
addEventListener("pagehide", () => {
  isLeft = true;
});
addEventListener("pageshow", () => {
  isLeft = false;
});

/**
 * Follows a stream until `signal`, until its event `end`, or until the server refuses it for good.
 *
 * `on.open(isResumed)` comes with each connection, `on.event({ id, name, data })` with each event, `on.lost(ms, error)` where
 * it tries again in that time, `on.ended(error)` once nothing more comes: `error` is null where all was told.
 * Calling what it returns makes it try at once.
 */
export function follow(path, on, signal) {
  let wake = () => {};
  const run = async () => {
    let lastId = null;
    let failures = 0;
    while (!signal.aborted) {
      await seen(signal);
      const sight = new Sight();
      try {
        const isOver = await once(path, lastId, AbortSignal.any([signal, sight.signal]), {
          open: () => {
            failures = 0;
            on.open(lastId !== null);
          },
          event: (event) => {
            if (event.id !== null) lastId = event.id;
            on.event(event);
          },
        });
        if (isOver) {
          on.ended(null);
          return;
        }
        throw new ApiError(0, "broken_off", "The connection to the server broke off.");
      } catch (error) {
        if (signal.aborted) return;
        if (sight.signal.aborted) continue;
        if (isFinal(error)) {
          on.ended(error);
          return;
        }
        const ms = pause(failures);
        failures += 1;
        on.lost(ms, error);
        await new Promise((resolve) => {
          wake = resolve;
          setTimeout(resolve, ms);
          signal.addEventListener("abort", resolve, { once: true });
        });
      } finally {
        sight.end();
      }
    }
  };
  run();
  return () => wake();
}

/** Comes back once the page is seen. */
function seen(signal) {
  if (document.visibilityState === "visible" && !isLeft) return null;
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true, signal });
    addEventListener("pageshow", resolve, { once: true, signal });
    signal.addEventListener("abort", resolve, { once: true });
  });
}

/** A signal that is aborted once the page is out of sight for some time. */
class Sight {
  #unseen = new AbortController();
  #ended = new AbortController();
  #timer;
  signal = this.#unseen.signal;

  constructor() {
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.#timer);
      if (document.visibilityState === "hidden") this.#timer = setTimeout(() => this.#unseen.abort(), UNSEEN);
    }, { signal: this.#ended.signal });
    addEventListener("pagehide", () => this.#unseen.abort(), { signal: this.#ended.signal });
  }

  end() {
    clearTimeout(this.#timer);
    this.#ended.abort();
  }
}

/** How long to wait after so many failures in a row: between half of it and all of it. */
export function pause(failures) {
  const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures);
  return longest / 2 + Math.random() * (longest / 2);
}

function isFinal(error) {
  const maybeLater = [0, 408, 429];
  return error instanceof ApiError && error.status < 500 && !maybeLater.includes(error.status);
}

/** One connection. Says whether the server told all that there is. */
async function once(path, lastId, signal, on) {
  const silence = new AbortController();
  const either = AbortSignal.any([signal, silence.signal]);
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE);
  };
  try {
    const headers = { Accept: "text/event-stream", ...(lastId !== null && { "Last-Event-ID": lastId }) };
    const response = await request(path, { headers, signal: either });
    on.open();
    alive();
    for await (const event of parse(response.body, alive)) {
      if (event.name === "end") return true;
      if (event.name === "error") throw told(event.data);
      on.event(event);
    }
    return false;
  } catch (error) {
    if (!silence.signal.aborted) throw error;
    throw new ApiError(0, "silent", "The server has not given a sign of life for a while.");
  } finally {
    clearTimeout(timer);
  }
}

function told(data) {
  try {
    const { error } = JSON.parse(data);
    return new ApiError(0, error.code, error.message);
  } catch {
    return new ApiError(0, "unknown", "The server ended the stream.");
  }
}

/** The events in a stream of bytes. `alive` is called with each piece that comes. */
async function* parse(body, alive) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { id: null, name: "message", data: [] };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (event.data.length > 0) yield { ...event, data: event.data.join("\n") };
          event = { id: null, name: "message", data: [] };
        } else {
          take(event, line);
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Takes a line of an event. One that starts with a colon is a sign of life. */
function take(event, line) {
  const colon = line.indexOf(":");
  if (colon === 0) return;
  const field = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (field === "data") event.data.push(value);
  else if (field === "event") event.name = value;
  else if (field === "id") event.id = value;
}
