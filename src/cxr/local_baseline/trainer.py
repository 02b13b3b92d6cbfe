"""The trainer as a process: what a custom job runs, here, on Vertex AI (AIP_*) and on SageMaker (SM_*, /opt/ml).

Example: AIP_MODEL_DIR=gs://BUCKET/job/model/ python -m cxr.local_baseline.trainer --manifest
gs://BUCKET/cxr/manifest.csv --recipe cnn5
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cxr.bundle import BUNDLE_FILE, Bundle, ModelFormat, Origin
from cxr.documents import parse_json
from cxr.errors import CxrError, InputError, UsageError
from cxr.local_baseline.entry import run_process
from cxr.local_baseline.images.cache import images_root
from cxr.local_baseline.platform_environment import (
    HERE,
    SAGEMAKER,
    VERTEX,
    JobEnvironment,
    bare_environment,
    read_environment,
    tell_failure,
)
from cxr.local_baseline.recipes import IMAGENET, NO_WEIGHTS, EarlyStopping
from cxr.local_baseline.recipes.overrides import HYPERPARAMETERS, Overrides, parse_overrides
from cxr.local_baseline.recipes.recipe_file import open_recipe
from cxr.local_baseline.request import DEFAULT_SEED, TrainRequest, check_request, check_seed, fingerprint, recipe_of
from cxr.local_baseline.tensorflow_setup import CLUSTER_VARIABLE
from cxr.local_baseline.train import CURVES_FILE, HISTORY_FILE, finished_bundle, train
from cxr.local_baseline.training.checkpoints import Checkpoints
from cxr.local_baseline.training.distribution import Replicas, cluster_of, join
from cxr.local_baseline.training.epochs import EpochResult
from cxr.local_baseline.training.failures import only_said
from cxr.local_baseline.training.stages import Surroundings
from cxr.local_baseline.training.tensorboard import TensorBoardLog
from cxr.local_baseline.training.tuning_report import FILE_VARIABLE, METRICS, TRIAL_VARIABLE, TuningReport
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import read_manifest, sidecar_of
from cxr.storage import open_store

#: How many images are decoded between two lines of the log.
DECODE_REPORT_IMAGES = 1000
MANIFEST_NAME = "manifest.csv"


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Train as the command line and the environment say; leave a complete bundle (SavedModel) in the model folder."""
    variables = os.environ if environment is None else environment
    job = bare_environment(variables)
    try:
        job = read_environment(variables)
        options = parse_options(arguments, job)
        with tempfile.TemporaryDirectory(prefix="cxr-trainer-") as work:
            _run(options, _Job(job, variables), Path(work))
    except CxrError as error:
        hint = f" (next: {error.hint})" if error.hint else ""
        tell_failure(job, f"{error.headline}: {error.message}{hint}")
        raise
    except Exception as error:
        tell_failure(job, f"{type(error).__name__}: {error}")
        raise


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


@dataclass(frozen=True, slots=True)
class _Job:
    """What the platform says, and all variables (those of a tuning service are of no platform's)."""

    platform: JobEnvironment
    variables: Mapping[str, str]


def fetch_manifest(location: str, cache_dir: Path, channels: Sequence[Path] = ()) -> tuple[Manifest, str]:
    """The manifest at a gs:// URL or path, and the URL or folder of its images. A manifest of a bucket's images that
    lies beside copies of them, or has them in another of the `channels` (of SageMaker), is one of the copies."""
    if "://" not in location:
        manifest = read_manifest(Path(location))
        root, beside = images_root(manifest), Path(location).parent
        # Test images may have stayed at home: what is trained on tells.
        trained_on = manifest.split("train")["path"]
        first = str(trained_on.iloc[0]) if "://" in root and len(trained_on) else ""
        places = (beside / Path(root).name, beside, *channels)
        copies = [folder for folder in places if first and (folder / first).is_file()]
        return manifest, str(copies[0]) if copies else root
    base, _, name = location.rpartition("/")
    store = open_store(base)
    folder = cache_dir / "manifests" / base.partition("://")[2]
    for part in (name, sidecar_of(Path(name)).name):
        store.get_file(part, folder / part)
    manifest = read_manifest(folder / name)
    root = manifest.header.root
    return manifest, root if "://" in root else f"{base}/{root}".removesuffix("/.")


