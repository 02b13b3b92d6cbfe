/**
 * What the tests in Python drive: `node pixelsTool.mjs < cases.json`, an array of `{ file, contract, gate? }` or
 * `{ planes: [file, …], type: "uint8" | "float32", height, width, contract, gate? }` (planes decoded by Python). Answers
 * with an array of `{ pixels (base64), notes?, measures?, ms }` or `{ error }`.
 */
import { readFile } from "node:fs/promises";
import { checkContract, type GateParameters } from "../src/core/contract.js";
import { decode } from "../src/core/decode.js";
import { looksLikeChest, readGate } from "../src/core/looksLikeChest.js";
import { type Planes, preprocess } from "../src/core/preprocess.js";
import { Problem } from "../src/core/problem.js";

interface Case {
  readonly file?: string;
  readonly planes?: readonly string[];
  readonly type?: "uint8" | "float32";
  readonly height?: number;
  readonly width?: number;
  readonly contract: unknown;
  readonly gate?: GateParameters;
}

async function planesOf({ planes = [], type, height = 0, width = 0 }: Case): Promise<Planes> {
  const files = await Promise.all(planes.map((path) => readFile(path)));
  const arrays = files.map((data) => {
    const bytes = new Uint8Array(data);
    return type === "float32" ? new Float32Array(bytes.buffer) : bytes;
  });
  return { height, width, planes: arrays };
}

async function answer(asked: Case): Promise<unknown> {
  const noBrowser = () => Promise.reject(new Problem("no-decoder", "this"));
  try {
    const image = asked.file ? await decode(new Uint8Array(await readFile(asked.file)), noBrowser) : await planesOf(asked);
    const contract = checkContract(asked.contract);
    const start = performance.now();
    const pixels = preprocess(image, contract);
    const ms = performance.now() - start;
    const measures = asked.gate && looksLikeChest(image, pixels, contract, readGate(asked.gate));
    const notes = "notes" in image ? image.notes : [];
    return { pixels: Buffer.from(pixels).toString("base64"), notes, measures, ms };
  } catch (error) {
    if (error instanceof Problem) return { error: error.code };
    throw error;
  }
}

const parts: Buffer[] = [];
for await (const part of process.stdin) parts.push(part as Buffer);
const cases = JSON.parse(Buffer.concat(parts).toString()) as Case[];
const answers: unknown[] = [];
for (const asked of cases) answers.push(await answer(asked));
process.stdout.write(JSON.stringify(answers));
