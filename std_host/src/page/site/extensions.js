/** What is installed, and the way to install more. */

import { get } from "./api.js";
import { el, show } from "./dom.js";
import { bytes, counted } from "./format.js";
import { Installer } from "./install.js";
import { Loading } from "./parts.js";
import { linkTo } from "./router.js";

export const extensionsView = {
  title: "Extensions",
  path: "/extensions",
  open({ main, signal }) {
    const list = new Loading();
    const load = () => list.run(async () => await get("extensions", signal), cards);
    const installer = new Installer(load, signal);
    show(main,
      el("div", { class: "view-head" }, el("h1", {}, "Extensions")),
      installer.node,
      list.node);
    load();
  },
};

function cards({ extensions, not_loaded: failed = [] }) {
  if (extensions.length + failed.length === 0) return el("p", { class: "empty" }, "No extension is installed yet.");
  return el("ul", { class: "cards" }, failed.map(failedCard), extensions.map(card));
}

function failedCard({ id, error }) {
  return el("li", { class: "card extension warned" },
    el("div", { class: "extension-head" },
      el("h2", {}, el("a", { href: linkTo(`/extensions/${encodeURIComponent(id)}`) }, id)),
      el("span", { class: "warned-text" }, "not loaded")),
    el("p", {}, error));
}

function card(extension) {
  const { id, name, version, description, author, jobs, module, signer, warnings } = extension;
  return el("li", { class: "card extension" },
    el("div", { class: "extension-head" },
      el("h2", {}, el("a", { href: linkTo(`/extensions/${encodeURIComponent(id)}`) }, name)),
      el("span", { class: "version" }, version)),
    el("p", { class: "under" }, el("code", {}, id), author && ` by ${author}`),
    description && el("p", {}, description),
    el("p", { class: "muted" }, `${counted(jobs.length, "job")} · ${bytes(module.bytes)} · ${signer ? "signed" : "not signed"}`),
    warnings?.length > 0 && el("p", { class: "warned-text" }, counted(warnings.length, "warning")));
}
