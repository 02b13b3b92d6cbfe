"""The cache and its processes: one that is killed loses next to nothing, two at once do the work once, a full disk is
told."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cxr.bundle import Preprocessing
from cxr.errors import Fault
from cxr.local_baseline.images.cache import cache_path, cached_images
from cxr.local_baseline.images.preprocess import load_image
from cxr.local_baseline.images.row_file import open_rows
from cxr.manifests.manifest import Manifest

PROGRAM = Path(__file__).parent / "decoding_process.py"
CONTRACT = Preprocessing(24, 24, 1)


def command(manifest: Manifest, folder: Path, *stands_after: int) -> list[str]:
    return [sys.executable, str(PROGRAM), str(manifest.location), str(folder), *map(str, stands_after)]


def start(manifest: Manifest, folder: Path, *stands_after: int) -> subprocess.Popen[str]:
    words = command(manifest, folder, *stands_after)
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def lines_of(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate(timeout=500)
    assert process.returncode == 0
    return out.splitlines()


def expected_pixels(manifest: Manifest) -> np.ndarray:
    return np.stack([load_image(manifest.root / name, CONTRACT) for name in manifest.frame["path"]])


def test_a_killed_process_is_continued_and_loses_only_what_it_was_at(small_manifest: Manifest, tmp_path: Path) -> None:
    killed = start(small_manifest, tmp_path, 12)
    assert killed.stdout is not None
    for _ in range(12):
        killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    file = open_rows(cache_path(small_manifest, CONTRACT, tmp_path), (40, 24, 24, 1))
    assert file is not None
    kept = int(np.count_nonzero(file.sums))
    assert 10 <= kept < 40
    *decoded, last = lines_of(start(small_manifest, tmp_path))
    assert last == "done"
    assert len(decoded) == 40 - kept
    assert len(file.absent(np.arange(40))) == 0  # the same file, filled
    assert (file.pixels == expected_pixels(small_manifest)).all()


def test_a_mark_without_pixels_is_not_believed(small_manifest: Manifest, tmp_path: Path) -> None:
    """What a lost power line may leave: checksums on the disk, and not the pixels that they are of."""
    lines_of(start(small_manifest, tmp_path))
    path = cache_path(small_manifest, CONTRACT, tmp_path)
    pixels = np.load(path, mmap_mode="r+")
    pixels[30:] = 0
    del pixels
    heard: list[int] = []
    array = cached_images(
        small_manifest, str(small_manifest.root), CONTRACT, tmp_path, lambda done, total, note: heard.append(done)
    )
    assert heard[0] == 30
    assert (array == expected_pixels(small_manifest)).all()


def test_two_processes_decode_every_image_once_between_them(small_manifest: Manifest, tmp_path: Path) -> None:
    both = [start(small_manifest, tmp_path) for _ in range(2)]
    (*first, _), (*second, _) = (lines_of(process) for process in both)
    assert sorted(first + second) == sorted(small_manifest.frame["path"])
    assert not first or not second
    array = np.load(cache_path(small_manifest, CONTRACT, tmp_path))
    assert (array == expected_pixels(small_manifest)).all()


def test_who_waits_for_another_process_is_told_how_far_it_is(small_manifest: Manifest, tmp_path: Path) -> None:
    other = start(small_manifest, tmp_path, 12)
    assert other.stdout is not None
    other.stdout.readline()  # it has the lock
    heard: list[tuple[int, int, str]] = []

    def listen(done: int, total: int, note: str) -> None:
        if done and not any(before for before, _, _ in heard):
            print(file=other.stdin, flush=True)  # it has been told: the other may go on
        heard.append((done, total, note))

    cached_images(small_manifest, str(small_manifest.root), CONTRACT, tmp_path, listen)
    other.communicate()
    assert heard
    assert {note for _, _, note in heard} == {"another process is decoding"}
    assert {total for _, total, _ in heard} == {40}
    counts = [done for done, _, _ in heard]
    assert counts == sorted(counts)
    assert 0 < counts[-1] <= 40


def test_a_disk_that_is_too_small_is_told_before_anything_is_decoded(small_manifest: Manifest, tmp_path: Path) -> None:
    """A limit of the file size (20 kB) stands for a full disk: the same call is refused."""
    limited = ["bash", "-c", 'ulimit -f 20; exec "$@"', "-", *command(small_manifest, tmp_path)]
    ended = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"cannot write the image cache {tmp_path}" in ended.stderr
    assert "next: free some space, or choose another place: --cache DIR" in ended.stderr
    assert ended.stdout == ""


def test_a_file_system_without_locks_is_refused_before_anything_is_written(
    small_manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that begin at once would remove each other's file, and one would get the other's black images."""

    def no_locks(*arguments: int) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(Fault, match="cannot be locked") as error:
        decode(small_manifest, tmp_path)
    assert "--cache DIR" in str(error.value.hint)
    assert not list(tmp_path.glob("*.npy"))


def test_a_cache_that_the_system_does_not_open_is_not_made_anew(small_manifest: Manifest, tmp_path: Path) -> None:
    """Too many open files say nothing of what is in them."""
    decode(small_manifest, tmp_path)
    path = cache_path(small_manifest, CONTRACT, tmp_path)
    before = path.stat().st_ino
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()  # or files that nobody holds any more are closed meanwhile, and their numbers are free
    taken = os.dup(0)
    os.close(taken)
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken, most[1]))
    try:
        with pytest.raises(Fault, match="cannot open the image cache"):
            decode(small_manifest, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
    assert path.stat().st_ino == before
    assert (decode(small_manifest, tmp_path) == expected_pixels(small_manifest)).all()


def test_a_cache_that_is_removed_meanwhile_is_told(small_manifest: Manifest, tmp_path: Path) -> None:
    path = cache_path(small_manifest, CONTRACT, tmp_path)

    def remove(done: int, total: int, note: str) -> None:
        if done == total:
            path.unlink()

    with pytest.raises(Fault, match="was removed while it was filled"):
        cached_images(small_manifest, str(small_manifest.root), CONTRACT, tmp_path, remove)


def decode(manifest: Manifest, folder: Path) -> np.ndarray:
    return cached_images(manifest, str(manifest.root), CONTRACT, folder, lambda done, total, note: None)
