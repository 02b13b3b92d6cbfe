/** The table of all readings. */
import type { Planes } from "../core/preprocess.js";
import { byId, element } from "./dom.js";
import { thumbnailOf } from "./picture.js";
import type { Reading } from "./readings.js";
import { texts } from "../strings.js";

export class ReadingTable {
  readonly #head = byId("table-head", HTMLTableSectionElement);
  readonly #body = byId("table-body", HTMLTableSectionElement);
  readonly #rows = new Map<number, HTMLTableRowElement>();
  /** Rows that are not in the table yet. */
  #waiting: HTMLTableRowElement[] = [];

  constructor(
    private readonly classes: readonly string[],
    private readonly show: (reading: Reading) => void,
  ) {
    const names = [texts.columnImage, texts.columnDecision];
    const cells = names.map((name) => element("th", { scope: "col" }, name));
    const scores = classes.map((name) => element("th", { scope: "col", class: "number" }, name));
    const picture = element("td", {});
    this.#head.replaceChildren(
      element("tr", {}, picture, ...cells, ...scores, element("th", { scope: "col" }, texts.columnNote)),
    );
  }

  /** A row for one more reading, with a small picture of its image where there is one; seen after `flush`. */
  add(reading: Reading, image: Planes | null): void {
    const open = element("button", { type: "button", class: "link", "aria-label": texts.show(reading.file.name) }, reading.file.name);
    open.addEventListener("click", () => this.show(reading));
    const row = element(
      "tr",
      {},
      element("td", { class: "thumb" }, image === null ? null : thumbnail(image)),
      element("th", { scope: "row" }, open),
      element("td", {}, decisionTag(reading)),
      ...this.#scores(reading),
      element("td", {}, note(reading)),
    );
    this.#rows.set(reading.number, row);
    this.#waiting.push(row);
  }

  /** Put the rows that wait into the table, all at once: each change of it is a layout of all that is in it. */
  flush(): void {
    this.#body.append(...this.#waiting.splice(0));
  }

  choose(reading: Reading): void {
    for (const [number, row] of this.#rows) {
      const chosen = number === reading.number;
      row.classList.toggle("chosen", chosen);
      row.querySelector("button")?.setAttribute("aria-current", String(chosen));
    }
  }

  clear(): void {
    this.#rows.clear();
    this.#waiting = [];
    this.#body.replaceChildren();
  }

  #scores(reading: Reading): HTMLTableCellElement[] {
    return this.classes.map((_, at) => {
      const scored = reading.outcome.kind === "scored" ? reading.outcome.probabilities[at] : undefined;
      return element("td", { class: "number" }, scored === undefined ? "" : texts.percent(scored));
    });
  }
}

function decisionTag(reading: Reading): HTMLElement {
  const { outcome } = reading;
  if (outcome.kind === "refused") return element("span", { class: "tag refused" }, texts.notScored);
  return element("span", { class: `tag ${outcome.positive ? "positive" : "negative"}` }, outcome.decision);
}

function note(reading: Reading): string {
  if (reading.outcome.kind === "refused") return reading.outcome.why;
  return [reading.known === true ? texts.inTraining : "", ...reading.notes].filter((words) => words !== "").join(" ");
}

function thumbnail(image: Planes): HTMLCanvasElement {
  const small = thumbnailOf(image);
  const canvas = element("canvas", { width: String(small.width), height: String(small.height), "aria-hidden": "true" });
  canvas.getContext("2d")?.putImageData(small, 0, 0);
  return canvas;
}
