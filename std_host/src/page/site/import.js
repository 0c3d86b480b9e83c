/** Takes over a job from a bundle that another host exported. */

import { upload, withQuery } from "./api.js";
import { announce } from "./announce.js";
import { el, setText, show } from "./dom.js";
import { bytes } from "./format.js";
import { problem } from "./parts.js";
import { linkTo, navigate } from "./router.js";

export const importView = {
  title: "Import",
  path: "/import",
  open({ main, signal }) {
    const file = el("input", { id: "bundle", type: "file", required: true, accept: ".bundle", "aria-describedby": "bundle-help" });
    const paused = el("input", { id: "paused", type: "checkbox" });
    const button = el("button", { type: "submit", class: "primary" }, "Import");
    const trouble = el("div");
    const send = async () => {
      const [bundle] = file.files;
      if (!bundle || button.getAttribute("aria-disabled") === "true") return;
      button.setAttribute("aria-disabled", "true");
      setText(button, `Sending ${bytes(bundle.size)}…`);
      show(trouble);
      try {
        const path = withQuery("jobs/import", { paused: paused.checked ? "1" : null });
        const status = await upload(path, bundle, signal);
        navigate(linkTo(`/jobs/${status.job_id}`));
        announce("The job is imported.");
      } catch (error) {
        if (error.name !== "AbortError") show(trouble, problem(error));
      }
      button.removeAttribute("aria-disabled");
      setText(button, "Import");
    };
    show(main,
      el("div", { class: "view-head" }, el("h1", {}, "Import a job")),
      el("form", { class: "card stack narrow-form", on: { submit: (event) => {
        event.preventDefault();
        send();
      } } },
        el("p", { id: "bundle-help" },
          "A bundle is all there is of a job: its state, its journal and its log. The job goes on here where it was. ",
          "Pause it on the other host first, or its effects happen on both."),
        el("label", { for: "bundle" }, "Bundle"), file,
        el("div", { class: "check" }, paused, el("label", { for: "paused" }, "Leave it paused")),
        trouble, el("div", { class: "actions" }, button)));
  },
};