def _run(options: TrainerOptions, job: _Job, work: Path) -> None:
    """Train in a folder of this machine; the chief's goes to the model's place, bundle.json last: a half-uploaded model
    is no bundle."""
    cluster = job.platform.cluster
    chief = cluster_of(cluster).index == 0
    away = "://" in options.output or not chief or job.platform.platform.is_copied
    manifest, images = fetch_manifest(options.manifest, options.cache_dir, tuple(job.platform.channels.values()))
    weights = _fetch_weights(options.weights, work)
    request = _request(options, manifest, images, weights, work / "bundle" if away else Path(options.output))
    recipe = recipe_of(request)
    check_request(request, recipe)
    mark = fingerprint(request, recipe)
    if _is_done(options.output, mark):
        print(f"the bundle is already at {options.output}", flush=True)
        return
    if cluster:
        os.environ[CLUSTER_VARIABLE] = cluster  # TensorFlow reads it there
    replicas = join({CLUSTER_VARIABLE: cluster})
    with replicas.errors():
        bundle = _train(request, job, replicas, mark, options.metric)
    if away and chief:
        store = open_store(options.output)
        for path in [*(file.path for file in bundle.info.files), BUNDLE_FILE]:
            store.replace_file(path, bundle.folder / path)
        print(f"uploaded the bundle to {options.output}", flush=True)
    if chief and job.platform.extra_output:
        _leave_curves(bundle, job.platform.extra_output)


def _leave_curves(bundle: Bundle, place: str) -> None:
    """The training's history, where it can be looked at without the model."""
    with only_said(_say, "the curves were not left beside the model"):
        store = open_store(place)
        for path in [bundle.folder / name for name in (HISTORY_FILE, CURVES_FILE)]:
            if path.is_file():
                store.replace_file(path.name, path)


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
        described = parse_json(open_store(output).get_bytes(BUNDLE_FILE))
    except InputError:
        return False
    return bool(described.get("provenance", {}).get("fingerprint") == mark)


def _train(request: TrainRequest, job: _Job, replicas: Replicas, mark: str, metric: str) -> Bundle:
    count = "" if replicas.count == 1 else f", on {replicas.count} replicas"
    images = len(request.manifest.split("train"))
    print(f"training {request.recipe} on {images} images from {request.images}{count}", flush=True)
    recipe = recipe_of(request)
    if words := recipe.from_scratch_words(request.weights):
        _say(f"note: {words}")
    rules = {stage.trains.value: stage.early_stopping for stage in recipe.stages_with(request.weights)}
    teller = _Teller(job if replicas.is_chief else _Job(JobEnvironment(HERE), {}), metric, rules)
    place = job.platform.checkpoints
    kept = Checkpoints(place, mark, _say) if place else None
    surroundings = Surroundings(kept, replicas, teller.on_resume, _say)
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

    def __init__(self, job: _Job, metric: str, rules: Mapping[str, EarlyStopping]) -> None:
        self._next = DECODE_REPORT_IMAGES
        self._epochs = 0
        board, report = job.platform.tensorboard, job.variables.get(FILE_VARIABLE, "")
        self._board = TensorBoardLog(board, _say) if board else None
        self._report: TuningReport | None = None
        if report:
            self._report = TuningReport(Path(report), job.variables.get(TRIAL_VARIABLE, "0"), metric, rules, _say)

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


