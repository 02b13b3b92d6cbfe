/** The readings as a CSV file. */
import { type Cell, toCsv } from "../core/csv.js";
import { element } from "./dom.js";
import type { Reading } from "./readings.js";

/** Header and rows: the columns of `cxr`'s predictions.csv come first, so that both can be laid side by side. */
export function readingsTable(readings: readonly Reading[], classes: readonly string[]): { header: string[]; rows: Cell[][] } {
  const header = ["file", "sha256", ...classes.map((name) => `p_${name}`), "decision", "training_image", "note"];
  const rows = readings.map(({ file, sha256, outcome, known, notes }): Cell[] => {
    const scores = classes.map((_, at) => (outcome.kind === "scored" ? Number(outcome.probabilities[at].toFixed(6)) : null));
    const [decision, note] = outcome.kind === "scored" ? [outcome.decision, notes.join(" ")] : ["", outcome.why];
    return [file.name, sha256, ...scores, decision, known === null ? "" : known ? "yes" : "no", note];
  });
  return { header, rows };
}

export function download(readings: readonly Reading[], classes: readonly string[]): void {
  const { header, rows } = readingsTable(readings, classes);
  const blob = new Blob([toCsv(header, rows)], { type: "text/csv;charset=utf-8" });
  const address = URL.createObjectURL(blob);
  element("a", { href: address, download: "readings.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
