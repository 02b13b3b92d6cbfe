/** The page: loads the model, takes files, shows what came of them. */
import type { Backend } from "../core/backends.js";
import { aliveTensors, Classifier } from "../core/classifier.js";
import { checkPage, type PageDescription } from "../core/contract.js";
import { filesAt } from "../core/modelFiles.js";
import type { Planes } from "../core/preprocess.js";
import { type Card, type Metrics, prepareAbout } from "./about.js";
import { byId, fillTexts } from "./dom.js";
import { download } from "./export.js";
import { listen, ready } from "./intake.js";
import { keepOffline } from "./offline.js";
import { Reader } from "./reader.js";
import type { DecisionRule, Given, Reading } from "./readings.js";
import { sentence, showResult } from "./result.js";
import { ReadingTable } from "./table.js";
import { texts } from "../strings.js";
import { Viewer } from "./viewer.js";

/** The folder of the WebAssembly engine, relative to the page; the build puts it here. */
declare const CXR_PAGE_WASM: string;

/** While images are read the page is drawn so often at most: drawing it takes as long as reading a small image. */
const FRAME_MS = 100;

class Page {
  readonly #rule: DecisionRule;
  readonly #viewer: Viewer;
  readonly #table: ReadingTable;
  readonly #status = byId("status", HTMLElement);
  readonly #progress = byId("progress", HTMLProgressElement);
  readonly #stop = byId("stop", HTMLButtonElement);
  readonly #readings: Reading[] = [];
  readonly #waiting: Given[] = [];
  #working = false;
  /** How many files a stop left unread. */
  #left = 0;
  /** How often all was cleared, and images were opened: what was begun before is not shown. */
  #cleared = 0;
  #opened = 0;

  constructor(
    private readonly description: PageDescription,
    private readonly reader: Reader,
  ) {
    const { classes, positive_class: positiveClass, threshold, preprocessing } = description;
    this.#rule = { classes, positiveClass, threshold: threshold.value };
    this.#viewer = new Viewer(classes, preprocessing);
    this.#table = new ReadingTable(classes, (reading) => void this.#open(reading));
    this.#stop.addEventListener("click", () => {
      this.#left += this.#waiting.splice(0).length;
    });
    byId("download", HTMLButtonElement).addEventListener("click", () => download(this.#readings, classes));
    byId("clear", HTMLButtonElement).addEventListener("click", () => this.#clear());
  }

  /** Read files one after the other, after those that wait already. */
  async take(files: readonly File[], { turn = false } = {}): Promise<void> {
    if (files.length === 0) return this.#say(texts.nothingDropped, true);
    this.#waiting.push(...files.map((file) => ({ file, turn })));
    this.#left = 0; // what is given after a stop is read
    if (this.#working) return;
    this.#working = true;
    const batch: Reading[] = [];
    try {
      await this.#readAll(batch);
    } finally {
      this.#working = false;
      this.#table.flush();
      this.#progress.hidden = this.#stop.hidden = true;
    }
    this.#sumUp(batch);
    showTensors();
  }

  async #readAll(batch: Reading[]): Promise<void> {
    let [drawn, said] = [-Infinity, -Infinity];
    for (let given = this.#waiting.shift(); given !== undefined; given = this.#waiting.shift()) {
      const cleared = this.#cleared;
      const done = batch.length;
      if (performance.now() - drawn >= FRAME_MS) {
        const all = done + this.#waiting.length + 1;
        // A screen reader would read every number of a hundred: only about each tenth is said.
        if (all === 1) this.#say(texts.readingOne(given.file.name));
        else if (done - said >= 10) this.#say(texts.readingMany((said = done), all));
        this.#progress.hidden = this.#stop.hidden = all === 1;
        this.#progress.value = done / all;
        this.#table.flush();
        await frame(); // what was said is seen before the work goes on
        drawn = performance.now();
      }
      const { reading, image } = await this.reader.read(given);
      if (cleared !== this.#cleared) {
        batch.length = 0; // what was read before is gone, and this with it
        continue;
      }
      batch.push(reading);
      this.#readings.push(reading);
      this.#table.add(reading, image);
      if (batch.length > 1) continue;
      this.#table.flush();
      byId("several", HTMLElement).hidden = false;
      this.#show(reading, image);
    }
  }

  #sumUp(readings: readonly Reading[]): void {
    if (readings.length === 0) return;
    if (this.#left > 0) return this.#say(texts.stopped(readings.length, readings.length + this.#left));
    const [only] = readings;
    if (readings.length === 1 && only !== undefined) return this.#say(sentence(only, this.#rule), only.outcome.kind === "refused");
    const scored = readings.filter((reading) => reading.outcome.kind === "scored").length;
    this.#say(texts.readMany(scored, readings.length - scored));
  }

  /** Show a reading of the table: its image is decoded again, a thousand X-rays would fill the memory. */
  async #open(reading: Reading): Promise<void> {
    const [opened, cleared] = [(this.#opened += 1), this.#cleared];
    let image: Planes | null = null;
    let problem = "";
    try {
      image = reading.size === null ? null : await this.reader.image(reading);
    } catch (error) {
      problem = texts.cannotShow(error instanceof Error ? error.message : String(error));
    }
    if (opened !== this.#opened || cleared !== this.#cleared) return;
    this.#show(reading, image);
    if (problem !== "") this.#say(problem, true);
    byId("result", HTMLDivElement).focus();
  }

  #show(reading: Reading, image: Planes | null): void {
    byId("reading", HTMLElement).hidden = false;
    byId("intake", HTMLElement).classList.remove("empty");
    this.#viewer.show(reading, image, sentence(reading, this.#rule));
    showResult(reading, this.#rule, (file) => {
      byId("result", HTMLDivElement).focus(); // the button goes
      void this.take([file], { turn: true });
    });
    this.#table.choose(reading);
  }

  #clear(): void {
    this.#cleared += 1;
    this.#waiting.length = this.#left = 0;
    this.#readings.length = 0;
    this.#table.clear();
    this.#viewer.clear();
    byId("result", HTMLDivElement).replaceChildren();
    byId("several", HTMLElement).hidden = byId("reading", HTMLElement).hidden = true;
    byId("intake", HTMLElement).classList.add("empty");
    this.#say(texts.ready(this.description.name));
    byId("choose", HTMLButtonElement).focus();
  }

  #say(words: string, bad = false): void {
    this.#status.textContent = words;
    this.#status.classList.toggle("bad", bad);
  }
}

