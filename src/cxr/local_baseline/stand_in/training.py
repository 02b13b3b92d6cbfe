"""The emulator's stand-in for AutoML training, as a process: trains a small net and writes what the service would
keep or export.

It is not Google's model and says so in every file that has room for a word. It takes the service's arguments; one net
is trained whatever the model type and the budget are, for as long as its recipe says. A mobile model is written in the
formats that it can be exported in; a cloud model, which the service serves itself, for `stand_in.scoring` only.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr.about import RESEARCH_USE
from cxr.errors import UsageError
from cxr.files import write_text_atomically
from cxr.local_baseline.entry import run_process
from cxr.local_baseline.exports.encoded_saved_model import export_encoded_saved_model
from cxr.local_baseline.exports.tfjs import export_tfjs
from cxr.local_baseline.exports.tflite import TfliteForm, convert, export_tflite, write_tflite
from cxr.local_baseline.images.cache import decoded_images
from cxr.local_baseline.images.image_source import BUCKET_WORKERS, NamedImages, Read, Source, read_local
from cxr.local_baseline.judging.scoring import scorer
from cxr.local_baseline.models.build import without_scaling
from cxr.local_baseline.recipes import EDGE, NO_WEIGHTS
from cxr.local_baseline.request import DEFAULT_SEED, check_seed
from cxr.local_baseline.stand_in.evaluation import evaluation, slices
from cxr.local_baseline.stand_in.items import TEST, TRAINING, VALIDATION, Item, labels_of, read_items
from cxr.local_baseline.training.fitting import EpochResult
from cxr.local_baseline.training.pipeline import TrainingData
from cxr.local_baseline.training.stages import Trained, plan_stages, run_stages
from cxr.progress import Progress, silent
from cxr.storage import open_store

MOBILE_TYPES = ("MOBILE_TF_LOW_LATENCY_1", "MOBILE_TF_VERSATILE_1", "MOBILE_TF_HIGH_ACCURACY_1")
CLOUD_TYPES = ("CLOUD", "CLOUD_1")
DESCRIPTION = f"Trained by cxr's stand-in for AutoML, not by the service. {RESEARCH_USE}."
EDGE_TPU_NOTE = "All in 8 bits, but not compiled for the Edge TPU: it runs on the CPU."
#: Where a cloud model is, for `stand_in.scoring`; it cannot be exported.
SCORING_FILE = "scoring/model.tflite"
#: Training images by which the 8-bit ranges are set.
REPRESENTATIVE_IMAGES = 100
WORK_FOLDER = ".work"


@dataclass(frozen=True, slots=True)
class EdgeOptions:
    """The command line, read."""

    items: Path
    output: Path
    model_type: str
    budget_milli_node_hours: int
    epochs: int | None
    seed: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on the items and write the model's folders, slices.json and evaluation.json into the output folder, in
    that order."""
    options = _parse(arguments)
    items = read_items(options.items)
    work = options.output / WORK_FOLDER
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        data = _load(items, work / "images.npy")
        trained = _train(options, data)
        finished = work / "finished"
        export = _keep if options.model_type in CLOUD_TYPES else _export
        export(trained.model, data, labels_of(items), finished)
        for part in sorted(finished.iterdir()):
            _move(part, options.output / part.name)
        _evaluate(trained.model, data, items, options.output)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _load(items: Sequence[Item], path: Path) -> TrainingData:
    labels = labels_of(items)
    unknown = sorted({item.label for item in items} - set(labels))
    if unknown:
        raise UsageError(f"the label {unknown[0]} has no training image")
    sources = [Source(item.uri) for item in items]
    named = NamedImages([item.uri for item in items], _reader(items), BUCKET_WORKERS)
    images = decoded_images(sources, lambda: named, EDGE.preprocessing, path, _say_decoding(len(items)))
    return TrainingData(
        images=images,
        labels=np.array([labels.index(item.label) for item in items], dtype=np.int64),
        train=_rows(items, TRAINING),
        validation=_rows(items, VALIDATION),
        classes=len(labels),
    )


def _reader(items: Sequence[Item]) -> Read:
    """Reads an item's bytes: one store for each bucket; a place that is no URL is a file."""
    urls = [item.uri for item in items if "://" in item.uri]
    buckets = {url.split("/", 3)[2] for url in urls}
    stores = {bucket: open_store(f"gs://{bucket}", workers=BUCKET_WORKERS) for bucket in buckets}

    def read(uri: str) -> bytes:
        if "://" not in uri:
            return read_local(Path(uri))
        _, _, bucket, name = uri.split("/", 3)
        return stores[bucket].get_bytes(name)

    return read


