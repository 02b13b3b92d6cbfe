"""`cxr data scan` against `sha256sum` and `djpeg` over the same files, and a second scan against the first.

Prints CPU seconds (user and system, children included), their ratio, and wall seconds of scan and rescan, best of 3.
2,000 files: the 110 unresized originals over and over, or a drawn sample where they are not at hand.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cxr.manifests.sample import draw_sample
from cxr.manifests.scan.folder import scan_with_record
from cxr.manifests.scan.record import read_record, write_record

ORIGINALS = Path(__file__).resolve().parents[2] / "shared" / "data" / "originals"
FILES = 2000
ROUNDS = 3
HOUR_S = 3600


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = _make_files(folder)
        _measure_cpu(images, folder)
        _measure_rescan(images, folder)


def _measure_cpu(images: Path, folder: Path) -> None:
    files = sorted(map(str, images.rglob("*.jpeg")))
    command = [sys.executable, "-m", "cxr", "data", "scan", str(images), "--fresh", "--quiet"]
    command += ["--out", str(folder / "cpu.csv")]
    missing = [tool for tool in ("sha256sum", "djpeg") if shutil.which(tool) is None]

    def peers() -> None:
        _run(["sha256sum", *files])
        for file in files:
            _run(["djpeg", "-outfile", os.devnull, file])

    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours.append(_cpu_seconds(lambda: _run(command)))
        if not missing:
            theirs.append(_cpu_seconds(peers))
    print(f"scan of {len(files):,} files: {min(ours):.1f} s of CPU (the whole command)")
    if missing:
        print(f"not compared: {' and '.join(missing)} not installed (Debian: libjpeg-turbo-progs, coreutils)")
        return
    ratio = min(ours) / min(theirs)
    print(f"sha256sum and djpeg: {min(theirs):.1f} s of CPU; the scan takes {ratio:.2f} times that (goal: at most 1.4)")


def _measure_rescan(images: Path, folder: Path) -> None:
    path = folder / "again.scan.csv"
    firsts, agains = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        first = scan_with_record(images)
        firsts.append(time.perf_counter() - start)
        write_record(first.record, path)
        start = time.perf_counter()
        again = scan_with_record(images, earlier=read_record(path)[0])
        agains.append(time.perf_counter() - start)
        if again.manifest.hash != first.manifest.hash or again.reused != len(first.record.frame):
            raise SystemExit("the second scan is not the first one's: nothing was measured")
    print(f"in one process: scan {min(firsts):.2f} s, again {min(agains):.3f} s: {min(firsts) / min(agains):.0f} times")


def _make_files(folder: Path) -> Path:
    source = ORIGINALS
    if not source.is_dir():
        print("the originals are not here: drawn images instead")
        source = folder / "drawn"
        draw_sample(source, images=110, seed=7)
    images = folder / "images"
    originals = sorted(source.rglob("*.jpeg"))
    for number in range(FILES):
        original = originals[number % len(originals)]
        target = images / original.parent.name / f"{number:05d}.jpeg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, target)
        # A file that is younger than two seconds is read again, whatever the record says.
        os.utime(target, (time.time() - HOUR_S,) * 2)
    return images


def _cpu_seconds(action: Callable[[], None]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
