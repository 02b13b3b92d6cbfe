// A TFLite model through LiteRT.js, as its README shows it.
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { shape, takeFiles } from "./files.js";

const threads = document.documentElement.dataset.engine === "threads";
await loadLiteRt("wasm/", { threads });
window.engine = threads ? "wasm, threads" : "wasm";
const model = await loadAndCompile("model.tflite", { accelerator: "wasm" });
const { height, width, channels } = shape;

takeFiles(async (canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const values = new Float32Array(height * width * channels);
  for (let pixel = 0; pixel < height * width; pixel += 1) {
    for (let channel = 0; channel < channels; channel += 1) values[pixel * channels + channel] = data[pixel * 4 + channel];
  }
  const image = new Tensor(values, [1, height, width, channels]);
  const outputs = await model.run(image);
  const scores = Float32Array.from(await outputs[0].data());
  image.delete();
  for (const output of outputs) output.delete();
  return scores;
});
