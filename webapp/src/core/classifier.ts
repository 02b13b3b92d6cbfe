/** A TF.js graph model behind one function: uint8 pixels in, probabilities out. Calibration is inside the model. */
import { erf, memory, sub, tensor4d, type Tensor } from "@tensorflow/tfjs-core";
import { loadGraphModel, registerOp, type GraphModel } from "@tensorflow/tfjs-converter";
import { type Backend, startBackend } from "./backends.js";
import type { Contract } from "./contract.js";
import { foldWeights } from "./foldWeights.js";
import { type ModelFiles, readModel } from "./modelFiles.js";
import { Problem } from "./problem.js";

const MAPS = "maps";

// TF.js does not know the complement of erf, which is how Keras writes GELU.
registerOp("Erfc", ({ inputs }) => sub(1, erf(inputs[0])));

/** For each class a map [height, width], interleaved [height, width, classes], whose mean over all places is (but for a
 * constant) the log-odds of the class. */
export interface Maps {
  readonly height: number;
  readonly width: number;
  readonly data: Float32Array;
}

export interface Classification {
  /** One for each class, in the order of the bundle's classes; they sum to one. */
  readonly probabilities: Float32Array;
  readonly maps?: Maps;
}

export interface ClassifierOptions {
  readonly files: ModelFiles;
  readonly contract: Contract;
  /** URL (in Node: path) of the folder with the .wasm files, "/" at its end. */
  readonly wasmFolder: string;
  /** Engines to try before WebAssembly. */
  readonly backends?: readonly Backend[];
}

export class Classifier {
  private constructor(
    private readonly model: GraphModel,
    private readonly contract: Contract,
    /** The engine that runs the model. */
    readonly backend: Backend,
  ) {}

  /** Start an engine, read the model and run it once, so that the first image is as fast as the others. Throws
   * Problem: "no-backend", "no-model", "missing-kernel" or "wrong-input". */
  static async load({ files, contract, wasmFolder, backends = [] }: ClassifierOptions): Promise<Classifier> {
    const [artifacts, backend] = await Promise.all([readModel(files).then(foldWeights), startBackend(wasmFolder, backends)]);
    const model = await loadGraphModel({ load: async () => artifacts });
    const classifier = new Classifier(model, contract, backend);
    const shape = model.inputs[0].shape?.slice(1) ?? [];
    const { height, width, channels } = contract;
    if (shape.join() !== [height, width, channels].join()) {
      throw new Problem("wrong-input", `${height} x ${width} x ${channels}`, shape.join(" x "));
    }
    try {
      await classifier.classify(new Uint8Array(height * width * channels));
    } catch (error) {
      throw missingKernel(error);
    }
    return classifier;
  }

  get hasMaps(): boolean {
    return this.model.outputNodes.some((name) => nodeName(name) === MAPS);
  }

  /** Score one image: uint8 [height, width, channels] of the contract, 0..255. Leaves no tensor behind. */
  async classify(pixels: Uint8Array): Promise<Classification> {
    const { height, width, channels, scale, offset } = this.contract;
    if (pixels.length !== height * width * channels) {
      throw new Problem("wrong-input", `${pixels.length} values`, `${height} x ${width} x ${channels}`);
    }
    const values = Float32Array.from(pixels, scale === 1 && offset === 0 ? undefined : (value) => value * scale + offset);
    const image = tensor4d(values, [1, height, width, channels]);
    const names = this.hasMaps ? [this.scoresName, MAPS] : [this.scoresName];
    let outputs: Tensor[] = [];
    try {
      const ran = this.model.execute({ [this.model.inputs[0].name]: image }, names);
      outputs = Array.isArray(ran) ? ran : [ran];
      const [probabilities, maps] = await Promise.all(outputs.map((output) => output.data<"float32">()));
      return maps === undefined ? { probabilities } : { probabilities, maps: mapsOf(maps, outputs[1].shape) };
    } finally {
      image.dispose();
      for (const output of outputs) output.dispose();
    }
  }

  dispose(): void {
    this.model.dispose();
  }

  private get scoresName(): string {
    return this.model.outputNodes.find((name) => nodeName(name) !== MAPS) ?? this.model.outputNodes[0];
  }
}

/** How many tensors are alive: what tests hold still. */
export function aliveTensors(): number {
  return memory().numTensors;
}

function mapsOf(data: Float32Array, shape: readonly number[]): Maps {
  return { height: shape[1], width: shape[2], data };
}

function nodeName(name: string): string {
  return name.split(":")[0];
}

function missingKernel(error: unknown): unknown {
  const words = error instanceof Error ? error.message : "";
  const found = /Kernel '([^']+)' not registered/.exec(words) ?? /Unknown op '([^']+)'/.exec(words);
  return found === null ? error : new Problem("missing-kernel", found[1]);
}
