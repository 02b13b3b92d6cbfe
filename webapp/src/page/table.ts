/** The table of all readings. */
import { byId, element } from "./dom.js";
import type { Reading } from "./readings.js";
import { texts } from "../strings.js";

const THUMB = 88;

export class ReadingTable {
  readonly #head = byId("table-head", HTMLTableSectionElement);
  readonly #body = byId("table-body", HTMLTableSectionElement);
  readonly #rows = new Map<number, HTMLTableRowElement>();

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

  /** A row for one more reading, with a small picture of it where there is one. */
  add(reading: Reading, picture: HTMLCanvasElement | null): void {
    const open = element("button", { type: "button", class: "link", "aria-label": texts.show(reading.file.name) }, reading.file.name);
    open.addEventListener("click", () => this.show(reading));
    const row = element(
      "tr",
      {},
      element("td", { class: "thumb" }, picture === null ? null : thumbnail(picture)),
      element("th", { scope: "row" }, open),
      element("td", {}, decisionTag(reading)),
      ...this.#scores(reading),
      element("td", {}, note(reading)),
    );
    this.#rows.set(reading.number, row);
    this.#body.append(row);
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

function thumbnail(picture: HTMLCanvasElement): HTMLCanvasElement {
  const scale = THUMB / Math.max(picture.width, picture.height);
  const small = element("canvas", {
    width: String(Math.max(1, Math.round(picture.width * scale))),
    height: String(Math.max(1, Math.round(picture.height * scale))),
    "aria-hidden": "true",
  });
  small.getContext("2d")?.drawImage(picture, 0, 0, small.width, small.height);
  return small;
}
