/** The token of this tab. It is kept for as long as the tab is open, and sent to nobody but the server of this page. */

import { el } from "./dom.js";

const KEY = "toehold-token";

let asked = null;

/** The token, or null where none is known. */
export function token() {
  return sessionStorage.getItem(KEY);
}

/** Forgets the token, and loads the page anew so that nothing is left of what it showed. */
export function signOut() {
  sessionStorage.removeItem(KEY);
  location.reload();
}

/**
 * Asks for a token, and comes back once there is one. However many requests need it, it is asked for once.
 * `refused` is the token that the server did not take, or null.
 */
export function signIn(refused, message) {
  // Somebody was asked in the meantime.
  if (token() !== refused) return Promise.resolve();
  asked ??= ask(refused !== null, message).finally(() => {
    asked = null;
  });
  return asked;
}

function ask(wasWrong, message) {
  return new Promise((resolve) => {
    const input = el("input", {
      id: "token", type: "password", required: true, autocomplete: "current-password", spellcheck: "false",
      "aria-describedby": "token-help",
    });
    const error = wasWrong && el("p", { class: "problem", role: "alert" }, message);
    const form = el("form", { class: "stack" },
      el("h2", { id: "sign-in-title" }, "Sign in"),
      el("p", { id: "token-help" }, "This server asks for its token: the one that `toehold serve` was started with."),
      error,
      el("label", { for: "token" }, "Token"),
      input,
      el("div", { class: "actions" }, el("button", { type: "submit", class: "primary" }, "Sign in")));
    const dialog = el("dialog", { "aria-labelledby": "sign-in-title", class: "question" }, form);
    // There is nothing behind it to go back to, so Escape does not close it for good.
    dialog.addEventListener("close", () => dialog.isConnected && dialog.showModal());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const value = input.value.trim();
      if (!value) return;
      sessionStorage.setItem(KEY, value);
      dialog.remove();
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
