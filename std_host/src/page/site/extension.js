/** An extension that is installed: all there is to know of it, and what can be done about it. */

import { get, post, remove } from "./api.js";
import { alertUser, announce } from "./announce.js";
import { ask } from "./confirm.js";
import { el, section, setText, show } from "./dom.js";
import { bytes, count } from "./format.js";
import { fact, problem } from "./parts.js";
import { permissionList } from "./permissions.js";
import { linkTo, navigate, setTitle } from "./router.js";

export const extensionView = {
  title: "Extension",
  path: "/extensions/:id",
  open({ main, params, signal }) {
    const path = `extensions/${encodeURIComponent(params.id)}`;
    const heading = el("h1", {}, params.id);
    const actions = el("div", { class: "actions" });
    const trouble = el("div");
    const body = el("div", { class: "extension-parts" });
    const attempt = async (work) => {
      show(trouble);
      try {
        await work();
      } catch (error) {
        if (error.name !== "AbortError") show(trouble, problem(error));
      }
    };
    const render = (extension) => {
      setText(heading, extension.name);
      setTitle(extension.name);
      show(body, parts(extension));
    };
    const reload = () => attempt(async () => {
      render(await post(`${path}/reload`, undefined, signal));
      offer(true);
      announce("The extension is loaded anew.");
    });
    const removal = () => attempt(async () => {
      const sure = await ask(`Remove ${params.id}?`, "Its files on this server are deleted. Its jobs that are over are kept.", "Remove the extension");
      if (!sure) return;
      await remove(path, signal);
      navigate("#/extensions");
      alertUser("The extension is removed.");
    });
    show(main,
      el("nav", { class: "crumbs", "aria-label": "Where this is" }, el("a", { href: "#/extensions" }, "Extensions"), " / "),
      el("div", { class: "view-head" }, heading, actions), trouble, body);
    const offer = (isLoaded) => show(actions,
      isLoaded && el("a", { class: "button primary", href: linkTo("/dispatch", { extension: params.id }) }, "Dispatch a job"),
      el("a", { class: "button", href: linkTo("/jobs", { extension: params.id }) }, "Its jobs"),
      el("button", { type: "button", on: { click: reload } }, "Reload"),
      el("button", { type: "button", class: "danger-quiet", on: { click: removal } }, "Remove"));
    attempt(async () => {
      try {
        render(await get(path, signal));
        offer(true);
      } catch (error) {
        // It lies there and has a mistake: once somebody has mended that, it can be loaded.
        if (error.code === "extension_not_loaded") offer(false);
        throw error;
      }
    });
  },
};

/** All that there is to say of it, in parts; of one that is to be installed as well. */
export function parts(extension) {
  const { description, warnings = [], jobs } = extension;
  return [
    description && el("p", { class: "lead" }, description),
    warnings.length > 0 && section("Warnings", { class: "card warned" },
      el("ul", { class: "warnings" }, warnings.map((text) => el("li", {}, text)))),
    el("div", { class: "halves" },
      section("It may", { class: "card" }, permissionList(extension)),
      section("Details", { class: "card" }, facts(extension))),
    section("Jobs", { class: "card" }, jobTable(jobs)),
    section("Inside", { class: "card" },
      signatures("Imports", extension.imports ?? []), signatures("Exports", extension.exports ?? [])),
  ];
}

function facts({ id, version, author, homepage, folder, signer, module, memory_at_start_bytes: memory }) {
  return el("dl", { class: "facts" },
    fact("Id", id, { class: "mono" }),
    fact("Version", version),
    author && fact("Author", author),
    homepage && fact("Homepage", page(homepage)),
    fact("Signed by", signer ?? "nobody", signer ? { class: "mono" } : undefined),
    fact("Module", `${module.file}, ${bytes(module.bytes)}`),
    fact("SHA-256", module.sha256, { class: "mono" }),
    fact("Memory at start", bytes(memory)),
    folder && fact("Folder", folder, { class: "mono" }));
}

/** A link where it is one to a web page. An extension may have written anything there, a script too. */
function page(homepage) {
  const isWeb = /^https?:\/\//i.test(homepage) && URL.canParse(homepage);
  return isWeb ? el("a", { href: homepage, rel: "noopener noreferrer", target: "_blank" }, homepage) : homepage;
}

function jobTable(jobs) {
  if (jobs.length === 0) return el("p", { class: "muted" }, "None.");
  return el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, ["Job", "Function", "Pause and resume"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, jobs.map(({ name, export: function_, resumable }) => el("tr", {},
      el("td", {}, el("a", { href: linkTo("/dispatch", { job: name }) }, name)),
      el("td", {}, el("code", {}, function_)),
      el("td", {}, resumable ? "yes" : "no")))));
}

function signatures(name, lines) {
  return el("details", {}, el("summary", {}, `${name} (${count(lines.length)})`),
    el("ul", { class: "mono signatures" }, lines.map((line) => el("li", {}, line))));
}