def _train(options: EdgeOptions, data: TrainingData) -> Trained:
    ((_, epochs),) = plan_stages(EDGE, data, NO_WEIGHTS, options.epochs).stages
    progress = options.output / "progress.json"
    write_text_atomically(progress, json.dumps({"epoch": 0, "epochs": epochs}) + "\n")

    def on_epoch(result: EpochResult) -> None:
        write_text_atomically(progress, json.dumps({"epoch": result.epoch, "epochs": epochs}) + "\n")
        print(result.line(), flush=True)

    trained = run_stages(
        EDGE,
        data,
        weights=NO_WEIGHTS,
        epochs=options.epochs,
        seed=options.seed,
        positive=data.classes - 1,
        on_progress=silent,
        on_epoch=on_epoch,
    )
    write_text_atomically(progress, json.dumps({"epoch": epochs, "epochs": epochs}) + "\n")
    print(f"trained in {trained.seconds:.1f} s, {trained.images_seen / trained.seconds:.0f} images/s", flush=True)
    return trained


def _export(model: Any, data: TrainingData, labels: Sequence[str], folder: Path) -> None:
    """The service's file names: tflite/model.tflite (labels in its metadata), edgetpu-tflite/edgetpu_model.tflite,
    tf-saved-model/saved_model.pb, and tf-js/ with dict.txt."""
    some = data.train[np.linspace(0, len(data.train) - 1, REPRESENTATIVE_IMAGES).astype(np.int64)]
    representative = np.asarray(data.images[some], dtype=np.uint8)
    lite = convert(model, form=TfliteForm.UINT8, representative=representative)
    for name, description in (
        ("tflite/model.tflite", DESCRIPTION),
        ("edgetpu-tflite/edgetpu_model.tflite", f"{DESCRIPTION} {EDGE_TPU_NOTE}"),
    ):
        write_tflite(lite, folder / name, labels, name=model.name, description=description)
    export_encoded_saved_model(model, folder / "tf-saved-model", labels, EDGE.preprocessing)
    stand_in = {"stand_in": True, "description": DESCRIPTION}
    export_tfjs(without_scaling(model), folder / "tf-js", batch_size=1, metadata=stand_in)
    (folder / "tf-js" / "dict.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")


def _keep(model: Any, data: TrainingData, labels: Sequence[str], folder: Path) -> None:
    """A cloud model: with full precision, for predictions of the service itself."""
    del data
    export_tflite(model, folder / SCORING_FILE, labels, description=DESCRIPTION)


def _evaluate(model: Any, data: TrainingData, items: Sequence[Item], folder: Path) -> None:
    """Metrics on the test items; without any, on the validation items."""
    rows = _rows(items, TEST)
    rows = rows if len(rows) else data.validation
    scores, truth, labels = scorer(model)(data.images, rows), data.labels[rows], labels_of(items)
    write_text_atomically(folder / "slices.json", json.dumps(slices(scores, truth, labels), indent=2) + "\n")
    write_text_atomically(folder / "evaluation.json", json.dumps(evaluation(scores, truth, labels), indent=2) + "\n")


def _rows(items: Sequence[Item], ml_use: str) -> Any:
    return np.flatnonzero([item.ml_use == ml_use for item in items])


def _move(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


def _say_decoding(total: int) -> Progress:
    said = 0

    def say(done: int, of: int, note: str) -> None:
        nonlocal said
        del of
        if done == total or done - said >= 1000:
            said = done
            print(f"{note} {done} of {total}", flush=True)

    return say


def _parse(arguments: Sequence[str] | None) -> EdgeOptions:
    parser = argparse.ArgumentParser(prog="python -m cxr.local_baseline.stand_in.training", description=__doc__)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model-type", choices=(*MOBILE_TYPES, *CLOUD_TYPES), default="MOBILE_TF_VERSATILE_1")
    parser.add_argument("--budget-milli-node-hours", type=int, required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    given = parser.parse_args(arguments)
    check_seed(given.seed)
    if given.budget_milli_node_hours < 1 or (given.epochs is not None and given.epochs < 1):
        raise UsageError("the budget and the epochs must be at least 1")
    return EdgeOptions(
        items=given.items,
        output=given.output,
        model_type=given.model_type,
        budget_milli_node_hours=given.budget_milli_node_hours,
        epochs=given.epochs,
        seed=given.seed,
    )


if __name__ == "__main__":
    run_process(main)
