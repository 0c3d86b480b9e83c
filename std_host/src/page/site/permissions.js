/** What an extension asks for, in plain words. */

import { el } from "./dom.js";
import { count } from "./format.js";

/** What methods that start so let an extension do; the longest that fits says it. */
const METHODS = [
  ["", "Call every operation of the host", true],
  ["query:", "Ask the host whatever it answers: files, times and the like that are granted", false],
  ["query:fs.", "Read and list files in the folders that it is granted", false],
  ["query:fs.read", "Read files in the folders that it is granted", false],
  ["query:fs.list", "List folders that it is granted", false],
  ["query:http.", "Fetch from the network, from the hosts that it is granted", true],
  ["query:config.", "Read its configuration", false],
  ["query:time", "Ask for the time", false],
  ["query:random", "Ask for random bytes", false],
  ["query:kv.", "Read what it has stored", false],
  ["query:job", "Ask about its own jobs", false],
  ["action:", "Do everything that the host offers: write files, store values, dispatch jobs", true],
  ["action:fs.", "Write files in the folders that it is granted", true],
  ["action:kv.", "Store values of its own", false],
  ["action:sleep", "Sleep", false],
  ["action:jobs.", "Dispatch other jobs", true],
];

/** A list of sentences `{ text, detail, isStrong }`. */
export function permissionsOf({ permissions, limits }) {
  const said = permissions.methods.map((method) => {
    const fits = METHODS.filter(([prefix]) => method.startsWith(prefix));
    const [, text, isStrong] = fits.reduce((best, one) => (one[0].length >= best[0].length ? one : best));
    return { text, detail: method || "every method", isStrong };
  });
  if (said.length === 0) said.push({ text: "Call no operation of the host", detail: "", isStrong: false });
  const lists = [
    ["file_access", "Reach files in", false],
    ["network_access", "Reach over the network", true],
  ];
  for (const [key, text, isStrong] of lists) {
    const values = permissions[key] ?? [];
    if (values.length > 0) {
      const wide = values.some((value) => value === "*" || value.startsWith("/") || value.startsWith(".."));
      said.push({ text, detail: values.join(", "), isStrong: isStrong || wide });
    }
  }
  const libraries = permissions.libraries ?? [];
  if (libraries.length > 0) {
    said.push({ text: libraries.includes("*") ? "Work on every library" : "Work on these libraries", detail: libraries.join(", "), isStrong: false });
  }
  const memory = Math.round(limits.memory_bytes / 1_048_576);
  said.push({
    text: `Use up to ${count(memory)} MiB of memory for each job`,
    detail: `${count(limits.concurrent_jobs)} jobs at a time, ${count(limits.requests_per_minute)} calls a minute`,
    isStrong: false,
  });
  return said;
}

/** Those sentences as a list; `isNew` says which of them to mark. */
export function permissionList(extension, isNew = () => false) {
  return el("ul", { class: "permissions" }, permissionsOf(extension).map((one) =>
    el("li", { "data-strong": String(one.isStrong) },
      el("span", {}, one.text), " ", one.detail && el("code", {}, one.detail),
      isNew(one) && el("span", { class: "mark" }, "new"))));
}
