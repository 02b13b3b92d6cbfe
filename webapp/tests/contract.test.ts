import assert from "node:assert/strict";
import test from "node:test";
import { checkContract, checkPage, sizeInside } from "../src/core/contract.js";
import { Problem } from "../src/core/problem.js";

const contract = { height: 192, width: 160, channels: 1, aspect: "pad", resize: "antialiased-triangle" };
const page = {
  schema_version: 1,
  name: "flagship",
  classes: ["NORMAL", "PNEUMONIA"],
  positive_class: "PNEUMONIA",
  preprocessing: contract,
  threshold: { value: 0.4 },
  model: { path: "model", has_maps: true, bytes: 1 },
  known: { path: null, prefix_bytes: 8, count: 0 },
  gate: null,
  metrics: null,
  card: {},
  built_by: "cxr",
};

function refused(action: () => unknown): void {
  assert.throws(action, (error) => error instanceof Problem && error.code === "contract");
}

test("a bundle's contract is taken with the scale inside the model, or handed on where it is outside", () => {
  assert.deepEqual(checkContract({ ...contract, scale: 1 / 255, offset: 0, scale_inside_model: true }), {
    ...contract,
    scale: 1,
    offset: 0,
  });
  assert.equal(checkContract({ ...contract, scale: 0.5, offset: -1, scale_inside_model: false }).offset, -1);
});

test("what is not known is refused, never guessed", () => {
  for (const wrong of [
    { channels: 4 },
    { aspect: "stretch" },
    { resize: "nearest" },
    { height: 0 },
    { width: 10.5 },
    { scale_inside_model: false },
  ]) {
    refused(() => checkContract({ ...contract, ...wrong }));
  }
  refused(() => checkContract(null));
});

test("a page's description is checked as a whole", () => {
  assert.equal(checkPage(page).preprocessing.scale, 1);
  for (const wrong of [
    { schema_version: 2 },
    { classes: ["NORMAL"] },
    { positive_class: "HERNIA" },
    { threshold: {} },
    { model: {} },
    { preprocessing: {} },
  ]) {
    refused(() => checkPage({ ...page, ...wrong }));
  }
});

test("pad rounds the shorter side half up, at least 1", () => {
  const inside = (height: number, width: number, of: [number, number]) =>
    sizeInside({ ...checkContract(contract), height: of[0], width: of[1] }, height, width);
  assert.deepEqual(inside(3, 5, [4, 4]), [2, 4]);
  assert.deepEqual(inside(1, 2, [5, 5]), [3, 5]);
  assert.deepEqual(inside(1, 1000, [4, 4]), [1, 4]);
});
