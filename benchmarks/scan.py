"""`cxr data scan` against `sha256sum` and `djpeg` over the same files, and a second scan against the first.

CPU seconds (user and system, children included), and wall seconds of scan and rescan, best of 3.
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
from harness.result import Better, Result, least_ratio
from harness.script import Script, run_script
from upload_peers.install import Absent, distribution_program

ORIGINALS = Path(__file__).resolve().parents[2] / "shared" / "data" / "originals"
FILES, QUICK_FILES = 2000, 200
ROUNDS = 3
HOUR_S = 3600
#: Times the processor time of checksums and decoding alone.
MOST_OVER_PEERS = 1.4


def measure(script: Script) -> None:
    """The whole command beside its peers, then scan and rescan in one process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = _make_files(script, folder)
        _measure_cpu(script, images, folder)
        _measure_rescan(script, images, folder)


def _measure_cpu(script: Script, images: Path, folder: Path) -> None:
    files = sorted(map(str, images.rglob("*.jpeg")))
    command = [sys.executable, "-m", "cxr", "data", "scan", str(images), "--fresh", "--quiet"]
    command += ["--out", str(folder / "cpu.csv")]
    djpeg, missing = "", False
    try:
        djpeg = distribution_program("djpeg", "libjpeg-turbo-progs")
    except Absent as reason:
        missing = True
        script.say_absent("`sha256sum` and `djpeg`", reason)

    def peers() -> None:
        _run(["sha256sum", *files])
        for file in files:
            _run([djpeg, "-outfile", os.devnull, file])

    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours.append(_cpu_seconds(lambda: _run(command)))
        if not missing:
            theirs.append(_cpu_seconds(peers))
    script.add(
        Result(
            f"`cxr data scan` of {len(files):,} files",
            "processor time of the whole command",
            min(ours),
            "s",
            peer="" if missing else "`sha256sum` and `djpeg`",
            peer_value=None if missing else min(theirs),
            goal=None if missing else least_ratio(1 / MOST_OVER_PEERS),
            spread=(min(ours), max(ours)),
            repeats=ROUNDS,
            note="" if missing else "least that must be done: the scan also hashes for Cloud Storage and for likeness",
        )
    )


def _measure_rescan(script: Script, images: Path, folder: Path) -> None:
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
    script.add(
        Result(
            "second scan, nothing changed",
            "time",
            min(agains),
            "s",
            Better.LESS,
            "the first scan",
            min(firsts),
            spread=(min(agains), max(agains)),
            repeats=ROUNDS,
        )
    )


def _make_files(script: Script, folder: Path) -> Path:
    source = ORIGINALS
    if not source.is_dir():
        script.note("the unresized originals are not here: drawn images instead")
        source = folder / "drawn"
        draw_sample(source, images=110, seed=7)
    images = folder / "images"
    originals = sorted(source.rglob("*.jpeg"))
    for number in range(QUICK_FILES if script.quick else FILES):
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
    run_script(measure, file=__file__, description=__doc__, packages=("pillow", "google-crc32c"))
