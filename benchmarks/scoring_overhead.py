"""Scoring as `cxr compare` does it (predictor, batches from a memory-mapped array, chunks kept, predictions written)
against the bare loop of each runtime: its own call on inputs that are ready, with its results thrown away.

Both run in turn in this process, with each runtime's defaults for threads; wall and processor time (all threads) of
whole passes over the same images, ratios of each round, their median. The weights are drawn by chance, which does not
change the speed; `--bundle` takes a trained bundle instead. Goal: at most 10 % over the bare loop.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.bundle import Bundle, ModelFormat, read_bundle
from cxr.compare.images import SplitImages
from cxr.compare.predictions.scoring import BATCH_IMAGES, score_images
from cxr.compare.predictions.table import KEY_COLUMNS, Predictions, PredictionsHeader, write_predictions
from cxr.compare.predictions.unfinished import UnfinishedScores
from cxr.compare.predictors import open_predictor
from cxr.compare.predictors.encoded_images import png_file, service_signature
from cxr.compare.predictors.tflite import _without_start_up_notes
from cxr.errors import CxrError
from cxr.local_baseline.images.preprocess import Pixels
from cxr.local_baseline.recipes import CNN5, FLAGSHIP
from cxr.local_baseline.tensorflow_setup import load
from export_latency import exported, untrained_bundle

EXPORTS = ("saved-model", "tflite", "tflite-int8", "onnx")
ROUNDS, IMAGES, QUICK_ROUNDS, QUICK_IMAGES, GOAL = 7, 192, 3, 64, 1.10

Pass = Callable[[], None]
Seconds = tuple[float, float]


def main() -> None:
    """Measure and print."""
    options = _options()
    print(f"{os.cpu_count()} cores, load before: {os.getloadavg()[0]:.1f}; {options.images} images, batches of 32")
    print("| net | runtime | ms an image | bare | wall | processor |\n|---|---|---|---|---|---|", flush=True)
    missed = []
    with tempfile.TemporaryDirectory(prefix="cxr-overhead-") as name:
        folder = Path(name)
        sources = [read_bundle(options.bundle)] if options.bundle else None
        for source in sources or (untrained_bundle(recipe, folder / recipe.name) for recipe in (FLAGSHIP, CNN5)):
            images = _images(source, folder, options.images)
            for form, bundle in _bundles(source, images[:20], folder / f"{source.info.name}-exports", options).items():
                wall = _measured(f"`{source.info.name}` | {form}", bundle, images, folder, options.rounds)
                if wall > GOAL:
                    missed.append(f"{source.info.name} as {form} ({wall:.3f})")
    print(f"goal: at most {GOAL:g} times the bare loop's time: {f'missed by {missed}' if missed else 'met'}")


def _measured(title: str, bundle: Bundle, images: Pixels, folder: Path, rounds: int) -> float:
    """Print a line; the ratio of wall times."""
    ours, bare = _ours(bundle, images, folder), _bare(bundle, images)
    for warm_up in (ours, bare):
        warm_up()
    pairs: list[tuple[Seconds, Seconds]] = []
    for number in range(rounds):
        if number % 2:
            theirs = _timed(bare)
            pairs.append((_timed(ours), theirs))
        else:
            pairs.append((_timed(ours), _timed(bare)))
    wall, processor = (statistics.median(our[of] / other[of] for our, other in pairs) for of in (0, 1))
    spent, least = (statistics.median(pair[of][0] for pair in pairs) / len(images) * 1e3 for of in (0, 1))
    print(f"| {title} | {spent:.3f} | {least:.3f} | {wall:.3f} | {processor:.3f} |", flush=True)
    return wall


def _timed(call: Pass) -> Seconds:
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def _ours(bundle: Bundle, images: Pixels, folder: Path) -> Pass:
    """A pass as `predict` makes it, from pixels to predictions on disk."""
    predictor, kept = open_predictor(bundle), folder / "kept"
    pixels = SplitImages(images, np.arange(len(images)))
    classes = bundle.info.classes
    frame = pd.DataFrame({column: [f"{column}-{row:06d}" for row in range(len(images))] for column in KEY_COLUMNS})
    header = PredictionsHeader("", bundle.info.name, "", "binary", "test", classes, None, False, len(images))

    def score() -> None:
        scores = UnfinishedScores(kept, "this")
        probabilities = score_images(predictor, bundle, pixels, scores, lambda done, total, note: None)
        rows = frame.assign(**{f"p_{name}": probabilities[:, column] for column, name in enumerate(classes)})
        write_predictions(Predictions(rows, header), kept)
        scores.remove()

    return score


def _bare(bundle: Bundle, images: Pixels) -> Pass:
    """The runtime's own call over inputs that are ready."""
    batches = [images[start : start + BATCH_IMAGES].astype(np.float32) for start in range(0, len(images), BATCH_IMAGES)]
    makers: Mapping[ModelFormat, Callable[[Bundle, Sequence[Any], Pixels], Pass]] = {
        ModelFormat.KERAS: _bare_keras,
        ModelFormat.SAVED_MODEL: _bare_saved_model,
        ModelFormat.TFLITE: _bare_tflite,
        ModelFormat.ONNX: _bare_onnx,
    }
    return makers[bundle.info.format](bundle, batches, images)


