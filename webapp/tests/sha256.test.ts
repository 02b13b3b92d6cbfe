import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";
import { isKnown, sha256 } from "../src/core/sha256.js";

const bytes = Uint8Array.from({ length: 100_003 }, (_, at) => (at * 7919) & 255);

test("the digest is Node's own, with the browser's engine and without it", async () => {
  const expected = createHash("sha256").update(bytes).digest("hex");
  const hex = (digest: Uint8Array) => Buffer.from(digest).toString("hex");
  assert.equal(hex(await sha256(bytes)), expected);
  const secure = Object.getOwnPropertyDescriptor(globalThis, "crypto")!;
  Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
  try {
    assert.equal(hex(await sha256(bytes)), expected);
  } finally {
    Object.defineProperty(globalThis, "crypto", secure);
  }
});

test("known digests are found by their first bytes, others are not", () => {
  const digests = Array.from({ length: 50 }, (_, at) => createHash("sha256").update(String(at)).digest());
  const sorted = digests.map((digest) => digest.subarray(0, 8)).sort(Buffer.compare);
  const prefixes = new Uint8Array(Buffer.concat(sorted));
  for (const digest of digests) assert.ok(isKnown(digest, prefixes, { prefix_bytes: 8 }));
  const other = createHash("sha256").update("another").digest();
  assert.ok(!isKnown(other, prefixes, { prefix_bytes: 8 }));
  assert.ok(!isKnown(other, new Uint8Array(0), { prefix_bytes: 8 }));
});
