/** The dialog with the model card and its figures. */
import { byId, element } from "./dom.js";
import { texts } from "../strings.js";

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly share: boolean;
}

/** What page.json says for people: rows of words, and the figures of an evaluation. */
export interface Card {
  readonly summary: string;
  readonly about: readonly (readonly [string, string])[];
  readonly data: readonly (readonly [string, string])[];
  readonly build: readonly (readonly [string, string])[];
}

export interface Metrics {
  readonly caption: string;
  readonly figures: readonly Figure[];
}

export function prepareAbout(card: Card, metrics: Metrics | null): void {
  const dialog = byId("about", HTMLDialogElement);
  const open = byId("open-about", HTMLButtonElement);
  open.hidden = false;
  open.addEventListener("click", () => dialog.showModal());
  byId("close-about", HTMLButtonElement).addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });
  byId("about-body", HTMLDivElement).replaceChildren(
    part(texts.cardWhat, element("p", {}, card.summary), rows(card.about)),
    part(texts.cardMetrics, metrics === null ? element("p", { class: "quiet" }, texts.noMetrics) : figures(metrics)),
    part(texts.cardLimits, element("ul", {}, ...texts.limits.map((limit) => element("li", {}, limit)))),
    part(texts.cardData, rows(card.data)),
    part(texts.cardFiles, rows(card.build)),
  );
}

function part(title: string, ...children: Node[]): HTMLElement {
  return element("section", {}, element("h3", {}, title), ...children);
}

function rows(pairs: readonly (readonly [string, string])[]): HTMLElement {
  return element("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function figures(metrics: Metrics): HTMLElement {
  const written = (value: number, share: boolean): string => (share ? texts.percent(value) : value.toFixed(4));
  const pairs = metrics.figures.map(({ name, value, low, high, share }): [string, string] => [
    name,
    low === null || high === null
      ? written(value, share)
      : texts.interval(written(value, share), written(low, share), written(high, share)),
  ]);
  return element("div", {}, element("p", { class: "quiet small" }, metrics.caption), rows(pairs));
}
