"""One image through a net as it was trained (`tf.function`, float32) and through its exports: TFLite in 8 bits and in
float32, ONNX.

Every round times each of them in turn in this process, by `measure_latency_ms`, as `cxr compare` does: the pixels are
at hand, what each runtime's defaults for threads make of two or more cores is in the figures. The weights are drawn by
chance, they do not change the speed; `--bundle` takes a trained bundle instead. Ratios are medians of the rounds'
ratios. Goal: 8 bits take at most a third of the time of `tf.function`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxr.bundle import Bundle, BundleInfo, ModelFormat, Origin, Threshold, read_bundle, write_bundle
from cxr.compare.predictors import Predictor, measure_latency_ms, open_predictor
from cxr.errors import CxrError
from cxr.local_baseline.exports.making import write_model
from cxr.local_baseline.exports.registry import FORMATS
from cxr.local_baseline.exports.source import Source
from cxr.local_baseline.images.preprocess import Pixels
from cxr.local_baseline.models.build import build_model
from cxr.local_baseline.recipes import CNN5, FLAGSHIP, MOBILENET_V2, Recipe
from cxr.local_baseline.tensorflow_setup import load
from harness.result import Better, Result, least_ratio
from harness.script import Script, run_script

RECIPES = (FLAGSHIP, CNN5, MOBILENET_V2)
EXPORTS = ("tflite-int8", "tflite", "onnx")
TRAINED, EIGHT_BITS = "tf.function", "tflite-int8"
ROUNDS, QUICK_ROUNDS, RUNS, IMAGES, GOAL = 15, 3, 40, 20, 3.0

Rounds = Mapping[str, Sequence[float]]


def measure(script: Script) -> None:
    """Every recipe, or the bundle."""
    bundle = script.options.bundle
    rounds = script.options.rounds or (QUICK_ROUNDS if script.quick else ROUNDS)
    with tempfile.TemporaryDirectory(prefix="cxr-latency-") as name:
        sources = [read_bundle(bundle)] if bundle else None
        for source in sources or (untrained_bundle(recipe, Path(name) / recipe.name) for recipe in RECIPES):
            found = _measured(script, source, Path(name) / f"{source.info.name}-exports", rounds)
            for runtime in found:
                if runtime != TRAINED:
                    script.add(_result(source.info.name, runtime, found))


def _measured(script: Script, source: Bundle, folder: Path, rounds: int) -> Rounds:
    """Milliseconds of each round, by runtime."""
    contract = source.info.preprocessing
    shape = (IMAGES, contract.height, contract.width, contract.channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    predictors: dict[str, Predictor] = {TRAINED: open_predictor(source)}
    for form in EXPORTS:
        try:
            predictors[form] = open_predictor(exported(source, form, images, folder / form))
        except CxrError as error:
            script.say_absent(f"{source.info.name} as {form}", error.message)
    wanted = predictors[TRAINED].predict(images)
    if np.abs(predictors["tflite"].predict(images) - wanted).max() > 1e-3:
        raise SystemExit("the two do not agree: nothing was measured")
    found: dict[str, list[float]] = {name: [] for name in predictors}
    for _ in range(rounds):
        for name, predictor in predictors.items():
            found[name].append(measure_latency_ms(predictor, images, runs=RUNS))
    return found


def exported(source: Bundle, name: str, images: Pixels, folder: Path) -> Bundle:
    """An export with ranges from these images: right for speed, not for scores."""
    form, info = FORMATS[name], source.info
    folder.mkdir(parents=True)
    write_model(form, Source(source, lambda: images), folder / form.model_path)
    described = replace(
        info,
        name=f"{info.name}-{name}",
        format=form.model_format,
        model_path=form.model_path,
        preprocessing=replace(info.preprocessing, scale_inside_model=True),
        calibration=info.calibration and replace(info.calibration, inside_model=True),
        files=(),
    )
    return write_bundle(folder, described)


def untrained_bundle(recipe: Recipe, folder: Path) -> Bundle:
    """A recipe's net with weights drawn by chance, in a new folder."""
    load().keras.utils.set_random_seed(7)
    folder.mkdir()
    build_model(recipe, 2, "none").save(folder / "model.keras")
    info = BundleInfo(
        name=recipe.name,
        origin=Origin.BASELINE,
        format=ModelFormat.KERAS,
        model_path="model.keras",
        classes=("NORMAL", "PNEUMONIA"),
        positive_class="PNEUMONIA",
        preprocessing=recipe.preprocessing,
        threshold=Threshold(0.5, "nothing", "nothing"),
        manifest_hash="0" * 64,
    )
    return write_bundle(folder, info)


def _result(net: str, runtime: str, rounds: Rounds) -> Result:
    values, trained = rounds[runtime], rounds[TRAINED]
    ratio = statistics.median(theirs / ours for theirs, ours in zip(trained, values, strict=True))
    return Result(
        f"`{net}`, {runtime}", "one image", statistics.median(values), "ms", Better.LESS, TRAINED,
        statistics.median(trained), ratio, least_ratio(GOAL) if runtime == EIGHT_BITS else None,
        (min(values), max(values)), len(values),
    )  # fmt: skip


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="a Keras bundle [default: untrained nets of three recipes]")
    parser.add_argument("--rounds", type=int, help=f"turns of {RUNS} predictions each ({ROUNDS})")


if __name__ == "__main__":
    packages = ("tensorflow-cpu", "keras", "ai-edge-litert", "onnxruntime")
    run_script(measure, file=__file__, description=__doc__, packages=packages, arguments=_arguments)
