/** Hands bytes to whoever looks, as a file. A link to the server would not do: it can't send a token. */

import { el } from "./dom.js";

export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  link.click();
  // The browser has taken it by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
