/** A curve of a value over time: a picture, the same in a sentence, and as a table. */

import { el, setAttribute, setText, show, svg } from "./dom.js";
import { clock, duration } from "./format.js";

const HEIGHT = 170;
const MARGIN = { top: 10, right: 12, bottom: 22, left: 58 };
/** Rows of the table. */
const ROWS = 12;

export class Chart {
  #picture = svg("svg", { class: "chart", role: "img", height: HEIGHT });
  #grid = svg("g", { class: "grid" });
  #area = svg("path", { class: "area" });
  #line = svg("path", { class: "line", fill: "none" });
  #dot = svg("circle", { class: "dot", r: 3.5 });
  #empty = el("p", { class: "muted" }, "There is no curve before the job tells of itself twice.");
  #readout = el("p", { class: "muted readout" });
  #table = el("tbody");
  #head = el("th", { scope: "col" });
  #details;
  #drawn = null;

  constructor() {
    this.#picture.append(this.#grid, this.#area, this.#line, this.#dot);
    this.#details = el("details", { class: "as-table" }, el("summary", {}, "As a table"),
      el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Time"), el("th", { scope: "col" }, "After"), this.#head)),
        this.#table));
    this.#details.addEventListener("toggle", () => this.#fillTable());
    this.#picture.addEventListener("pointermove", (event) => this.#point(event));
    this.#picture.addEventListener("pointerleave", () => this.#tell());
    this.node = el("div", { class: "chart-box" }, this.#empty, this.#picture, this.#readout, this.#details);
  }

  /** Draws points `{ at, value }` in the order of time. `words` has `word`, `axis` and `full`, which write a value. */
  draw(points, words) {
    const isDrawn = points.length > 1 && points.at(-1).at > points[0].at;
    this.#empty.hidden = isDrawn;
    setAttribute(this.#picture, "hidden", !isDrawn);
    this.#readout.hidden = this.#details.hidden = !isDrawn;
    if (!isDrawn) return;
    const width = Math.max(220, this.node.clientWidth);
    const [start, end] = [points[0].at, points.at(-1).at];
    const top = niceTop(Math.max(...points.map(({ value }) => Number(value))));
    const x = (at) => MARGIN.left + ((at - start) / (end - start)) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => HEIGHT - MARGIN.bottom - (Number(value) / top) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    this.#drawn = { points, words, x, start };
    setAttribute(this.#picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
    setAttribute(this.#picture, "width", width);
    const path = points.map(({ at, value }) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
    setAttribute(this.#line, "d", `M${path}`);
    setAttribute(this.#area, "d", `M${path}L${x(end).toFixed(1)} ${y(0)}L${x(start).toFixed(1)} ${y(0)}Z`);
    setAttribute(this.#dot, "cx", x(end));
    setAttribute(this.#dot, "cy", y(points.at(-1).value));
    this.#drawGrid(width, top, y, x);
    this.#tell();
    this.#fillTable();
  }

  #drawGrid(width, top, y, x) {
    const { words, points, start } = this.#drawn;
    const end = points.at(-1).at;
    const lines = [0, top / 2, top].map((value) => [
      svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
      svg("text", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, words.axis(value)),
    ]);
    const times = [
      svg("text", { x: x(start), y: HEIGHT - 4 }, clock(start)),
      svg("text", { x: x(end), y: HEIGHT - 4, "text-anchor": "end" }, clock(end)),
    ];
    show(this.#grid, lines.flat(), times);
  }

  /** Says what is to be seen. */
  #tell() {
    if (!this.#drawn) return;
    const { points, words, start } = this.#drawn;
    const last = points.at(-1);
    const sentence = `${words.word}: ${words.full(last.value)} after ${duration(last.at - start)}.`;
    setText(this.#readout, sentence);
    setAttribute(this.#picture, "aria-label", `Curve. ${sentence}`);
  }

  /** Says what is under the pointer. */
  #point(event) {
    if (!this.#drawn) return;
    const { points, words, x, start } = this.#drawn;
    const at = event.clientX - this.#picture.getBoundingClientRect().left;
    const nearest = points.reduce((best, point) => (Math.abs(x(point.at) - at) < Math.abs(x(best.at) - at) ? point : best));
    setText(this.#readout, `${clock(nearest.at)}: ${words.full(nearest.value)} after ${duration(nearest.at - start)}.`);
  }

  #fillTable() {
    if (!this.#details.open || !this.#drawn) return;
    const { points, words, start } = this.#drawn;
    const step = Math.max(1, (points.length - 1) / (ROWS - 1));
    const chosen = new Set();
    for (let place = 0; place < points.length - 1; place += step) chosen.add(points[Math.round(place)]);
    chosen.add(points.at(-1));
    setText(this.#head, words.word);
    show(this.#table, [...chosen].map(({ at, value }) =>
      el("tr", {}, el("td", {}, clock(at)), el("td", {}, duration(at - start)), el("td", {}, words.full(value)))));
  }
}

/** A round number that is no smaller, and whose half is a whole one: that stands at the axis too. */
function niceTop(value) {
  if (value <= 0) return 2;
  const size = 10 ** Math.floor(Math.log10(value));
  const steps = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * size);
  return steps.find((step) => step >= value && Number.isInteger(step / 2)) ?? value;
}
