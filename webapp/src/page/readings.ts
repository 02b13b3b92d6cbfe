/** The Reading noun: one file that was given to the page, and what came of it. */
import type { Maps } from "../core/classifier.js";

/** A score as the bundle defines it: probabilities in the order of the classes, which sum to one. */
export interface Scored {
  readonly kind: "scored";
  readonly probabilities: readonly number[];
  readonly decision: string;
  readonly positive: boolean;
  readonly maps: Maps | null;
}

/** No score, and the sentence that says why. */
export interface Refused {
  readonly kind: "refused";
  readonly why: string;
}

export type Outcome = Scored | Refused;

export type Turn = "none" | "ignored" | "done";

/** A file to be read; `turn`: as it asks to be shown (EXIF), not as it is stored. */
export interface Given {
  readonly file: File;
  readonly turn: boolean;
}

export interface Reading {
  readonly number: number;
  readonly file: File;
  /** Whether the file asks to be shown turned (EXIF), and whether it was turned so before it was read. */
  readonly turn: Turn;
  readonly sha256: string;
  /** Whether it was a training image; null when the page has no hashes, or the file could not be read. */
  readonly known: boolean | null;
  /** Pixels of the decoded image, null when it could not be decoded. */
  readonly size: { readonly width: number; readonly height: number } | null;
  /** What was done to it on the way, in sentences. */
  readonly notes: readonly string[];
  /** From bytes to probabilities. */
  readonly milliseconds: number;
  readonly outcome: Outcome;
}

/** What the page asks of a bundle's description to decide. */
export interface DecisionRule {
  readonly classes: readonly string[];
  readonly positiveClass: string;
  readonly threshold: number;
}

/** What a probability counts as at least in the logarithm, as in `judging/calibration.py`. */
const FLOOR = 2 ** -25;

/** Probabilities at a temperature, softmax(log p / T); null where the model gives calibrated ones by itself. */
export function calibrated(probabilities: ArrayLike<number>, temperature: number | null): number[] {
  const given = Array.from(probabilities);
  if (temperature === null) return given;
  const logits = given.map((value) => Math.log(Math.max(value, FLOOR)) / temperature);
  const most = Math.max(...logits);
  const powers = logits.map((value) => Math.exp(value - most));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

/** The decision: with two classes the positive one when its probability reaches the threshold; with more, the
 * likeliest class, and positive when that is the positive class. */
export function decide(probabilities: readonly number[], rule: DecisionRule): { decision: string; positive: boolean } {
  const positiveAt = rule.classes.indexOf(rule.positiveClass);
  if (rule.classes.length === 2) {
    const positive = (probabilities[positiveAt] ?? 0) >= rule.threshold;
    const decision = rule.classes[positive ? positiveAt : 1 - positiveAt] ?? "";
    return { decision, positive };
  }
  const best = probabilities.reduce((top, value, at) => (value > (probabilities[top] ?? 0) ? at : top), 0);
  return { decision: rule.classes[best] ?? "", positive: best === positiveAt };
}