def _bare_keras(bundle: Bundle, batches: Sequence[Any], images: Pixels) -> Pass:
    del images
    tf, model = load().tf, load().keras.models.load_model(bundle.model_path, compile=False)
    contract = bundle.info.preprocessing
    spec = tf.TensorSpec([None, contract.height, contract.width, contract.channels], tf.float32)
    traced = tf.function(lambda values: model(values, training=False), input_signature=[spec])
    tensors = [tf.constant(batch) for batch in batches]

    def loop() -> None:
        for tensor in tensors:
            traced(tensor).numpy()

    return loop


def _bare_saved_model(bundle: Bundle, batches: Sequence[Any], images: Pixels) -> Pass:
    """The service's signature, on PNG files that are ready."""
    del batches
    tf, loaded = load().tf, load().tf.saved_model.load(str(bundle.model_path))
    signature = service_signature(loaded)
    files, key = [tf.constant([png_file(image)]) for image in images], tf.constant(["image"])

    def loop(kept: Any = loaded) -> None:
        del kept  # a signature alone does not keep the variables alive
        for file in files:
            signature(image_bytes=file, key=key)["scores"].numpy()

    return loop


def _bare_tflite(bundle: Bundle, batches: Sequence[Any], images: Pixels) -> Pass:
    from ai_edge_litert.interpreter import Interpreter

    with _without_start_up_notes():
        interpreter = Interpreter(model_path=str(bundle.model_path))
        interpreter.allocate_tensors()
    given, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    is_float = given["dtype"] is np.float32
    singles = [single[None] for batch in batches for single in batch] if is_float else [each[None] for each in images]

    def loop() -> None:
        for single in singles:
            interpreter.set_tensor(given["index"], single.astype(given["dtype"], copy=False))
            interpreter.invoke()
            interpreter.get_tensor(answer["index"])

    return loop


def _bare_onnx(bundle: Bundle, batches: Sequence[Any], images: Pixels) -> Pass:
    import onnxruntime

    del images
    session = onnxruntime.InferenceSession(str(bundle.model_path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def loop() -> None:
        for batch in batches:
            session.run(None, {name: batch})

    return loop


def _bundles(source: Bundle, images: Pixels, folder: Path, options: argparse.Namespace) -> dict[str, Bundle]:
    """The Keras bundle and its exports, by format."""
    made = {"keras": source} if "keras" in options.runtimes else {}
    for form in (form for form in EXPORTS if form in options.runtimes):
        try:
            made[form] = exported(source, form, images, folder / form)
        except CxrError as error:
            print(f"{source.info.name}: {form}: absent: {error.message}")
    return made


def _images(source: Bundle, folder: Path, count: int) -> Pixels:
    """Random pixels in a memory-mapped file, as decoded images lie."""
    contract = source.info.preprocessing
    shape = (count, contract.height, contract.width, contract.channels)
    path = folder / f"{source.info.name}.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    mapped: Pixels = np.load(path, mmap_mode="r")
    return mapped


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What scoring costs beside the models themselves, as ratios.")
    parser.add_argument("--bundle", type=Path, help="a Keras bundle [default: untrained nets of two recipes]")
    parser.add_argument("--runtimes", nargs="+", choices=("keras", *EXPORTS), default=("keras", *EXPORTS))
    parser.add_argument("--rounds", type=int, help=f"passes of each ({ROUNDS})")
    parser.add_argument("--images", type=int, help=f"in a pass ({IMAGES})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds of {QUICK_IMAGES} images")
    options = parser.parse_args()
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    options.images = options.images or (QUICK_IMAGES if options.quick else IMAGES)
    return options


if __name__ == "__main__":
    main()
