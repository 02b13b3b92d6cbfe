/**
 * What the page is told: the preprocessing contract of a bundle, and page.json, which has it and all else.
 * Both are checked once, where they enter.
 */
import { Problem } from "./problem.js";

export const PAGE_SCHEMA_VERSION = 1;
const ASPECTS = ["squash", "center-crop", "pad"] as const;
const RESIZE = "antialiased-triangle";

export type Aspect = (typeof ASPECTS)[number];

/** How a file becomes the model's input: the Python class Preprocessing says what each word means. */
export interface Contract {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  readonly aspect: Aspect;
  readonly resize: typeof RESIZE;
  /** x * scale + offset is applied before the model where the model does not do it itself (1 and 0 otherwise). */
  readonly scale: number;
  readonly offset: number;
}

/** The operating point, on the (calibrated) probability of the positive class. */
export interface Threshold {
  readonly value: number;
  readonly chosen_by?: string;
  readonly chosen_on?: string;
  readonly sensitivity?: number | null;
  readonly specificity?: number | null;
}

/** Where the model lies, relative to the page; whether it has the second output `maps`; its bytes in all. */
export interface ModelPlace {
  readonly path: string;
  readonly has_maps: boolean;
  readonly bytes: number;
}

/** The sorted first bytes of the SHA-256 of each training image's file, one after the other. */
export interface KnownImages {
  readonly path: string | null;
  readonly prefix_bytes: number;
  readonly count: number;
}

/** Parameters of the check that an image looks like a chest X-ray (looksLikeChest.ts). Arrays are base64 of little-endian
 * float32. */
export interface GateParameters {
  readonly size: number;
  readonly components: number;
  readonly mean: string;
  readonly directions: string;
  readonly deviations: string;
  readonly upright: string;
  readonly most_colour: number;
  readonly least_contrast: number;
  readonly most_error: number;
  readonly most_distance: number;
  readonly least_upright: number;
}

export interface PageDescription {
  readonly schema_version: number;
  readonly name: string;
  readonly classes: readonly string[];
  readonly positive_class: string;
  readonly preprocessing: Contract;
  readonly threshold: Threshold;
  /** Of a calibration that is not inside the model; null otherwise. */
  readonly temperature: number | null;
  readonly model: ModelPlace;
  readonly known: KnownImages;
  readonly gate: GateParameters | null;
  readonly metrics: unknown;
  readonly card: Readonly<Record<string, unknown>>;
  readonly built_by: string;
}

/** The contract in a JSON value. Throws Problem("contract") for what is missing or not known: a default would be a guess. */
export function checkContract(value: unknown): Contract {
  const given = record(value, "preprocessing");
  const { height, width, channels } = given;
  const aspect = given["aspect"] ?? "squash";
  const resize = given["resize"] ?? RESIZE;
  if (!isSize(height) || !isSize(width)) throw new Problem("contract", "the size of its input is no number of pixels");
  if (channels !== 1 && channels !== 3) throw new Problem("contract", `${String(channels)} channels`);
  if (!ASPECTS.includes(aspect as Aspect)) throw new Problem("contract", `the aspect ${String(aspect)} is not known`);
  if (resize !== RESIZE) throw new Problem("contract", `the resize ${String(resize)} is not known`);
  const outside = given["scale_inside_model"] === false;
  return {
    height,
    width,
    channels,
    aspect: aspect as Aspect,
    resize,
    scale: outside ? number(given["scale"], "scale") : 1,
    offset: outside ? number(given["offset"], "offset") : 0,
  };
}

/** page.json, checked. Throws Problem("contract"). */
export function checkPage(value: unknown): PageDescription {
  const given = record(value, "page.json");
  if (given["schema_version"] !== PAGE_SCHEMA_VERSION) {
    throw new Problem("contract", `page.json has schema version ${String(given["schema_version"])}`);
  }
  const classes = given["classes"];
  if (!Array.isArray(classes) || classes.length < 2 || !classes.every((name) => typeof name === "string")) {
    throw new Problem("contract", "page.json has no list of classes");
  }
  if (!(classes as unknown[]).includes(given["positive_class"])) throw new Problem("contract", "the positive class is not in the list");
  const threshold = record(given["threshold"], "threshold");
  number(threshold["value"], "threshold");
  const model = record(given["model"], "model");
  if (typeof model["path"] !== "string") throw new Problem("contract", "page.json does not say where the model lies");
  const preprocessing = checkContract(given["preprocessing"]);
  const temperature = given["temperature"] ?? null;
  if (temperature !== null && !(number(temperature, "temperature") > 0)) throw new Problem("contract", "its temperature is not positive");
  return { ...(given as unknown as PageDescription), preprocessing, temperature: temperature as number | null };
}

/** Height and width that an image is resized to: all of the input, or with `pad` the largest that keeps its aspect
 * ratio and fits, the shorter side rounded half up (at least 1). */
export function sizeInside(contract: Contract, height: number, width: number): [number, number] {
  if (contract.aspect !== "pad") return [contract.height, contract.width];
  if (height * contract.width >= width * contract.height) {
    return [contract.height, Math.max(1, Math.floor((2 * width * contract.height + height) / (2 * height)))];
  }
  return [Math.max(1, Math.floor((2 * height * contract.width + width) / (2 * width))), contract.width];
}

function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Problem("contract", `no ${name}`);
  return value as Record<string, unknown>;
}

function number(value: unknown, name: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Problem("contract", `its ${name} is no number`);
  return value;
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 4096;
}
