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

export interface Reading {
  readonly number: number;
  readonly file: File;
  readonly sha256: string;
  readonly known: boolean;
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
