// A TensorFlow.js graph model through the whole library, as its tutorials show it.
import { shape, takeFiles } from "./files.js";

const { engine } = document.documentElement.dataset;
if (engine === "wasm") {
  tf.wasm.setWasmPaths("wasm/");
  await tf.setBackend("wasm");
}
await tf.ready();
window.engine = tf.getBackend();
const model = await tf.loadGraphModel("model/model.json");

takeFiles(async (canvas) => {
  const [scores, rest] = tf.tidy(() => {
    const image = tf.browser.fromPixels(canvas, shape.channels).toFloat().expandDims(0);
    const predicted = model.predict(image);
    const outputs = predicted instanceof tf.Tensor ? [predicted] : Object.values(predicted);
    const scores = outputs.find((output) => output.rank === 2);
    return [scores, outputs.filter((output) => output !== scores)];
  });
  const values = await scores.data();
  tf.dispose([scores, rest]);
  return values;
});
