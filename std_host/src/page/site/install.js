/** Installs an extension from files: first it shows what the server found in them, then somebody says yes. */

import { get, upload } from "./api.js";
import { announce } from "./announce.js";
import { el, newId, section, setText, show } from "./dom.js";
import { bytes } from "./format.js";
import { problem } from "./parts.js";
import { permissionList, permissionsOf } from "./permissions.js";

export class Installer {
  #installed;
  #signal;
  #input;
  #zone;
  #result = el("div", { class: "install-result" });

  /** `installed` is called once one is. */
  constructor(installed, signal) {
    this.#installed = installed;
    this.#signal = signal;
    const id = newId("files");
    const hint = newId("hint");
    this.#input = el("input", {
      id, type: "file", multiple: true, accept: ".toehold,.json,.wasm", class: "unseen", "aria-describedby": hint,
      on: { change: () => this.#take([...this.#input.files]) },
    });
    this.#zone = el("div", { class: "drop" },
      this.#input, el("label", { for: id, class: "button" }, "Choose files"),
      el("p", { id: hint }, "or drop them here: a package (", el("code", {}, ".toehold"), "), or ",
        el("code", {}, "manifest.json"), " with its module. Nothing is installed before you have seen what it asks for."));
    this.#listen();
    this.node = section("Install", { class: "card" }, this.#zone, this.#result);
  }

  #listen() {
    const over = (isOver) => (event) => {
      event.preventDefault();
      this.#zone.toggleAttribute("data-over", isOver);
    };
    this.#zone.addEventListener("dragover", over(true));
    this.#zone.addEventListener("dragleave", over(false));
    this.#zone.addEventListener("drop", (event) => {
      over(false)(event);
      this.#take([...event.dataTransfer.files]);
    });
    // A file that misses the zone would take the place of the page.
    const options = { signal: this.#signal };
    for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault(), options);
  }

  async #take(files) {
    // The same files can be chosen again.
    this.#input.value = "";
    if (files.length === 0) return;
    try {
      const body = bodyOf(files);
      show(this.#result, el("p", { class: "muted" }, "Looking at it…"));
      const found = await upload("extensions/inspect", body, this.#signal);
      const before = found.installed ? await get(`extensions/${encodeURIComponent(found.id)}`, this.#signal) : null;
      this.#review(found, before, files);
    } catch (error) {
      if (error.name !== "AbortError") show(this.#result, problem(error));
    }
  }

  #review(found, before, files) {
    const heading = el("h3", { tabindex: -1 }, found.name, " ", el("span", { class: "version" }, found.version));
    const trouble = el("div");
    const yes = el("button", { type: "button", class: "primary", on: { click: () => this.#install(found, files, yes, trouble) } },
      before ? `Replace version ${before.version}` : "Install");
    const no = el("button", { type: "button", on: { click: () => this.#forget() } }, "Not now");
    const old = before ? permissionsOf(before).map(({ text, detail }) => `${text} ${detail}`) : null;
    const isNew = ({ text, detail }) => old !== null && !old.includes(`${text} ${detail}`);
    show(this.#result, el("div", { class: "review" },
      heading,
      el("p", { class: "under" }, el("code", {}, found.id), found.author && ` by ${found.author}`),
      found.description && el("p", {}, found.description),
      found.warnings.length > 0 && el("div", { class: "warned-box" },
        el("h4", {}, "Warnings"), el("ul", { class: "warnings" }, found.warnings.map((text) => el("li", {}, text)))),
      el("h4", {}, "It may"), permissionList(found, isNew),
      before && el("h4", {}, "What changes"), before && changes(found, before),
      el("p", { class: "signer" }, found.signer ? ["Signed by ", el("code", {}, found.signer)] : "Nobody has signed it."),
      trouble, el("div", { class: "actions" }, yes, no)));
    heading.focus();
  }

  async #install(found, files, button, trouble) {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    setText(button, "Installing…");
    try {
      const { name, version } = await upload("extensions", bodyOf(files), this.#signal);
      this.#forget();
      announce(`${name} ${version} is installed.`);
      show(this.#result, el("p", { class: "done" }, `${name} ${version} is installed.`));
      this.#installed();
    } catch (error) {
      if (error.name === "AbortError") return;
      setText(button, "Try again");
      button.removeAttribute("aria-disabled");
      show(trouble, problem(error));
    }
  }

  #forget() {
    show(this.#result);
    this.#input.focus();
  }
}

/** What is uploaded: a package as it is, or a manifest with its module as a form. */
function bodyOf(files) {
  const named = (end) => files.filter((file) => file.name.toLowerCase().endsWith(end));
  const [manifest, module] = [named(".json"), named(".wasm")];
  if (files.length === 1 && manifest.length === 0 && module.length === 0) return files[0];
  if (files.length === 2 && manifest.length === 1 && module.length === 1) {
    const form = new FormData();
    form.append("manifest", manifest[0]);
    form.append("module", module[0]);
    return form;
  }
  const names = files.map(({ name }) => name).join(", ");
  throw new Error(`These files are no extension: ${names}. Choose one package, or a manifest (.json) together with its module (.wasm).`);
}

/** What is different from what is installed. */
function changes(found, before) {
  const rows = [
    ["Version", before.version, found.version],
    ["Module", before.module.sha256.slice(0, 12), found.module.sha256.slice(0, 12)],
    ["Size", bytes(before.module.bytes), bytes(found.module.bytes)],
    ["Signed by", before.signer ?? "nobody", found.signer ?? "nobody"],
    ["Jobs", names(before), names(found)],
  ].filter(([, old, now]) => old !== now);
  const permissions = new Set(permissionsOf(found).map(({ text, detail }) => `${text} ${detail}`));
  const lost = permissionsOf(before).filter(({ text, detail }) => !permissions.has(`${text} ${detail}`));
  if (rows.length === 0 && lost.length === 0) return el("p", { class: "muted" }, "Nothing: it is what is installed.");
  return el("table", { class: "plain changes" },
    el("thead", {}, el("tr", {}, ["", "Installed", "These files"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map(([name, old, now]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, old), el("td", {}, now))),
      lost.map(({ text, detail }) => el("tr", {}, el("th", { scope: "row" }, "May"), el("td", {}, text, " ", detail && el("code", {}, detail)),
        el("td", {}, "not any more")))));
}

const names = ({ jobs }) => jobs.map(({ name }) => name.slice(name.indexOf(":") + 1)).sort().join(", ") || "none";