async function frame(): Promise<void> {
  if (document.hidden) return; // a page in the background gets no animation frames, but goes on reading
  await new Promise<void>((resolve) => {
    requestAnimationFrame(() => resolve());
    setTimeout(resolve, 20); // should it go there meanwhile
  });
}

/** page.json: its text, and what it says. */
async function fetchDescription(): Promise<[string, PageDescription]> {
  const answer = await fetch("page.json");
  if (!answer.ok) throw new Error(`page.json: ${answer.status}`);
  const text = await answer.text();
  return [text, checkPage(JSON.parse(text))];
}

/** With `?debug` the foot of the page says how many tensors are alive. */
function showTensors(): void {
  if (!new URLSearchParams(location.search).has("debug")) return;
  byId("tensors", HTMLElement).textContent = texts.tensors(aliveTensors());
}

/** A net with more bytes than this is worth a graphics card; a smaller one is done in WebAssembly before a card has
 * compiled its shaders. */
const SMALL_MODEL_BYTES = 8_000_000;

/** Engines to try before WebAssembly: what the address says (`?engine=webgl`), else graphics cards for large models. */
function engines(bytes: number): Backend[] {
  const asked = new URLSearchParams(location.search).get("engine");
  if (asked !== null) return (["wasm", "cpu", "webgl", "webgpu"] as const).filter((name) => name === asked);
  return bytes > SMALL_MODEL_BYTES ? ["webgpu", "webgl"] : [];
}

function loadClassifier({ model, preprocessing }: PageDescription): Promise<Classifier> {
  const files = filesAt(new URL(model.path, document.baseURI).href);
  const wasmFolder = new URL(CXR_PAGE_WASM, document.baseURI).href;
  return Classifier.load({ files, contract: preprocessing, wasmFolder, backends: engines(model.bytes) });
}

async function fetchKnown({ known }: PageDescription): Promise<Uint8Array> {
  if (known.path === null) return new Uint8Array();
  const answer = await fetch(known.path);
  if (!answer.ok) throw new Error(`${known.path}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function start(): Promise<void> {
  fillTexts(texts);
  byId("intake", HTMLElement).classList.add("empty");
  const status = byId("status", HTMLElement);
  status.textContent = texts.loading;
  const early: File[] = [];
  let take = (files: readonly File[]): void => {
    early.push(...files);
  };
  const failed = (): void => {
    status.textContent = texts.notDropped;
    status.classList.add("bad");
  };
  listen((files) => take(files), failed);
  try {
    const [text, description] = await fetchDescription();
    byId("model-name", HTMLElement).textContent = description.name;
    const [classifier, known] = await Promise.all([
      loadClassifier(description),
      fetchKnown(description),
    ]);
    const page = new Page(description, new Reader(description, classifier, known));
    prepareAbout(description.card as unknown as Card, description.metrics as Metrics | null);
    byId("runtime", HTMLElement).textContent = texts.runtime(classifier.backend);
    const unchecked = [description.gate === null ? texts.noGate : "", description.known.path === null ? texts.noHashes : ""];
    byId("unchecked", HTMLElement).textContent = unchecked.join(" ").trim();
    status.textContent = texts.ready(description.name);
    ready();
    take = (files) => void page.take(files);
    if (early.length > 0) take(early);
    document.documentElement.dataset["state"] = "ready";
    showTensors();
    keepOffline(text, {
      kept: () => {
        byId("offline", HTMLElement).textContent = texts.offlineReady;
      },
      outdated: () => {
        byId("newer", HTMLElement).textContent = texts.newer;
      },
    });
  } catch (error) {
    status.textContent = texts.cannotStart(error instanceof Error ? error.message : String(error));
    status.classList.add("bad");
    document.documentElement.dataset["state"] = "failed";
  }
}

void start();