def parse_options(arguments: Sequence[str] | None, job: JobEnvironment) -> TrainerOptions:
    """The command line and the platform's hyperparameters; of what both say the hyperparameters count, since a tuning
    service varies them. Raises UsageError."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = _parser().parse_args([*_other_words(words, job), *flags_of(job.parameters)])
    check_seed(given.seed)
    manifest = job.found(given.manifest)
    weights = open_recipe(given.recipe).recipe.weights_or_default(given.weights)
    output = given.output or job.model
    if not output:
        raise UsageError(f"there is no place for the model: {VERTEX.model} is not set", hint="or give --output")
    flags = {key: getattr(given, name.replace("-", "_")) for name, key in HYPERPARAMETERS.items()}
    tuned = [f"{key}={value}" for key, value in flags.items() if value is not None]
    return TrainerOptions(
        manifest=manifest,
        output=output.rstrip("/"),
        recipe=given.recipe,
        epochs=given.epochs,
        seed=given.seed,
        weights=weights if weights in {NO_WEIGHTS, IMAGENET} else job.found(weights),
        name=given.name,
        cache_dir=given.cache_dir,
        overrides=parse_overrides([*given.set, *tuned]),
        metric=given.metric,
        shards=given.shards,
        deterministic=given.deterministic,
        verify_cache=given.verify_cache,
    )


def flags_of(parameters: Mapping[str, str]) -> list[str]:
    """Hyperparameters as flags: an option's name with its value, a switch when its value is true, any other name as
    `--set`. Raises UsageError for a switch that is neither true nor false."""
    options = vars(_parser().parse_args(["--recipe="]))
    flags = []
    for name, value in parameters.items():
        option, flag = name.replace("-", "_"), f"--{name.replace('_', '-')}"
        if option not in options:
            flags.append(f"--set={name}={value}")
        elif not isinstance(options[option], bool):
            flags.append(f"{flag}={value}")
        elif value.lower() not in {"true", "false"}:
            raise UsageError(f"{name}={value}: it takes true or false")
        elif value.lower() == "true":
            flags.append(flag)
    return flags


def _other_words(words: list[str], job: JobEnvironment) -> list[str]:
    """The command line without the hyperparameters, which Amazon's toolkit passes on there, too, and without the word
    `train` with which SageMaker starts a container."""
    if job.platform is SAGEMAKER and words[:1] == ["train"]:
        words = words[1:]
    left: list[str] = []
    skips = False
    for word in words:
        name, equals, _ = word.removeprefix("--").partition("=")
        if skips and not word.startswith("--"):
            skips = False
        elif word.startswith("--") and name in job.parameters:
            skips = not equals
        else:
            left.append(word)
            skips = False
    return left


class _Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would end the process: the platform wants to hear the reason."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint="python -m cxr.local_baseline.trainer --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m cxr.local_baseline.trainer", description=__doc__)
    parser.add_argument(
        "--manifest",
        default=MANIFEST_NAME,
        help="URL, path or name in a channel of the manifest (default: manifest.csv); its images lie below its root",
    )
    parser.add_argument("--recipe", required=True, help="a name, or the path of a .toml file")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument(
        "--weights", help="none, imagenet, or the path or gs:// URL of a .h5 file (default: the recipe's)"
    )
    parser.add_argument("--name", default="", help="the bundle's name (default: the recipe's)")
    places = f"${VERTEX.model} or ${SAGEMAKER.model}"
    parser.add_argument("--output", default="", help=f"where the bundle goes (default: {places})")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change the recipe: batch_size=16",
    )
    for name, key in HYPERPARAMETERS.items():
        # With the underscore it is how Amazon's toolkit passes a hyperparameter on.
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('-', '_')}"))
        parser.add_argument(*spellings, metavar="VALUE", help=f"the same as --set {key}=VALUE, as tuning jobs say it")
    parser.add_argument("--metric", choices=METRICS, default=METRICS[0], help="what a tuning job is told")
    parser.add_argument(
        "--shards", default="", help="gs:// URL or folder of the manifest's TFRecord shards (default: image files)"
    )
    parser.add_argument("--deterministic", action="store_true", help="the same bits each time, at some cost in speed")
    parser.add_argument("--verify-cache", action="store_true", help="check every decoded image, not only a gigabyte")
    parser.add_argument("--cache-dir", type=Path, default=Path(tempfile.gettempdir()) / "cxr-cache")
    return parser


if __name__ == "__main__":
    run_process(main)
