/** Every English sentence that a reader of the page can meet, in one place. A translation is another file of this shape. */

export const errors = {
  empty: () => "The file is empty.",
  "not-an-image": () => "This is not an image that can be read here: JPEG, PNG, WebP, GIF, BMP and DICOM are.",
  "unreadable-kind": (kind: string) => `${kind} files cannot be read here: save the image as PNG or JPEG.`,
  damaged: (kind: string) => `The ${kind} file is damaged or cut off: it cannot be decoded.`,
  "too-large": (width: string, height: string, most: string) =>
    `The image has ${width} x ${height} pixels; more than ${most} million are not decoded.`,
  "no-decoder": (kind: string) => `This browser cannot decode ${kind} files.`,
  "no-reader": (kind: string) => `The reader of ${kind} files could not be loaded: open this page again with a network.`,
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
  turned: "The file asks to be shown turned (EXIF). The model read the stored pixels, unturned, as they are shown here.",
  upright: "Turned first as the file asks (EXIF), because that was asked for here: cxr elsewhere reads the stored pixels, unturned.",
} as const;

/** A share of one in percent. */
const percent = (share: number, digits = 1): string => {
  const step = 0.1 ** (digits + 2);
  if (share > 0 && share < step) return `< ${(100 * step).toFixed(digits)} %`;
  if (share < 1 && share > 1 - step) return `> ${(100 * (1 - step)).toFixed(digits)} %`;
  return `${(100 * share).toFixed(digits)} %`;
};

/** Two shares with as many digits as it takes to tell them apart. */
const percents = (one: number, other: number): [string, string] => {
  const digits = [1, 2, 3, 4].find((count) => percent(one, count) !== percent(other, count)) ?? 4;
  return [percent(one, digits), percent(other, digits)];
};

/** The page's own words. `data-text` in index.html names those that never change. */
export const texts = {
  title: "Chest X-ray reader",
  skipToIntake: "Skip to the images",
  disclaimer: "Research use, not a medical device.",
  disclaimerMore: "Scores are a model's, not a finding. Never decide on a patient by this page.",
  intakeTitle: "Drop or paste chest X-rays here",
  intakeKinds: "JPEG, PNG (also 16 bits), WebP or DICOM, one or many.",
  choose: "Choose images",
  photograph: "Take a photo",
  aboutModel: "About this model",
  close: "Close",
  readingTitle: "The chosen image",
  heatFor: "Evidence for",
  heatOpacity: "Opacity",
  heatNone: "Nothing in the image speaks for this class.",
  noGate: "This page does not check whether an image is a chest X-ray.",
  noHashes: "It cannot tell training images from others.",
  heatNote:
    "A class activation map: where the net finds evidence for the class, coarse and unproven. It shows what the model used, not where a disease is.",
  severalTitle: "All images",
  tableCaption: "Every image that was read, with the probability of each class",
  stop: "Stop",
  download: "Download as CSV",
  clear: "Clear all",
  privacy: "Images are read on this device. They are not sent or stored anywhere.",

  loading: "Loading the model …",
  ready: (name: string) => `Ready: ${name}.`,
  cannotStart: (why: string) => `The page cannot start: ${why}`,
  cannotShow: (why: string) => `The image cannot be shown: ${why}`,
  readingOne: (name: string) => `Reading ${name} …`,
  readingMany: (done: number, all: number) => `Read ${done} of ${all} images …`,
  readOne: (name: string, words: string) => `${name}: ${words}`,
  readMany: (scored: number, refused: number) =>
    refused === 0 ? `${scored} images scored.` : `${scored} images scored, ${refused} not scored.`,
  stopped: (done: number, all: number) => `Stopped after ${done} of ${all} images.`,
  notDropped: "What was dropped cannot be read: choose the images instead.",
  nothingDropped: "There was no file in that.",

  above: (label: string, probability: number, threshold: number) => {
    const [value, limit] = percents(probability, threshold);
    return `The probability of ${label}, ${value}, reaches the model's threshold of ${limit}.`;
  },
  below: (label: string, probability: number, threshold: number) => {
    const [value, limit] = percents(probability, threshold);
    return `The probability of ${label}, ${value}, is below the model's threshold of ${limit}. Other findings it cannot see.`;
  },
  likeliest: "The class with the highest probability.",
  notScored: "Not scored",
  unlike: "This does not look like a chest X-ray as the model was trained on: no score is shown.",
  unlikeTurned:
    "This photograph is stored turned (EXIF), and the model reads the stored pixels, unturned, as they are shown here: they do not look like a chest X-ray, and no score is shown.",
  turnAndRead: "Turn it and read it again",
  known: "This very file is among the model's training images: its score says nothing about new patients.",
  probabilities: "Probability of each class",
  probabilityOf: (label: string, probability: number) => `${label}: ${percent(probability)}`,
  thresholdMark: (threshold: number) => `threshold ${percent(threshold)}`,
  percent,
  filmLabel: (name: string, words: string) => `The image ${name}. ${words}`,
  filmCaption: (name: string, width: number, height: number) => `${name} · ${width} × ${height} pixels`,
  factFile: "File",
  factSize: "Pixels",
  factTime: "Time",
  factHash: "SHA-256",
  milliseconds: (value: number) => `${value.toFixed(0)} ms`,

  columnImage: "Image",
  columnDecision: "Decision",
  columnNote: "Note",
  inTraining: "training image",
  show: (name: string) => `Show ${name}`,

  runtime: (backend: string) => `Runs on ${backend} in this browser.`,
  tensors: (count: number) => `${count} tensors in memory.`,
  newer: "A newer version of this page is there: it comes when you load the page again.",
  offlineReady: "Works offline from now on.",

  cardWhat: "What it is",
  cardData: "Data",
  cardMetrics: "Figures",
  cardLimits: "What it is not for",
  cardFiles: "This build",
  noMetrics: "This page was built without an evaluation.",
  interval: (value: string, low: string, high: string) => `${value} (95 % interval ${low} to ${high})`,
  limits: [
    "Research use, not a medical device: it must not be used to diagnose, to triage or to treat.",
    "It knows only its own classes. Every other finding is invisible to it, and a healthy chest of another hospital, age group or device may look ill to it.",
    "A check that an image looks like a chest X-ray, where the page has one, is simple: that an image passes says nothing about its quality.",
  ],
} as const;

export type ErrorCode = keyof typeof errors;
export type NoteCode = keyof typeof notes;
