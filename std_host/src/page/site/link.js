/** How the connection stands: a word in the head of the page, and a banner while it is gone. */

import { el, setAttribute, setText, show } from "./dom.js";
import { announce } from "./announce.js";
import { tryNow, watchLink } from "./live.js";

const WORDS = { connecting: "Connecting", live: "Live", lost: "Not connected" };

export function showLink() {
  const word = document.getElementById("link-state");
  const banner = document.getElementById("banner");
  const text = el("span");
  const countdown = el("span", { "aria-hidden": "true" });
  const button = el("button", { type: "button", class: "small", on: { click: tryNow } }, "Try now");
  let timer;
  let before = null;
  watchLink((state) => {
    setAttribute(word, "data-link", state.link);
    setText(word, WORDS[state.link]);
    clearInterval(timer);
    banner.hidden = state.link !== "lost";
    if (state.link === "lost") {
      const sentence = `${state.message} What is shown may be old.`;
      // The banner is read out by itself, so it is only touched where it says something new.
      if (before !== "lost") show(banner, text, countdown, button);
      setText(text, sentence);
      const tick = () => setText(countdown, again(state.again));
      tick();
      timer = setInterval(tick, 1_000);
    } else if (before === "lost") {
      show(banner);
      announce("Connected again.");
    }
    before = state.link;
  });
}

function again(at) {
  if (at === null) return "";
  const seconds = Math.ceil((at - Date.now()) / 1_000);
  return seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again.";
}
