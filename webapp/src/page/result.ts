/** The panel beside the picture: the decision, the probabilities, what else is to be known. */
import { byId, drawing, element } from "./dom.js";
import type { DecisionRule, Reading, Scored } from "./readings.js";
import { texts } from "../strings.js";

/** `turn` reads the file again, turned as it asks to be shown. */
export function showResult(reading: Reading, rule: DecisionRule, turn: (file: File) => void): void {
  const { outcome } = reading;
  const parts: Node[] =
    outcome.kind === "scored"
      ? [decision(outcome, rule), probabilities(outcome, rule)]
      : [element("div", { class: "decision refused" }, element("strong", {}, texts.notScored), element("p", {}, outcome.why))];
  parts.push(...reading.notes.map((words) => element("p", { class: "note" }, words)));
  if (reading.turn === "ignored") parts.push(turnButton(reading.file, turn));
  if (reading.known === true) parts.push(element("p", { class: "note" }, texts.known));
  parts.push(facts(reading));
  byId("result", HTMLDivElement).replaceChildren(...parts);
}

function turnButton(file: File, turn: (file: File) => void): HTMLElement {
  const button = element("button", { id: "turn", type: "button" }, texts.turnAndRead);
  button.addEventListener("click", () => turn(file));
  return element("p", {}, button);
}

/** The reading in one sentence, for the status line and screen readers. */
export function sentence(reading: Reading, rule: DecisionRule): string {
  const { outcome } = reading;
  if (outcome.kind === "refused") return texts.readOne(reading.file.name, outcome.why);
  return texts.readOne(reading.file.name, `${outcome.decision}. ${reason(outcome, rule)}`);
}

function reason(outcome: Scored, rule: DecisionRule): string {
  if (rule.classes.length !== 2) return texts.likeliest;
  const probability = outcome.probabilities[rule.classes.indexOf(rule.positiveClass)] ?? 0;
  return (outcome.positive ? texts.above : texts.below)(rule.positiveClass, probability, rule.threshold);
}

function decision(outcome: Scored, rule: DecisionRule): HTMLElement {
  return element(
    "div",
    { class: `decision ${outcome.positive ? "positive" : "negative"}` },
    element("strong", {}, outcome.decision),
    element("p", {}, reason(outcome, rule)),
  );
}

function probabilities(outcome: Scored, rule: DecisionRule): HTMLElement {
  const list = element("dl", { class: "scores", "aria-label": texts.probabilities });
  rule.classes.forEach((name, at) => {
    const probability = outcome.probabilities[at] ?? 0;
    const threshold = rule.classes.length === 2 && name === rule.positiveClass ? rule.threshold : null;
    list.append(
      element("div", { class: "score" }, element("dt", {}, name), element("dd", {}, texts.percent(probability)), bar(probability, threshold)),
    );
  });
  return list;
}

function bar(probability: number, threshold: number | null): SVGElement {
  const parts = [
    drawing("rect", { class: "trough", x: "0", y: "2", width: "1000", height: "8", rx: "4" }),
    drawing("rect", { class: "filled", x: "0", y: "2", width: String(Math.round(1000 * probability)), height: "8", rx: "4" }),
  ];
  if (threshold !== null) {
    const x = String(Math.round(1000 * threshold));
    const title = drawing("title", {});
    title.textContent = texts.thresholdMark(threshold);
    parts.push(drawing("line", { class: "mark-line", x1: x, x2: x, y1: "0", y2: "12" }, title));
  }
  return drawing("svg", { viewBox: "0 0 1000 12", preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
}

function facts(reading: Reading): HTMLElement {
  const rows: [string, string][] = [[texts.factFile, reading.file.name]];
  if (reading.size !== null) rows.push([texts.factSize, `${reading.size.width} × ${reading.size.height}`]);
  if (reading.outcome.kind === "scored") rows.push([texts.factTime, texts.milliseconds(reading.milliseconds)]);
  rows.push([texts.factHash, `${reading.sha256.slice(0, 16)}…`]);
  return element("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}
