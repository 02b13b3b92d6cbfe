/** From a file to a Reading: hash, decode, check, prepare, score, decide. */
import { type Classifier } from "../core/classifier.js";
import { type PageDescription } from "../core/contract.js";
import { type Decoded, decode, toPicture } from "../core/decode.js";
import { likeness } from "../core/looksLikeChest.js";
import { prepare } from "../core/preprocess.js";
import { sha256 } from "../core/sha256.js";
import type { KnownFiles } from "./known.js";
import { type Reading, decide } from "./readings.js";
import { texts } from "./texts.js";

export interface Read {
  readonly reading: Reading;
  /** The decoded image in 8 bits, null when it could not be decoded. */
  readonly picture: HTMLCanvasElement | null;
}

export class Reader {
  #count = 0;

  constructor(
    private readonly page: PageDescription,
    private readonly classifier: Classifier,
    private readonly known: KnownFiles,
  ) {}

  /** Never rejects: what goes wrong with a file is in its reading. */
  async read(file: File): Promise<Read> {
    this.#count += 1;
    const began = performance.now();
    const reading = { number: this.#count, file, sha256: "", known: false, size: null, milliseconds: 0 };
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      const hash = sha256(bytes);
      const about = { ...reading, sha256: hash, known: this.known.has(hash) };
      const started = performance.now();
      try {
        const decoded = await decode(bytes);
        const size = { width: decoded.width, height: decoded.height };
        const outcome = await this.#outcome(decoded);
        const milliseconds = performance.now() - started;
        return { reading: { ...about, size, outcome, milliseconds }, picture: toPicture(decoded) };
      } catch (error) {
        return refusal(about, error, began);
      }
    } catch (error) {
      return refusal(reading, error, began);
    }
  }

  /** The image again, for the film. */
  async picture(file: File): Promise<HTMLCanvasElement> {
    return toPicture(await decode(new Uint8Array(await file.arrayBuffer())));
  }

  async #outcome(decoded: Decoded): Promise<Reading["outcome"]> {
    const { gate, preprocessing, classes, positive_class: positiveClass, threshold } = this.page;
    if (gate !== null && !likeness(decoded, gate).passes) return { kind: "refused", why: texts.unlike };
    const scores = await this.classifier.classify(prepare(decoded, preprocessing));
    const probabilities = [...scores.probabilities];
    const decided = decide(probabilities, { classes, positiveClass, threshold: threshold.value });
    return { kind: "scored", probabilities, ...decided, maps: scores.maps ?? null };
  }
}

function refusal(about: Omit<Reading, "outcome">, error: unknown, began: number): Read {
  const why = error instanceof Error ? error.message : String(error);
  const milliseconds = performance.now() - began;
  return { reading: { ...about, milliseconds, outcome: { kind: "refused", why } }, picture: null };
}
