"""The trainer as a process: what a custom job runs, here and on Vertex AI (environment variables AIP_*).

Example: AIP_MODEL_DIR=gs://BUCKET/job/model/ python -m cxr.local_baseline.trainer --manifest
gs://BUCKET/cxr/manifest.csv --recipe cnn5
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.bundle import BUNDLE_FILE, Bundle, ModelFormat, Origin
from cxr.errors import InputError, UsageError
from cxr.local_baseline.cache import images_root
from cxr.local_baseline.checkpoints import Checkpoints
from cxr.local_baseline.distribution import Replicas, cluster_of, join
from cxr.local_baseline.entry import run_process
from cxr.local_baseline.epochs import EpochResult
from cxr.local_baseline.overrides import HYPERPARAMETERS, Overrides, parse_overrides
from cxr.local_baseline.recipe_file import open_recipe
from cxr.local_baseline.recipes import EarlyStopping
from cxr.local_baseline.request import DEFAULT_SEED, TrainRequest, check_request, check_seed, fingerprint, recipe_of
from cxr.local_baseline.stages import Surroundings
from cxr.local_baseline.tensorboard import TensorBoardLog
from cxr.local_baseline.tensorflow_setup import CLUSTER_VARIABLE
from cxr.local_baseline.train import finished_bundle, train
from cxr.local_baseline.tuning_report import FILE_VARIABLE, METRICS, TRIAL_VARIABLE, TuningReport
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import read_manifest, sidecar_of
from cxr.storage import open_store

#: Where a job's model, checkpoints and TensorBoard files go: variables that Vertex AI sets (gs:// URLs or folders).
MODEL_DIR_VARIABLE = "AIP_MODEL_DIR"
CHECKPOINT_VARIABLE = "AIP_CHECKPOINT_DIR"
TENSORBOARD_VARIABLE = "AIP_TENSORBOARD_LOG_DIR"
#: How many images are decoded between two lines of the log.
DECODE_REPORT_IMAGES = 1000


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Train as the command line and the environment say; leave a complete bundle (SavedModel) in the model folder."""
    job = os.environ if environment is None else environment
    options = _parse(arguments, job)
    with tempfile.TemporaryDirectory(prefix="cxr-trainer-") as work:
        _run(options, job, Path(work))


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """The command line, read. `manifest` and `output` are gs:// URLs or paths."""

    manifest: str
    output: str
    recipe: str
    epochs: int | None
    seed: int
    weights: str
    name: str
    cache_dir: Path
    overrides: Overrides
    metric: str
    shards: str
    deterministic: bool
    verify_cache: bool


def fetch_manifest(location: str, cache_dir: Path) -> tuple[Manifest, str]:
    """The manifest at a gs:// URL or path, and the URL or folder of its images."""
    if "://" not in location:
        manifest = read_manifest(Path(location))
        return manifest, images_root(manifest)
    base, _, name = location.rpartition("/")
    store = open_store(base)
    folder = cache_dir / "manifests" / base.partition("://")[2]
    for part in (name, sidecar_of(Path(name)).name):
        store.get_file(part, folder / part)
    manifest = read_manifest(folder / name)
    root = manifest.header.root
    return manifest, root if "://" in root else f"{base}/{root}".removesuffix("/.")


def _run(options: TrainerOptions, job: Mapping[str, str], work: Path) -> None:
    """Train in a folder of this machine; the chief's goes to the model's place, bundle.json last: a half-uploaded model
    is no bundle."""
    chief = cluster_of(job.get(CLUSTER_VARIABLE, "")).index == 0
    away = "://" in options.output or not chief
    manifest, images = fetch_manifest(options.manifest, options.cache_dir)
    weights = _fetch_weights(options.weights, work)
    request = _request(options, manifest, images, weights, work / "bundle" if away else Path(options.output))
    recipe = recipe_of(request)
    check_request(request, recipe)
    mark = fingerprint(request, recipe)
    if _is_done(options.output, mark):
        print(f"the bundle is already at {options.output}", flush=True)
        return
    replicas = join(job)
    with replicas.errors():
        bundle = _train(request, job, replicas, mark, options.metric)
    if away and chief:
        store = open_store(options.output)
        for path in [*(file.path for file in bundle.info.files), BUNDLE_FILE]:
            store.replace_file(path, bundle.folder / path)
        print(f"uploaded the bundle to {options.output}", flush=True)


def _fetch_weights(weights: str, work: Path) -> str:
    if "://" not in weights:
        return weights
    base, _, name = weights.rpartition("/")
    open_store(base).get_file(name, work / name)
    return str(work / name)


def _is_done(output: str, mark: str) -> bool:
    """Whether a job that was started again has nothing left to do."""
    if "://" not in output:
        return finished_bundle(Path(output), mark) is not None
    try:
        described = json.loads(open_store(output).get_bytes(BUNDLE_FILE))
    except InputError:
        return False
    return bool(described.get("provenance", {}).get("fingerprint") == mark)


