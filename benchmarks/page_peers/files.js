// What the pages of others have in common: the browser decodes a file, a canvas resizes it.
const { height, width, positive } = document.documentElement.dataset;
export const shape = { height: Number(height), width: Number(width), channels: Number(document.documentElement.dataset.channels) };
window.readings = {};

const canvas = Object.assign(document.createElement("canvas"), { height: shape.height, width: shape.width });
const context = canvas.getContext("2d", { willReadFrequently: true });

/** `classify(canvas)` resolves to one probability for each class, or to that of the positive class. */
export function takeFiles(classify) {
  const files = document.getElementById("files");
  files.addEventListener("change", async () => {
    const given = [...files.files];
    for (const file of given) await read(file, classify);
    document.getElementById("status").textContent = `${given.length} images scored.`;
  });
  document.documentElement.dataset.state = "ready";
}

async function read(file, classify) {
  const began = performance.now();
  const bitmap = await createImageBitmap(file);
  context.drawImage(bitmap, 0, 0, shape.width, shape.height);
  bitmap.close();
  const scores = await classify(canvas);
  const probability = scores.length === 1 ? scores[0] : scores[Number(positive)];
  const words = `${file.name}: ${probability.toFixed(4)}, ${(performance.now() - began).toFixed(2)} ms`;
  window.readings[file.name] = probability;
  document.getElementById("result").textContent = words;
  document.getElementById("list").append(Object.assign(document.createElement("li"), { textContent: words }));
}
