/** Requests to the server of this page. What it refuses becomes an `ApiError` with its own words. */

import { signIn, token } from "./session.js";

const ROOT = new URL("api/v1/", document.baseURI);

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The answer to a request; asks for a token, and again, where the server wants one. */
export async function request(path, { method = "GET", headers = {}, body, signal } = {}) {
  for (;;) {
    const used = token();
    const sent = used === null ? headers : { ...headers, Authorization: `Bearer ${used}` };
    let response;
    try {
      response = await fetch(new URL(path, ROOT), { method, headers: sent, body, signal, cache: "no-store" });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError(0, "unreachable", "The server does not answer. Look whether `toehold serve` runs, then try again.");
    }
    if (response.ok) return response;
    const refused = await refusal(response);
    if (refused.status !== 401) throw refused;
    await signIn(used, refused.message);
    signal?.throwIfAborted();
  }
}

/** What the server says of a request that it does not take. */
async function refusal(response) {
  const text = await response.text().catch(() => "");
  try {
    const { error } = JSON.parse(text);
    return new ApiError(response.status, error.code, error.message);
  } catch {
    const message = `The server answers ${response.status} ${response.statusText} and says nothing more.`;
    return new ApiError(response.status, "unknown", message);
  }
}

/** The JSON at a path. */
export async function get(path, signal) {
  return (await request(path, { signal })).json();
}

/** The text at a path. */
export async function getText(path, signal) {
  return (await request(path, { signal })).text();
}

/** Sends JSON, or nothing, and gives the JSON that comes back. */
export async function post(path, value, signal) {
  const body = value === undefined ? undefined : JSON.stringify(value);
  return postText(path, body, signal);
}

/** Sends JSON that is a text already. */
export async function postText(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return (await request(path, { method: "POST", headers, body, signal })).json();
}

/** Sends bytes, or a form with files. */
export async function upload(path, body, signal) {
  const headers = body instanceof FormData ? {} : { "Content-Type": "application/octet-stream" };
  return (await request(path, { method: "POST", headers, body, signal })).json();
}

export async function remove(path, signal) {
  await request(path, { method: "DELETE", signal });
}

/** A path with what stands behind its question mark; what is empty is left out. */
export function withQuery(path, query) {
  const entries = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(entries).toString();
  return text ? `${path}?${text}` : path;
}
