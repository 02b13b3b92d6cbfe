/** The film: the chosen image, and over it the heat map at the opacity of the slider. */
import type { Planes } from "../core/preprocess.js";
import { byId, element } from "./dom.js";
import { type Frame, hasEvidence, heatPicture, seenFrame, smoothed } from "./heat.js";
import { pictureOf } from "./picture.js";
import type { Reading } from "./readings.js";
import { texts } from "../strings.js";

export interface ViewerInput {
  readonly width: number;
  readonly height: number;
  readonly aspect: string;
}

export class Viewer {
  readonly #film = byId("film", HTMLCanvasElement);
  readonly #caption = byId("film-caption", HTMLElement);
  readonly #controls = byId("heat-controls", HTMLDivElement);
  readonly #chosenClass = byId("heat-class", HTMLSelectElement);
  readonly #opacity = byId("heat-opacity", HTMLInputElement);
  readonly #value = byId("heat-value", HTMLOutputElement);
  #picture: ImageData | null = null;
  #reading: Reading | null = null;

  constructor(
    private readonly classes: readonly string[],
    private readonly input: ViewerInput,
  ) {
    this.#chosenClass.append(...classes.map((name, at) => element("option", { value: String(at) }, name)));
    this.#chosenClass.addEventListener("change", () => this.#draw());
    this.#opacity.addEventListener("input", () => this.#draw());
  }

  /** Show a reading. `image` is null when it could not be decoded. */
  show(reading: Reading, image: Planes | null, words: string): void {
    this.#reading = reading;
    this.#picture = image === null ? null : pictureOrNone(image);
    const { outcome } = reading;
    this.#controls.hidden = this.#picture === null || outcome.kind !== "scored" || outcome.maps === null;
    if (outcome.kind === "scored") this.#chosenClass.value = String(this.classes.indexOf(outcome.decision));
    this.#film.setAttribute("aria-label", texts.filmLabel(reading.file.name, words));
    this.#caption.textContent =
      reading.size === null
        ? reading.file.name
        : texts.filmCaption(reading.file.name, reading.size.width, reading.size.height);
    this.#draw();
  }

  clear(): void {
    this.#reading = null;
    this.#picture = null;
    this.#film.width = this.#film.height = 1;
    this.#film.setAttribute("aria-label", "");
    this.#caption.textContent = "";
    this.#controls.hidden = true;
  }

  #draw(): void {
    this.#value.textContent = `${this.#opacity.value} %`;
    const context = this.#film.getContext("2d");
    if (context === null) return;
    if (this.#picture === null) {
      this.#film.width = this.#film.height = 1;
      return;
    }
    this.#film.width = this.#picture.width;
    this.#film.height = this.#picture.height;
    context.putImageData(this.#picture, 0, 0);
    const outcome = this.#reading?.outcome;
    if (outcome?.kind !== "scored" || outcome.maps === null) return;
    byId("heat-none", HTMLElement).hidden = hasEvidence(outcome.maps, this.classes.length, Number(this.#chosenClass.value));
    const frame: Frame = seenFrame(this.#picture, this.input);
    context.globalAlpha = Number(this.#opacity.value) / 100;
    const heat = smoothed(heatPicture(outcome.maps, this.classes.length, Number(this.#chosenClass.value)));
    context.drawImage(heat, frame.left, frame.top, frame.width, frame.height);
    context.globalAlpha = 1;
  }
}

/** A picture too large for the browser does not take the score away. */
function pictureOrNone(image: Planes): ImageData | null {
  try {
    return pictureOf(image);
  } catch {
    return null;
  }
}