def _train(request: TrainRequest, job: Mapping[str, str], replicas: Replicas, mark: str, metric: str) -> Bundle:
    count = "" if replicas.count == 1 else f", on {replicas.count} replicas"
    images = len(request.manifest.split("train"))
    print(f"training {request.recipe} on {images} images from {request.images}{count}", flush=True)
    recipe = recipe_of(request)
    if words := recipe.from_scratch_words(request.weights):
        _say(f"note: {words}")
    rules = {stage.trains.value: stage.early_stopping for stage in recipe.stages_with(request.weights)}
    teller = _Teller(job if replicas.is_chief else {}, metric, rules)
    place = job.get(CHECKPOINT_VARIABLE, "").rstrip("/")
    surroundings = Surroundings(Checkpoints(place, mark, _say) if place else None, replicas, teller.on_resume, _say)
    bundle = train(request, teller.on_progress, teller.on_epoch, surroundings)
    provenance = bundle.info.provenance
    print(
        f"done in {provenance['training_seconds']} s, {provenance['images_per_second']} images/s, "
        f"validation AUC {provenance['validation_auc']:.4f}",
        flush=True,
    )
    return bundle


def _request(options: TrainerOptions, manifest: Manifest, images: str, weights: str, output: Path) -> TrainRequest:
    return TrainRequest(
        manifest=manifest,
        images=options.shards or images,
        recipe=options.recipe,
        output=output,
        cache_dir=options.cache_dir,
        epochs=options.epochs,
        seed=options.seed,
        weights=weights,
        format=ModelFormat.SAVED_MODEL,
        origin=Origin.CUSTOM_JOB,
        name=options.name,
        overrides=options.overrides,
        deterministic=options.deterministic,
        verify_cache=options.verify_cache,
    )


def _say(line: str) -> None:
    print(line, flush=True)


class _Teller:
    """Whoever wants to hear of the training: the job's log (a line now and then while decoding, then one an epoch),
    TensorBoard, and the tuning service."""

    def __init__(self, job: Mapping[str, str], metric: str, rules: Mapping[str, EarlyStopping]) -> None:
        self._next = DECODE_REPORT_IMAGES
        self._epochs = 0
        board, report = job.get(TENSORBOARD_VARIABLE, "").rstrip("/"), job.get(FILE_VARIABLE, "")
        self._board = TensorBoardLog(board, _say) if board else None
        self._report: TuningReport | None = None
        if report:
            self._report = TuningReport(Path(report), job.get(TRIAL_VARIABLE, "0"), metric, rules, _say)

    def on_progress(self, done: int, total: int, note: str) -> None:
        if note == "decoding" and done >= self._next:
            _say(f"decoded {done} of {total} images")
            self._next = done + DECODE_REPORT_IMAGES

    def on_resume(self, history: tuple[EpochResult, ...]) -> None:
        _say(f"{len(history)} epochs were trained before")
        self._epochs = len(history)
        for result in history:
            if self._report is not None:
                self._report.on_epoch(result)

    def on_epoch(self, result: EpochResult) -> None:
        _say(result.line())
        self._epochs += 1
        if self._board is not None:
            self._board.on_epoch(self._epochs, result)
        if self._report is not None:
            self._report.on_epoch(result)


def _parse(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> TrainerOptions:
    parser = argparse.ArgumentParser(prog="python -m cxr.local_baseline.trainer", description=__doc__)
    parser.add_argument(
        "--manifest", required=True, help="gs:// URL or path of manifest.csv; its images lie below the root it names"
    )
    parser.add_argument("--recipe", required=True, help="a name, or the path of a .toml file")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument(
        "--weights", help="none, imagenet, or the path or gs:// URL of a .h5 file (default: the recipe's)"
    )
    parser.add_argument("--name", default="", help="the bundle's name (default: the recipe's)")
    parser.add_argument("--output", default="", help=f"where the bundle goes (default: ${MODEL_DIR_VARIABLE})")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change the recipe: batch_size=16",
    )
    for name, key in HYPERPARAMETERS.items():
        parser.add_argument(f"--{name}", metavar="VALUE", help=f"the same as --set {key}=VALUE, as tuning jobs say it")
    parser.add_argument("--metric", choices=METRICS, default=METRICS[0], help="what a tuning job is told")
    parser.add_argument(
        "--shards", default="", help="gs:// URL or folder of the manifest's TFRecord shards (default: image files)"
    )
    parser.add_argument("--deterministic", action="store_true", help="the same bits each time, at some cost in speed")
    parser.add_argument("--verify-cache", action="store_true", help="check every decoded image, not only a gigabyte")
    parser.add_argument("--cache-dir", type=Path, default=Path(tempfile.gettempdir()) / "cxr-cache")
    given = parser.parse_args(arguments)
    check_seed(given.seed)
    output = given.output or environment.get(MODEL_DIR_VARIABLE, "")
    if not output:
        raise UsageError(f"there is no place for the model: {MODEL_DIR_VARIABLE} is not set", hint="or give --output")
    flags = {key: getattr(given, name.replace("-", "_")) for name, key in HYPERPARAMETERS.items()}
    tuned = [f"{key}={value}" for key, value in flags.items() if value is not None]
    return TrainerOptions(
        manifest=given.manifest,
        output=output.rstrip("/"),
        recipe=given.recipe,
        epochs=given.epochs,
        seed=given.seed,
        weights=open_recipe(given.recipe).recipe.weights_or_default(given.weights),
        name=given.name,
        cache_dir=given.cache_dir,
        overrides=parse_overrides([*given.set, *tuned]),
        metric=given.metric,
        shards=given.shards,
        deterministic=given.deterministic,
        verify_cache=given.verify_cache,
    )


if __name__ == "__main__":
    run_process(main)
