/** Starts the page. */

import { get } from "./api.js";
import { dispatchView } from "./dispatch.js";
import { el, show } from "./dom.js";
import { extensionView } from "./extension.js";
import { extensionsView } from "./extensions.js";
import { importView } from "./import.js";
import { jobView } from "./job.js";
import { jobsView } from "./jobs-list.js";
import { showLink } from "./link.js";
import { start, tryNow } from "./live.js";
import { startRouter, tellFailure } from "./router.js";
import { signOut, token } from "./session.js";

startRouter([jobsView, jobView, extensionsView, extensionView, dispatchView, importView]);
showLink();
start();
addEventListener("online", tryNow);
about().catch(tellFailure);

/** What server this is. */
async function about() {
  const health = await get("health");
  const button = document.getElementById("sign-out");
  button.hidden = token() === null;
  button.addEventListener("click", signOut);
  const trust = health.trusted_keys
    ? `takes extensions signed by ${health.trusted_keys.length} trusted keys`
    : "takes extensions of everybody";
  show(document.getElementById("footer"),
    el("span", {}, `Toehold ${health.version}`), el("span", {}, `data in ${health.data}`), el("span", {}, trust));
}
