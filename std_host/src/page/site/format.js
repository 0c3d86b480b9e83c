/** Numbers, sizes and times in words. */

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const STATES = ["running", "queued", "paused", "completed", "failed", "cancelled"];
export const isOver = (state) => ["completed", "failed", "cancelled"].includes(state);

/** `12,345` */
export const count = (number) => whole.format(number);

/** `12.3K` */
export const brief = (number) => (number < 10_000 ? whole.format(Math.round(number)) : short.format(number));

/** `1 job`, `2 jobs` */
export const counted = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** `1.5 KiB` */
export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = number;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${unit === 0 ? count(value) : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

/** `3 min 20 s`: the two largest units. */
export function duration(ms) {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  let left = Math.round(seconds);
  const parts = [];
  for (const [name, size] of units) {
    const value = Math.floor(left / size);
    left -= value * size;
    if (value > 0) parts.push(`${count(value)} ${name}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** `just now`, `12 s ago`, `3 h ago` */
export function ago(at, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - at) / 1_000));
  if (seconds < 2) return "just now";
  for (const [name, size] of [["d", 86_400], ["h", 3_600], ["min", 60]]) {
    if (seconds >= size) return `${count(Math.floor(seconds / size))} ${name} ago`;
  }
  return `${seconds} s ago`;
}

const two = (number) => String(number).padStart(2, "0");

/** `2026-11-27 14:03:09`, by the clock of who looks */
export function dateTime(at) {
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(at)}`;
}

/** `14:03:09` */
export function clock(at) {
  const date = new Date(at);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** `42 %`, and never 100 before it is all */
export function percent(fraction) {
  const value = fraction * 100;
  if (value >= 100) return "100 %";
  return value < 10 ? `${(Math.floor(value * 10) / 10).toFixed(1)} %` : `${Math.floor(value)} %`;
}

/** `120 items/s · 4.0 KiB/s`; nothing where nothing moves */
export function rate(measured) {
  if (!measured) return "";
  const parts = [];
  const items = measured.items_per_second;
  if (items > 0) parts.push(`${items < 10 ? items.toFixed(1) : brief(items)} items/s`);
  if (measured.bytes_per_second > 0) parts.push(`${bytes(measured.bytes_per_second)}/s`);
  return parts.join(" · ");
}

/** The part of a job's full name behind its extension's id. */
export const jobName = (full) => full.slice(full.indexOf(":") + 1);
/** The extension's id in a job's full name. */
export const extensionOf = (full) => full.slice(0, full.indexOf(":"));

/** A message of a progress with its phase and steps. */
export function progressWords(progress) {
  if (!progress) return "";
  const steps = progress.steps ? `${count(progress.steps[0])} of ${count(progress.steps[1])}` : "";
  return [progress.phase, steps, progress.message].filter(Boolean).join(" · ");
}
