/** From a file to a Reading: hash, decode, check, prepare, score, decide. */
import type { Classifier } from "../core/classifier.js";
import type { PageDescription } from "../core/contract.js";
import { type Decoded, decode } from "../core/decode.js";
import { turned } from "../core/exif.js";
import { type Gate, looksLikeChest, readGate } from "../core/looksLikeChest.js";
import { type Planes, preprocess } from "../core/preprocess.js";
import { isKnown, sha256 } from "../core/sha256.js";
import { notes, texts } from "../strings.js";
import { calibrated, decide, type Given, type Outcome, type Reading, type Turn } from "./readings.js";

export interface Read {
  readonly reading: Reading;
  /** The decoded image, null when it could not be decoded. */
  readonly image: Planes | null;
}

export class Reader {
  readonly #gate: Gate | null;
  #count = 0;

  /** `known`: sorted prefixes of the SHA-256 of the training images' files, empty when the page has none. */
  constructor(
    private readonly page: PageDescription,
    private readonly classifier: Classifier,
    private readonly known: Uint8Array,
  ) {
    this.#gate = page.gate === null ? null : readGate(page.gate);
  }

  /** Never rejects: what goes wrong with a file is in its reading. */
  async read({ file, turn }: Given): Promise<Read> {
    this.#count += 1;
    const began = performance.now();
    const reading: Omit<Reading, "outcome"> = {
      ...{ number: this.#count, file, turn: "none", sha256: "", known: null, size: null, notes: [], milliseconds: 0 },
    };
    let hashing: Promise<Uint8Array> | null = null;
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      hashing = sha256(bytes); // in a thread of the browser's, beside the decoding
      const started = performance.now();
      const stored = await decode(bytes);
      const decoded = turn ? turned(stored, stored.orientation) : stored;
      const asked: Turn = stored.orientation === 1 ? "none" : turn ? "done" : "ignored";
      const outcome = await this.#outcome(decoded, asked);
      const milliseconds = performance.now() - started;
      const { width, height } = decoded;
      const words = [...decoded.notes.map((code) => notes[code]), ...saidOf(asked, outcome)];
      const about = { ...reading, ...(await this.#identity(hashing)), turn: asked };
      return { reading: { ...about, size: { width, height }, notes: words, outcome, milliseconds }, image: decoded };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const milliseconds = performance.now() - began;
      const about = { ...reading, ...(await this.#identity(hashing)) };
      return { reading: { ...about, milliseconds, outcome: { kind: "refused", why } }, image: null };
    }
  }

  /** The file's hash, and whether it was a training image; null: it could not be read. */
  async #identity(hashing: Promise<Uint8Array> | null): Promise<Pick<Reading, "sha256" | "known">> {
    const digest = await hashing;
    return digest === null ? { sha256: "", known: null } : { sha256: hex(digest), known: this.#isKnown(digest) };
  }

  #isKnown(digest: Uint8Array): boolean | null {
    return this.page.known.path === null ? null : isKnown(digest, this.known, this.page.known);
  }

  /** The image again, for the film. Rejects when the file has gone since. */
  async image({ file, turn }: Reading): Promise<Planes> {
    const stored = await decode(new Uint8Array(await file.arrayBuffer()));
    return turn === "done" ? turned(stored, stored.orientation) : stored;
  }

  async #outcome(decoded: Decoded, turn: Turn): Promise<Outcome> {
    const { preprocessing, classes, positive_class: positiveClass, threshold } = this.page;
    const pixels = preprocess(decoded, preprocessing);
    if (this.#gate !== null && !looksLikeChest(decoded, pixels, preprocessing, this.#gate).looksLikeChest) {
      return { kind: "refused", why: turn === "ignored" ? texts.unlikeTurned : texts.unlike };
    }
    const { probabilities, maps } = await this.classifier.classify(pixels);
    const scores = calibrated(probabilities, this.page.temperature);
    return { kind: "scored", probabilities: scores, ...decide(scores, { classes, positiveClass, threshold: threshold.value }), maps: maps ?? null };
  }
}

/** What is said of a turned file; a refusal says by itself that it was not turned. */
function saidOf(turn: Turn, outcome: Outcome): string[] {
  if (turn === "done") return [notes.upright];
  return turn === "ignored" && outcome.kind === "scored" ? [notes.turned] : [];
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
