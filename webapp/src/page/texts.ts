/** Every English sentence of the page. A translation is another file of this shape. */

const percent = (share: number, digits = 1): string => `${(100 * share).toFixed(digits)} %`;

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
  nothingDropped: "There was no file in that.",

  above: (label: string, probability: number, threshold: number) =>
    `The probability of ${label}, ${percent(probability)}, reaches the model's threshold of ${percent(threshold)}.`,
  below: (label: string, probability: number, threshold: number) =>
    `The probability of ${label}, ${percent(probability)}, is below the model's threshold of ${percent(threshold)}.`,
  likeliest: "The class with the highest probability.",
  notScored: "Not scored",
  unlike: "This does not look like a chest X-ray as the model was trained on: no score is shown.",
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
  offlineReady: "Works offline from now on.",

  cardWhat: "What it is",
  cardData: "Data",
  cardMetrics: "Figures on held-out patients",
  cardLimits: "What it is not for",
  cardFiles: "This build",
  noMetrics: "This page was built without an evaluation.",
  interval: (value: string, low: string, high: string) => `${value} (95 % interval ${low} to ${high})`,
  limits: [
    "Research use, not a medical device: it must not be used to diagnose, to triage or to treat.",
    "It knows only the classes below. Every other finding is invisible to it, and a healthy chest of another hospital, age group or device may look ill to it.",
    "The check that an image looks like a chest X-ray is simple: that an image passes says nothing about its quality.",
  ],
} as const;
