/** Which files the model was trained on, as sorted prefixes of their SHA-256. */

export class KnownFiles {
  readonly count: number;

  /** `prefixes` are `size` bytes each, sorted; empty when the page was built without a manifest. */
  constructor(
    private readonly prefixes: Uint8Array,
    private readonly size: number,
  ) {
    if (size < 1 || prefixes.length % size !== 0) throw new Error(`${prefixes.length} bytes are no prefixes of ${size}`);
    this.count = prefixes.length / size;
  }

  /** Whether a file with this SHA-256 (hex) is one of them. With 8 bytes of prefix, another file among ten million
   * would be taken for one of ten thousand once in 2e8 cases. */
  has(sha256: string): boolean {
    let [low, high] = [0, this.count - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const order = this.#compare(middle, sha256);
      if (order === 0) return true;
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return false;
  }

  #compare(at: number, sha256: string): number {
    for (let byte = 0; byte < this.size; byte += 1) {
      const wanted = Number.parseInt(sha256.slice(2 * byte, 2 * byte + 2), 16);
      const found = this.prefixes[at * this.size + byte] ?? 0;
      if (found !== wanted) return found - wanted;
    }
    return 0;
  }
}

export async function loadKnown(known: { readonly path: string | null; readonly prefix_bytes: number }): Promise<KnownFiles> {
  if (known.path === null) return new KnownFiles(new Uint8Array(), known.prefix_bytes);
  const answer = await fetch(known.path);
  if (!answer.ok) throw new Error(`${known.path}: ${answer.status}`);
  return new KnownFiles(new Uint8Array(await answer.arrayBuffer()), known.prefix_bytes);
}
