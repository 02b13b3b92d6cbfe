"""A folder of images in the Kaggle layout as a manifest ready for training, with nothing written into it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.data.common import print_counts
from cxr.cli.out import Out
from cxr.errors import CxrError, InputError

if TYPE_CHECKING:
    from cxr.manifests.manifest import Manifest
    from cxr.manifests.scan.record import ScanRecord

#: Decides who validates, whatever the training's seed: trainings of several seeds are judged by the same patients.
SPLIT_SEED = 7
VALIDATION = 0.1


def manifest_of_folder(out: Out, folder: Path, state_dir: Path, *, is_judged: bool) -> Manifest:
    """What `cxr data scan` and `cxr data split` make of `folder`: a validation split of whole patients out of train and
    val, test left alone. Kept below `state_dir`; the second time only what changed is read.

    Raises InputError for a folder that cannot be trained on and, when the model `is_judged` later, one without test
    images.
    """
    from cxr.manifests.manifest_file import read_manifest, write_manifest
    from cxr.manifests.scan.folder import scan_with_record
    from cxr.manifests.scan.record import read_record, record_path_of, write_record
    from cxr.manifests.splits.split import make_validation

    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", hint="--data DIR with train/<label>/… and test/<label>/…")
    path = manifest_path_of(folder, state_dir)
    record_path = record_path_of(path)

    def keep(seen: ScanRecord) -> None:
        try:
            write_record(seen, record_path)
        except CxrError as error:
            out.say(f"the next run will read every image again: {error.message}")

    with out.progress("scan") as advance:
        done = scan_with_record(folder, on_progress=advance, earlier=read_record(record_path)[0], rescue=keep)
    keep(done.record)
    try:
        earlier = read_manifest(path)
    except InputError:
        earlier = None
    manifest = make_validation(done.manifest, validation=VALIDATION, seed=SPLIT_SEED, earlier=earlier)
    if is_judged:
        check_judgeable(manifest)
    manifest = write_manifest(manifest, path)
    print_counts(out, manifest)
    if done.manifest.header.problems:
        out.say(f"{len(done.manifest.header.problems):,} odd files: cxr data check --manifest {path}")
    return manifest


def manifest_path_of(folder: Path, state_dir: Path) -> Path:
    """Where the manifest of `folder` is kept."""
    whole = folder.resolve()
    mark = hashlib.sha256(str(whole).encode()).hexdigest()[:8]
    return state_dir / "data" / f"{whole.name}-{mark}" / "manifest.csv"


def check_judgeable(manifest: Manifest) -> None:
    """Raises InputError before hours of training when there are no test images to judge by."""
    from cxr.compare.ruler import check_split

    check_split(manifest, "test")
