"""A million images as rows: scan of a listing, split, check without images, and every import file.

Each step runs in a process of its own and prints seconds and peak memory beside those of a peer in the same run: plain
pandas that reads and writes a CSV file of the same rows. Goals: each step under 60 s and 2 GB.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cxr.manifests.check import check
from cxr.manifests.import_files import ImportFormat, plan_import, write_import_files
from cxr.manifests.manifest_file import read_manifest, write_manifest
from cxr.manifests.scan.listing import scan_listing
from cxr.manifests.splits.split import make_validation
from cxr.storage import ObjectInfo

IMAGES = 1_000_000
IMAGES_PER_PATIENT = 3
ROOT = "gs://bucket/chest_xray"
GOAL_S, GOAL_GB = 60, 2


def main() -> None:
    """Run every step in a process of its own; `million_rows.py STEP FOLDER` is one of them."""
    if len(sys.argv) == 3:
        STEPS[sys.argv[1]](Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        for step in STEPS:
            seconds, gigabytes = _measured(step, folder)
            if step == "peer":
                peer = seconds
            ratio = "" if step == "peer" else f"; {seconds / peer:.1f} times the peer"
            missed = "  MISSES THE GOAL" if seconds > GOAL_S or gigabytes > GOAL_GB else ""
            print(f"{step}: {seconds:.1f} s, {gigabytes:.2f} GB{ratio}{missed}", flush=True)


def _measured(step: str, folder: str) -> tuple[float, float]:
    start = time.perf_counter()
    command = [sys.executable, "-c", _CHILD.format(file=__file__), step, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, int(done.stdout.split()[-1]) * 1024 / 1e9


#: Runs this file and prints the process's own peak memory in KiB.
_CHILD = """
import resource, runpy
runpy.run_path({file!r}, run_name="__main__")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _objects() -> Iterator[ObjectInfo]:
    for number in range(IMAGES):
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

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return (found for found in _objects() if found.name.startswith(prefix))


def _peer(folder: Path) -> None:
    rows = [(found.name, found.size, found.crc32c, found.md5) for found in _objects()]
    pd.DataFrame(rows, columns=["path", "size", "crc32c", "md5"]).to_csv(folder / "peer.csv", index=False)
    assert len(pd.read_csv(folder / "peer.csv", dtype=str)) == IMAGES


def _scan(folder: Path) -> None:
    write_manifest(scan_listing(_Bucket()), folder / "manifest.csv")


def _split(folder: Path) -> None:
    write_manifest(make_validation(read_manifest(folder / "manifest.csv")), folder / "split.csv")


def _check(folder: Path) -> None:
    report = check(read_manifest(folder / "split.csv"))
    assert sum(sum(labels.values()) for labels in report.counts.values()) == IMAGES


def _import_files(format: ImportFormat, folder: Path) -> None:
    url = ROOT.replace("gs://", "s3://") if format.startswith("sagemaker") else ROOT
    target = folder / f"import-{format}{'.lst' if format is ImportFormat.SAGEMAKER_LST else ''}"
    suffix = {"csv": ".csv", "jsonl": ".jsonl", "automl-vision-csv": ".csv", "sagemaker-manifest": ".manifest"}
    target = target if target.suffix == ".lst" else target.with_name(target.name + suffix.get(format, ""))
    written = write_import_files(plan_import(read_manifest(folder / "split.csv"), url, format), target)
    assert written.files


STEPS = {
    "peer": _peer,
    "scan": _scan,
    "split": _split,
    "check": _check,
    **{f"import-{format}": (lambda folder, format=format: _import_files(format, folder)) for format in ImportFormat},
}

if __name__ == "__main__":
    main()
