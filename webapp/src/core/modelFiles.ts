/** Where a graph model's files come from: a folder on a web server here, a folder on disk in Node. */
import type { io } from "@tensorflow/tfjs-core";
import { Problem } from "./problem.js";

/** Gives the bytes of a file of the model's folder, by its name. */
export type ModelFiles = (name: string) => Promise<ArrayBuffer>;

const MODEL_FILE = "model.json";

/** The files of a folder behind a URL. `onBytes` hears how many bytes have come so far. */
export function filesAt(folder: string, onBytes: (count: number) => void = () => undefined): ModelFiles {
  const base = new URL(folder.endsWith("/") ? folder : `${folder}/`, globalThis.location?.href);
  let total = 0;
  return async (name) => {
    const response = await fetch(new URL(name, base));
    if (!response.ok || response.body === null) throw new Problem("no-model", `${name}: ${response.status}`);
    const parts: Uint8Array[] = [];
    const reader = response.body.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      parts.push(next.value);
      onBytes((total += next.value.length));
    }
    return new Blob(parts as BlobPart[]).arrayBuffer();
  };
}

/** model.json and its weights, as TF.js takes them. Throws Problem("no-model"). */
export async function readModel(files: ModelFiles): Promise<io.ModelArtifacts> {
  const document = JSON.parse(new TextDecoder().decode(await files(MODEL_FILE))) as io.ModelJSON;
  if (document.format !== "graph-model" || !Array.isArray(document.weightsManifest)) {
    throw new Problem("no-model", `${MODEL_FILE} is no TF.js graph model`);
  }
  const weightSpecs = document.weightsManifest.flatMap((group) => group.weights);
  const shards = await Promise.all(document.weightsManifest.flatMap((group) => group.paths).map(files));
  return {
    modelTopology: document.modelTopology,
    format: document.format,
    ...(document.signature && { signature: document.signature }),
    ...(document.userDefinedMetadata && { userDefinedMetadata: document.userDefinedMetadata }),
    weightSpecs,
    weightData: await new Blob(shards).arrayBuffer(),
  };
}
