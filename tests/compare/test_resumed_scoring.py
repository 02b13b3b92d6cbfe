"""A scoring that was killed goes on where it was, with the same scores to the last bit."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cxr.compare.predictions import unfinished
from cxr.compare.predictions.scoring import BATCH_IMAGES
from cxr.compare.predictions.table import predict
from cxr.compare.predictions.unfinished import KEPT_EVERY_S, SUFFIX, Keeper, UnfinishedScores, absent_batches
from cxr.errors import Interrupted

IMAGES = 5 * BATCH_IMAGES + 7

#: Scores in a process of its own, slowly, and kills itself (as the kernel would) once two chunks are kept.
KILLED = """
import os, signal, sys, time
from pathlib import Path
from cxr.bundle import read_bundle
from cxr.compare.predictions.table import predict
from cxr.manifests.manifest_file import read_manifest

bundle, manifest, cache = (Path(name) for name in sys.argv[1:])

def slow(done, total, note):
    if note.startswith("scoring") and done:
        time.sleep(1.1)
        if len(list(cache.rglob("*.scored"))) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

predict(read_bundle(bundle), read_manifest(manifest), cache_dir=cache, on_progress=slow)
"""


@pytest.fixture(scope="module")
def small(judged, tmp_path_factory):
    """More images than five batches, and a bundle of their manifest."""
    folder = tmp_path_factory.mktemp("resumed")
    manifest = judged.make_manifest(folder, test_images=IMAGES)
    return folder, manifest, judged.keras_bundle(folder / "cnn5", manifest.hash)


@pytest.fixture(scope="module")
def whole(judged, small, tmp_path_factory):
    """The probabilities of an uninterrupted scoring."""
    _, manifest, bundle = small
    made = predict(bundle, manifest, cache_dir=tmp_path_factory.mktemp("whole"), on_progress=judged.quiet)
    return made.probabilities(judged.CLASSES)


def chunks(cache: Path) -> list[Path]:
    return sorted(cache.rglob(f"*{SUFFIX}"))


def scored_steps(bundle, manifest, cache: Path):
    """The predictions, and how many images were done at each step of scoring."""
    steps: list[int] = []

    def listen(done: int, total: int, note: str) -> None:
        if note.startswith("scoring"):
            steps.append(done)

    return predict(bundle, manifest, cache_dir=cache, on_progress=listen), steps


def stop_after(images: int):
    """A progress callback that is Ctrl-C once so many images are scored."""

    def stop(done: int, total: int, note: str) -> None:
        if note.startswith("scoring") and done >= images:
            raise KeyboardInterrupt

    return stop


@pytest.fixture
def stopped(small, tmp_path, monkeypatch):
    """A cache in which three of six batches are kept, together: however slow the machine is, none was kept earlier."""
    _, manifest, bundle = small
    monkeypatch.setattr(unfinished, "KEPT_EVERY_S", math.inf)
    with pytest.raises(Interrupted):
        predict(bundle, manifest, cache_dir=tmp_path, on_progress=stop_after(3 * BATCH_IMAGES))
    assert chunks(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_killed_scoring_goes_on_with_the_rest_and_ends_with_the_same_bits(judged, small, whole, tmp_path):
    folder, manifest, bundle = small
    arguments = [str(bundle.folder), str(folder / "manifest.csv"), str(tmp_path)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, capture_output=True, timeout=500)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2_000:]
    assert len(chunks(tmp_path)) == 2
    assert not list(tmp_path.rglob("predictions.json"))

    made, steps = scored_steps(bundle, manifest, tmp_path)
    assert steps[0] >= 2 * BATCH_IMAGES, "what the killed process had kept is not scored again"
    assert steps[0] % BATCH_IMAGES == 0
    assert len(steps) - 1 == -(-(IMAGES - steps[0]) // BATCH_IMAGES), "one step for each batch of the rest"
    assert np.array_equal(made.probabilities(judged.CLASSES), whole)
    assert chunks(tmp_path) == []


def test_ctrl_c_says_how_many_are_kept(small, tmp_path):
    _, manifest, bundle = small
    with pytest.raises(Interrupted) as stopped:
        predict(bundle, manifest, cache_dir=tmp_path, on_progress=stop_after(2 * BATCH_IMAGES))
    assert f"{2 * BATCH_IMAGES} of {IMAGES} images that cnn5 has scored are kept" in stopped.value.message
    assert "same command" in stopped.value.hint
    assert stopped.value.exit_code == 6


def test_after_ctrl_c_the_rest_is_scored(judged, small, whole, stopped):
    _, manifest, bundle = small
    made, steps = scored_steps(bundle, manifest, stopped)
    assert steps == [3 * BATCH_IMAGES, 4 * BATCH_IMAGES, 5 * BATCH_IMAGES, IMAGES]
    assert np.array_equal(made.probabilities(judged.CLASSES), whole)
    assert chunks(stopped) == []


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: data[:-9], id="torn"),
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), id="one bit"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"{}\n" + data, id="no header"),
        pytest.param(lambda data: data.replace(b'"schema_version": 1', b'"schema_version": 2'), id="later version"),
        pytest.param(lambda data: data.replace(b'"start": 0', b'"start": 9000'), id="beyond the end"),
    ],
)
def test_a_chunk_that_is_not_as_it_was_written_is_scored_again(judged, small, whole, stopped, spoil):
    _, manifest, bundle = small
    (chunk,) = chunks(stopped)
    chunk.write_bytes(spoil(chunk.read_bytes()))
    made, steps = scored_steps(bundle, manifest, stopped)
    assert steps[0] == 0
    assert np.array_equal(made.probabilities(judged.CLASSES), whole)
    assert chunks(stopped) == []


def test_chunks_of_other_versions_are_not_used(judged, small, whole, stopped, monkeypatch):
    import cxr.compare.predictions.table as predictions

    _, manifest, bundle = small
    with monkeypatch.context() as later:
        later.setattr(predictions, "installed_versions", lambda: {"cxr": "99"})
        _, steps = scored_steps(bundle, manifest, stopped)
    assert steps[0] == 0


def test_kept_rows_come_back_to_the_last_bit_and_the_others_are_absent(tmp_path):
    scores = UnfinishedScores(tmp_path, "this")
    values = np.random.default_rng(4).random((7, 3))
    scores.keep(5, values)
    found, there = scores.read(20, 3)
    assert np.array_equal(found[5:12], values)
    assert there.tolist() == [5 <= row < 12 for row in range(20)]
    assert np.isnan(found[~there]).all()
    assert not UnfinishedScores(tmp_path, "that").read(20, 3)[1].any()
    assert not scores.read(20, 2)[1].any(), "of another number of classes"
    assert not scores.read(10, 3)[1].any(), "of more images"
    scores.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_quick_leaves_no_files_and_what_is_slow_one_now_and_then(tmp_path):
    now = [0.0]
    keeper = Keeper(UnfinishedScores(tmp_path, "this"), clock=lambda: now[0])
    for start in range(0, 60, 10):
        now[0] += KEPT_EVERY_S / 4
        keeper.add(start, np.full((10, 2), float(start)))
    assert [path.name for path in chunks(tmp_path)] == [f"{0:09d}{SUFFIX}"]
    keeper.add(100, np.zeros((10, 2)))  # rows in between were there already
    keeper.flush()
    _, there = UnfinishedScores(tmp_path, "this").read(200, 2)
    assert np.flatnonzero(there).tolist() == [*range(60), *range(100, 110)]


def test_batches_lie_where_they_would_without_kept_rows():
    there = np.zeros(100, dtype=np.bool_)
    assert list(absent_batches(there, 32)) == [(0, 32), (32, 64), (64, 96), (96, 100)]
    there[:40] = True
    assert list(absent_batches(there, 32)) == [(32, 64), (64, 96), (96, 100)]
    assert list(absent_batches(np.ones(100, dtype=np.bool_), 32)) == []
