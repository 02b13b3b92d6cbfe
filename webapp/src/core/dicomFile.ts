/**
 * The elements of a DICOM file, little-endian with explicit or implicit value representation (PS3.5, 7): as many as a
 * picture needs. Big-endian and deflated files are refused by name.
 */
import { text, viewOf } from "./headers.js";
import { Problem } from "./problem.js";

export const IMPLICIT = "1.2.840.10008.1.2";
export const EXPLICIT = "1.2.840.10008.1.2.1";
export const JPEG_BASELINE = "1.2.840.10008.1.2.4.50";
/** PS3.6, A-1: names for errors. */
const SYNTAX_NAMES: Readonly<Record<string, string>> = {
  "1.2.840.10008.1.2.1.99": "Deflated Explicit VR Little Endian",
  "1.2.840.10008.1.2.2": "Explicit VR Big Endian",
  "1.2.840.10008.1.2.4.51": "JPEG Extended",
  "1.2.840.10008.1.2.4.57": "JPEG Lossless",
  "1.2.840.10008.1.2.4.70": "JPEG Lossless",
  "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
  "1.2.840.10008.1.2.4.81": "JPEG-LS Near-lossless",
  "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
  "1.2.840.10008.1.2.4.91": "JPEG 2000",
  "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000 Lossless",
  "1.2.840.10008.1.2.5": "RLE Lossless",
};
const UNDEFINED = 0xffffffff;
const ITEM = 0xfffee000;
const END_OF_ITEM = 0xfffee00d;
const END_OF_SEQUENCE = 0xfffee0dd;
const PIXEL_DATA = 0x7fe00010;
const PIXEL_REPRESENTATION = 0x00280103;
/** Sequences that a picture needs: modality LUT and VOI LUT. */
const NEEDED_SEQUENCES = new Set([0x00283000, 0x00283010]);
/** Representations whose length takes four bytes: PS3.5, 7.1.2. */
const LONG = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const MOST_NESTING = 32;

export interface Element {
  readonly vr: string;
  readonly bytes: Uint8Array;
  readonly items: readonly DicomElements[];
}

/** The elements of a data set, by tag (group << 16 | element), with readers that give null for what is absent or empty. */
export class DicomElements {
  readonly elements = new Map<number, Element>();

  text(tag: number): string | null {
    const element = this.elements.get(tag);
    const value = element && text(element.bytes, 0, element.bytes.length).replace(/[\0\s]+$/u, "").trimStart();
    return value ? value : null;
  }

  /** The first of the decimal strings. Throws Problem("damaged") for what is no number. */
  decimal(tag: number): number | null {
    const first = this.text(tag)?.split("\\")[0].trim();
    if (!first) return null;
    const value = Number(first);
    if (!Number.isFinite(value)) throw new Problem("damaged", "DICOM");
    return value;
  }

  /** 16-bit whole numbers; signed by the representation, or by Pixel Representation where the file does not tell. */
  shorts(tag: number, signed = false): number[] | null {
    const element = this.elements.get(tag);
    if (!element || element.bytes.length < 2) return null;
    const view = viewOf(element.bytes);
    const isSigned = element.vr === "SS" || (element.vr === "" && signed);
    return Array.from({ length: element.bytes.length >> 1 }, (_, at) =>
      isSigned ? view.getInt16(2 * at, true) : view.getUint16(2 * at, true),
    );
  }

  short(tag: number): number | null {
    return this.shorts(tag)?.[0] ?? null;
  }

  get isSigned(): boolean {
    return this.short(PIXEL_REPRESENTATION) === 1;
  }
}

export interface DicomFile {
  readonly syntax: string;
  readonly elements: DicomElements;
  /** The pixels' bytes, or the fragments (without the offset table) when they are encapsulated; null for none. */
  readonly pixels: Uint8Array | null;
  readonly fragments: readonly Uint8Array[];
}

/** Read a file up to its pixels. Throws Problem("damaged") or Problem("transfer-syntax"). */
export function readDicom(bytes: Uint8Array): DicomFile {
  try {
    const start = text(bytes, 128, 4) === "DICM" ? 132 : 0;
    const meta = new Reader(bytes, start, true);
    meta.readGroup2();
    const syntax = meta.target.text(0x00020010) ?? (start === 0 ? guessSyntax(bytes, meta.at) : IMPLICIT);
    if (![IMPLICIT, EXPLICIT, JPEG_BASELINE].includes(syntax)) {
      throw new Problem("transfer-syntax", SYNTAX_NAMES[syntax] ?? syntax);
    }
    const reader = new Reader(bytes, meta.at, syntax !== IMPLICIT);
    reader.readDataset(bytes.length, 0);
    return { syntax, elements: reader.target, pixels: reader.pixels, fragments: reader.fragments };
  } catch (error) {
    if (error instanceof RangeError) throw new Problem("damaged", "DICOM");
    throw error;
  }
}

