/** What a screen reader says: one sentence after something was done, never what changes all the time. */

function say(id, text) {
  const region = document.getElementById(id);
  // The same sentence again is only read where the region was empty in between.
  region.textContent = "";
  requestAnimationFrame(() => {
    region.textContent = text;
  });
}

/** Says it once the reader is done with what it is at. */
export function announce(text) {
  say("announcer", text);
}

/** Says it at once. */
export function alertUser(text) {
  say("alerter", text);
}
