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
from cxr.local_baseline.entry import run_process
from cxr.local_baseline.fitting import EpochResult
from cxr.local_baseline.recipes import NO_WEIGHTS, find_recipe
from cxr.local_baseline.request import DEFAULT_SEED, TrainRequest, check_request, fingerprint
from cxr.local_baseline.train import train
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import read_manifest, sidecar_of
from cxr.storage import open_store

MODEL_DIR_VARIABLE = "AIP_MODEL_DIR"
#: How many images are decoded between two lines of the log.
DECODE_REPORT_IMAGES = 1000


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Train as the command line and the environment say; leave a complete bundle (SavedModel) in the model folder."""
    options = _parse(arguments, os.environ if environment is None else environment)
    if "://" in options.output:
        with tempfile.TemporaryDirectory(prefix="cxr-trainer-") as work:
            _train_into_bucket(options, Path(work))
    else:
        manifest, images = fetch_manifest(options.manifest, options.cache_dir)
        _train(options, manifest, images, options.weights, Path(options.output))


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


def _train_into_bucket(options: TrainerOptions, work: Path) -> None:
    """Train in a folder of this machine, then upload, bundle.json last: a half-uploaded model is no bundle."""
    manifest, images = fetch_manifest(options.manifest, options.cache_dir)
    weights = options.weights
    if "://" in weights:
        base, _, name = weights.rpartition("/")
        open_store(base).get_file(name, work / name)
        weights = str(work / name)
    store = open_store(options.output)
    request = _request(options, manifest, images, weights, work / "bundle")
    recipe = find_recipe(request.recipe)
    check_request(request, recipe)
    if _is_done(options.output, fingerprint(request, recipe)):
        print(f"the bundle is already at {options.output}", flush=True)
        return
    bundle = _train(options, manifest, images, weights, work / "bundle")
    for path in [*(file.path for file in bundle.info.files), BUNDLE_FILE]:
        store.replace_file(path, bundle.folder / path)
    print(f"uploaded the bundle to {options.output}", flush=True)


def _is_done(output: str, mark: str) -> bool:
    """Whether a job that was started again has nothing left to do."""
    try:
        described = json.loads(open_store(output).get_bytes(BUNDLE_FILE))
    except InputError:
        return False
    return bool(described.get("provenance", {}).get("fingerprint") == mark)


def _train(options: TrainerOptions, manifest: Manifest, images: str, weights: str, output: Path) -> Bundle:
    print(f"training {options.recipe} on {len(manifest.split('train'))} images from {images}", flush=True)
    teller = _Teller()
    bundle = train(_request(options, manifest, images, weights, output), teller.on_progress, teller.on_epoch)
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
        images=images,
        recipe=options.recipe,
        output=output,
        cache_dir=options.cache_dir,
        epochs=options.epochs,
        seed=options.seed,
        weights=weights,
        format=ModelFormat.SAVED_MODEL,
        origin=Origin.CUSTOM_JOB,
        name=options.name,
    )


class _Teller:
    """The job's log: a line now and then while decoding, then one line an epoch."""

    def __init__(self) -> None:
        self._next = DECODE_REPORT_IMAGES

    def on_progress(self, done: int, total: int, note: str) -> None:
        if note == "decoding" and done >= self._next:
            print(f"decoded {done} of {total} images", flush=True)
            self._next = done + DECODE_REPORT_IMAGES

    def on_epoch(self, result: EpochResult) -> None:
        print(result.line(), flush=True)


def _parse(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> TrainerOptions:
    parser = argparse.ArgumentParser(prog="python -m cxr.local_baseline.trainer", description=__doc__)
    parser.add_argument(
        "--manifest", required=True, help="gs:// URL or path of manifest.csv; its images lie below the root it names"
    )
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--weights", default=NO_WEIGHTS, help="none, imagenet, or the path or gs:// URL of a .h5 file")
    parser.add_argument("--name", default="", help="the bundle's name (default: the recipe's)")
    parser.add_argument("--output", default="", help=f"where the bundle goes (default: ${MODEL_DIR_VARIABLE})")
    parser.add_argument("--cache-dir", type=Path, default=Path(tempfile.gettempdir()) / "cxr-cache")
    given = parser.parse_args(arguments)
    output = given.output or environment.get(MODEL_DIR_VARIABLE, "")
    if not output:
        raise UsageError(f"there is no place for the model: {MODEL_DIR_VARIABLE} is not set", hint="or give --output")
    return TrainerOptions(
        manifest=given.manifest,
        output=output.rstrip("/"),
        recipe=given.recipe,
        epochs=given.epochs,
        seed=given.seed,
        weights=given.weights,
        name=given.name,
        cache_dir=given.cache_dir,
    )


if __name__ == "__main__":
    run_process(main)
