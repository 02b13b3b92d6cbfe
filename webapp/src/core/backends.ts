/**
 * The engine that runs the model. WebAssembly is the rule: it starts fastest and is the same everywhere. WebGPU and WebGL
 * are loaded only when asked for and only on real graphics hardware; plain JavaScript where WebAssembly does not start.
 */
import { env, getBackend, ready, setBackend } from "@tensorflow/tfjs-core";
import { Problem } from "./problem.js";

export type Backend = "wasm" | "cpu" | "webgl" | "webgpu";

/** Start the first of `wanted` that works; after those WebAssembly, then plain JavaScript. Throws
 * Problem("no-backend"). `wasmFolder` is the URL of the folder with the .wasm files, "/" at its end. */
export async function startBackend(wasmFolder: string, wanted: readonly Backend[] = []): Promise<Backend> {
  for (const name of new Set<Backend>([...wanted, "wasm", "cpu"])) {
    if (getBackend() === name || (await tryBackend(name, wasmFolder))) return name;
  }
  throw new Problem("no-backend");
}

async function tryBackend(name: Backend, wasmFolder: string): Promise<boolean> {
  try {
    if (!(await load(name, wasmFolder))) return false;
    const started = await setBackend(name);
    await ready();
    return started && getBackend() === name;
  } catch {
    return false;
  }
}

async function load(name: Backend, wasmFolder: string): Promise<boolean> {
  switch (name) {
    case "wasm": {
      if (typeof WebAssembly === "undefined") return false;
      const { setWasmPaths } = await import("./wasmBackend.js");
      // Threads need a page isolated from all others, and a worker made of text, which its security policy forbids.
      env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
      setWasmPaths(wasmFolder);
      return true;
    }
    case "cpu":
      await import("@tensorflow/tfjs-backend-cpu");
      return true;
    case "webgl":
      if (!hasRealWebgl()) return false;
      await import("@tensorflow/tfjs-backend-webgl");
      return true;
    case "webgpu":
      if (!(await hasRealWebgpu())) return false;
      await import("@tensorflow/tfjs-backend-webgpu");
      return true;
  }
}

/** Software renderers are slower than WebAssembly, and their arithmetic is anyone's guess. */
const SOFTWARE = /swiftshader|llvmpipe|software|basic render|softpipe/i;

function hasRealWebgl(): boolean {
  if (typeof OffscreenCanvas === "undefined") return false;
  const context = new OffscreenCanvas(1, 1).getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  if (context === null) return false;
  const names = context.getExtension("WEBGL_debug_renderer_info");
  const renderer = String(context.getParameter(names?.UNMASKED_RENDERER_WEBGL ?? context.RENDERER));
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return !SOFTWARE.test(renderer);
}

interface GpuAdapter {
  readonly isFallbackAdapter?: boolean;
  readonly info?: { readonly isFallbackAdapter?: boolean; readonly vendor?: string; readonly description?: string };
}

async function hasRealWebgpu(): Promise<boolean> {
  const gpu = (navigator as unknown as { gpu?: { requestAdapter(): Promise<GpuAdapter | null> } }).gpu;
  const adapter = await gpu?.requestAdapter();
  if (!adapter || adapter.isFallbackAdapter || adapter.info?.isFallbackAdapter) return false;
  return !SOFTWARE.test(`${adapter.info?.vendor ?? ""} ${adapter.info?.description ?? ""}`);
}
