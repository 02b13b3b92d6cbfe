/** SHA-256 of a file, and whether it is one of the training images'. */
import { sha256 as plain } from "@noble/hashes/sha2.js";
import type { KnownImages } from "./contract.js";

/** The digest's 32 bytes. Browsers keep theirs for secure contexts; a page on plain http computes it itself. */
export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  if (globalThis.crypto?.subtle) return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource));
  return plain(bytes);
}

/** Whether `digest` begins with one of the sorted prefixes (`known.prefix_bytes` bytes each). */
export function isKnown(digest: Uint8Array, prefixes: Uint8Array, known: Pick<KnownImages, "prefix_bytes">): boolean {
  const length = known.prefix_bytes;
  if (length < 1) return false;
  let [low, high] = [0, Math.floor(prefixes.length / length) - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    const order = compare(digest, prefixes, middle * length, length);
    if (order === 0) return true;
    if (order < 0) high = middle - 1;
    else low = middle + 1;
  }
  return false;
}

function compare(digest: Uint8Array, prefixes: Uint8Array, start: number, length: number): number {
  for (let at = 0; at < length; at++) {
    const difference = digest[at] - prefixes[start + at];
    if (difference !== 0) return difference;
  }
  return 0;
}