function guessSyntax(bytes: Uint8Array, at: number): string {
  return /^[A-Z]{2}$/.test(text(bytes, at + 4, 2)) ? EXPLICIT : IMPLICIT;
}

class Reader {
  readonly target = new DicomElements();
  readonly fragments: Uint8Array[] = [];
  pixels: Uint8Array | null = null;
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
    private readonly explicit: boolean,
  ) {
    this.view = viewOf(bytes);
  }

  readGroup2(): void {
    while (this.at + 8 <= this.bytes.length && this.view.getUint16(this.at, true) === 2) this.readElement(0);
  }

  /** Up to `end`, an end-of-item mark or the pixels. */
  readDataset(end: number, depth: number): void {
    while (this.at + 8 <= end && this.pixels === null && this.fragments.length === 0) {
      if (!this.readElement(depth)) return;
    }
  }

  /** False at the end of an item. */
  private readElement(depth: number): boolean {
    const tag = this.tag();
    if (tag === END_OF_ITEM) {
      this.at += 8;
      return false;
    }
    const { vr, length } = this.header();
    if (tag === PIXEL_DATA && depth === 0) {
      this.readPixels(length);
    } else if (length === UNDEFINED || (NEEDED_SEQUENCES.has(tag) && vr !== "UN")) {
      const items = this.readItems(length, depth, vr === "UN" ? false : this.explicit);
      if (NEEDED_SEQUENCES.has(tag)) this.target.elements.set(tag, { vr, bytes: new Uint8Array(0), items });
    } else {
      this.target.elements.set(tag, { vr, bytes: this.take(length), items: [] });
    }
    return true;
  }

  private tag(): number {
    return this.view.getUint16(this.at, true) * 0x10000 + this.view.getUint16(this.at + 2, true);
  }

  /** The representation ("" where the file does not tell) and the length; leaves the reader at the value. */
  private header(): { vr: string; length: number } {
    if (!this.explicit) {
      const length = this.view.getUint32(this.at + 4, true);
      this.at += 8;
      return { vr: "", length };
    }
    const vr = text(this.bytes, this.at + 4, 2);
    if (!/^[A-Z]{2}$/.test(vr)) throw new Problem("damaged", "DICOM");
    const long = LONG.has(vr);
    const length = long ? this.view.getUint32(this.at + 8, true) : this.view.getUint16(this.at + 6, true);
    this.at += long ? 12 : 8;
    return { vr, length };
  }

  private take(length: number): Uint8Array {
    if (this.at + length > this.bytes.length) throw new Problem("damaged", "DICOM");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  private readItems(length: number, depth: number, explicit: boolean): DicomElements[] {
    if (depth >= MOST_NESTING) throw new Problem("damaged", "DICOM");
    const end = length === UNDEFINED ? this.bytes.length : this.at + length;
    const items: DicomElements[] = [];
    while (this.at + 8 <= end) {
      const tag = this.tag();
      const itemLength = this.view.getUint32(this.at + 4, true);
      this.at += 8;
      if (tag === END_OF_SEQUENCE) return items;
      if (tag !== ITEM) throw new Problem("damaged", "DICOM");
      const itemEnd = itemLength === UNDEFINED ? this.bytes.length : this.at + itemLength;
      const item = new Reader(this.bytes, this.at, explicit);
      item.readDataset(itemEnd, depth + 1);
      this.at = itemLength === UNDEFINED ? item.at : itemEnd;
      items.push(item.target);
    }
    return items;
  }

  private readPixels(length: number): void {
    if (length !== UNDEFINED) {
      this.pixels = this.bytes.subarray(this.at, this.at + length);
      return;
    }
    for (let number = 0; this.tag() === ITEM; number++) {
      const size = this.view.getUint32(this.at + 4, true);
      this.at += 8;
      const fragment = this.take(size);
      if (number > 0) this.fragments.push(fragment); // the first is the table of offsets
    }
    if (this.fragments.length === 0) throw new Problem("damaged", "DICOM");
  }
}
