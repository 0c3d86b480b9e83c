/** Asks before something is done that can't be undone. */

import { el } from "./dom.js";

/** Whether somebody says yes. `action` is the word on the button. */
export function ask(title, text, action) {
  return new Promise((resolve) => {
    const button = (word, answer, style) =>
      el("button", { type: "button", class: style, on: { click: () => dialog.close(answer) } }, word);
    const no = button("Keep it", "no");
    const dialog = el("dialog", { "aria-labelledby": "ask-title", "aria-describedby": "ask-text", class: "question" },
      el("h2", { id: "ask-title" }, title),
      el("p", { id: "ask-text" }, text),
      el("div", { class: "actions" }, no, button(action, "yes", "danger")));
    // However it is closed, with Escape say: what is not a yes is a no.
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}
