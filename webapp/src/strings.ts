/** Every English sentence that a reader of the page can meet, in one place. The page's own words join these. */

export const errors = {
  empty: () => "The file is empty.",
  "not-an-image": () => "This is not an image that can be read here: JPEG, PNG, WebP, GIF, BMP and DICOM are.",
  "unreadable-kind": (kind: string) => `${kind} files cannot be read here: save the image as PNG or JPEG.`,
  damaged: (kind: string) => `The ${kind} file is damaged or cut off: it cannot be decoded.`,
  "too-large": (width: string, height: string, most: string) =>
    `The image has ${width} x ${height} pixels; more than ${most} million are not decoded.`,
  "no-decoder": (kind: string) => `This browser cannot decode ${kind} files.`,
  "transfer-syntax": (name: string) => `The DICOM file's pixels are compressed as ${name}, which cannot be read here.`,
  "no-pixels": () => "The DICOM file holds no image.",
  "several-frames": (count: string) => `The DICOM file holds ${count} frames; only single images are read.`,
  "unsupported-pixels": (what: string) => `The DICOM file's pixels cannot be read here: ${what}.`,
  flat: () => "All pixels of the image have one value.",
  "no-model": (what: string) => `The model cannot be loaded: ${what}.`,
  "missing-kernel": (names: string) => `The model needs operators that this page does not carry: ${names}.`,
  "wrong-input": (found: string, expected: string) => `The model takes ${expected}, but was given ${found}.`,
  "no-backend": () => "Neither WebAssembly nor plain JavaScript could be started for the model.",
  contract: (what: string) => `The description of the model cannot be used: ${what}.`,
} as const;

export const notes = {
  "bad-window": "Its window cannot be used or shows nothing: the full range was taken.",
  colour: "A colour image, made grey.",
} as const;

export type ErrorCode = keyof typeof errors;
export type NoteCode = keyof typeof notes;
