"""A million images as rows: scan of a listing, split, check without images, and every import file.

Each step runs in a process of its own: seconds and peak memory beside those of a peer in the same run, plain pandas
that writes and reads a CSV file of the same rows. Goals: each step under 60 s and 2 GB.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from cxr.manifests.check import check
from cxr.manifests.import_files import ImportFormat, plan_import, write_import_files
from cxr.manifests.manifest_file import read_manifest, write_manifest
from cxr.manifests.scan.listing import scan_listing
from cxr.manifests.splits.split import make_validation
from cxr.storage import ObjectInfo
from harness.result import Result, bound_of_value
from harness.script import Script, run_script

IMAGES, QUICK_IMAGES = 1_000_000, 50_000
IMAGES_PER_PATIENT = 3
ROOT = "gs://bucket/chest_xray"
GOAL_S, GOAL_GB = 60, 2


def measure(script: Script) -> None:
    """Every step in a process of its own; `--child STEP,IMAGES,FOLDER` is one of them."""
    if script.options.child:
        step, images, folder = script.options.child.split(",", 2)
        STEPS[step](Path(folder), int(images))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    images = QUICK_IMAGES if script.quick else IMAGES
    with tempfile.TemporaryDirectory() as folder:
        peer_s, peer_gb = _measured("peer", images, folder)
        for step in (step for step in STEPS if step != "peer"):
            seconds, gigabytes = _measured(step, images, folder)
            name, peer = f"{step}, {images:,} rows", "pandas, CSV out and in"
            script.add(Result(name, "time", seconds, "s", peer=peer, peer_value=peer_s, goal=bound_of_value(GOAL_S)))
            goal = bound_of_value(GOAL_GB)
            script.add(Result(name, "peak memory", gigabytes, "GB", peer=peer, peer_value=peer_gb, goal=goal))
        size = (Path(folder) / "split.csv").stat().st_size / images
        script.add(
            Result("row of the manifest", "size", size, "bytes", note="without sha256 and pixels: from a listing")
        )


def _measured(step: str, images: int, folder: str) -> tuple[float, float]:
    start = time.perf_counter()
    command = [sys.executable, __file__, "--child", f"{step},{images},{folder}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - start, int(done.stdout.split()[-1]) * 1024 / 1e9


def objects(images: int) -> Iterator[ObjectInfo]:
    """Made-up objects with names as in the Kermany release."""
    for number in range(images):
        patient = number // IMAGES_PER_PATIENT
        split = "test" if patient % 8 == 7 else "train"
        if patient % 4 == 0:
            name = f"{split}/NORMAL/IM-{patient:06d}-{number:07d}.jpeg"
        else:
            name = f"{split}/PNEUMONIA/person{patient}_{'bacteria' if patient % 3 else 'virus'}_{number}.jpeg"
        yield ObjectInfo(name, 90_000 + number % 997, "AAAAAA==", md5=hashlib.md5(b"%d" % number).hexdigest())


class _Bucket:
    """A listing of those objects, from no server."""

    url = ROOT

    def __init__(self, images: int) -> None:
        self._images = images

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        del after
        return (found for found in objects(self._images) if found.name.startswith(prefix))


def _peer(folder: Path, images: int) -> None:
    rows = [(found.name, found.size, found.crc32c, found.md5) for found in objects(images)]
    pd.DataFrame(rows, columns=["path", "size", "crc32c", "md5"]).to_csv(folder / "peer.csv", index=False)
    assert len(pd.read_csv(folder / "peer.csv", dtype=str)) == images


def _scan(folder: Path, images: int) -> None:
    write_manifest(scan_listing(_Bucket(images)), folder / "manifest.csv")


def _split(folder: Path, images: int) -> None:
    del images
    write_manifest(make_validation(read_manifest(folder / "manifest.csv")), folder / "split.csv")


def _check(folder: Path, images: int) -> None:
    report = check(read_manifest(folder / "split.csv"))
    assert sum(sum(labels.values()) for labels in report.counts.values()) == images


def _import_files(format: ImportFormat, folder: Path, images: int) -> None:
    del images
    url = ROOT.replace("gs://", "s3://") if format.startswith("sagemaker") else ROOT
    target = folder / f"import-{format}{'.lst' if format is ImportFormat.SAGEMAKER_LST else ''}"
    suffix = {"csv": ".csv", "jsonl": ".jsonl", "automl-vision-csv": ".csv", "sagemaker-manifest": ".manifest"}
    target = target if target.suffix == ".lst" else target.with_name(target.name + suffix.get(format, ""))
    written = write_import_files(plan_import(read_manifest(folder / "split.csv"), url, format), target)
    assert written.files


STEPS: dict[str, Callable[[Path, int], None]] = {
    "peer": _peer,
    "scan": _scan,
    "split": _split,
    "check": _check,
    **{f"import-{format}": partial(_import_files, format) for format in ImportFormat},
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--child", help=argparse.SUPPRESS)


if __name__ == "__main__":
    run_script(measure, file=__file__, description=__doc__, arguments=_arguments)
