import assert from "node:assert/strict";
import test from "node:test";
import { orientation } from "../src/core/exif.js";

/** A JPEG's beginning with EXIF of one entry, in either byte order. */
function jpeg(noted: number, little: boolean): Uint8Array {
  const tiff = new DataView(new ArrayBuffer(26));
  tiff.setUint16(0, little ? 0x4949 : 0x4d4d);
  tiff.setUint16(2, 42, little);
  tiff.setUint32(4, 8, little);
  tiff.setUint16(8, 1, little);
  tiff.setUint16(10, 0x0112, little);
  tiff.setUint16(12, 3, little);
  tiff.setUint32(14, 1, little);
  tiff.setUint16(18, noted, little);
  const segment = [...new TextEncoder().encode("Exif\0\0"), ...new Uint8Array(tiff.buffer)];
  return new Uint8Array([0xff, 0xd8, 0xff, 0xe1, 0, segment.length + 2, ...segment, 0xff, 0xda, 0, 2]);
}

for (const little of [true, false]) {
  test(`orientations 1 to 8 are read, others count as upright, ${little ? "little" : "big"}-endian`, () => {
    const found = [0, 1, 2, 3, 6, 8, 9].map((noted) => orientation(jpeg(noted, little), "JPEG"));
    assert.deepEqual(found, [1, 1, 2, 3, 6, 8, 1]);
  });
}

test("notes that are cut off or point outside count as none", () => {
  const whole = jpeg(6, true);
  for (let length = 0; length < 32; length++) assert.equal(orientation(whole.subarray(0, length), "JPEG"), 1, String(length));
  const astray = jpeg(6, true);
  astray[16] = 0xff;
  assert.equal(orientation(astray, "JPEG"), 1);
});
