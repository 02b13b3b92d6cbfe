"""Several replicas come to what one comes to: the same history and the same weights, up to the rounding of sums."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from machines import outcome, start, start_machines

from cxr.errors import Fault, UsageError
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.distribution import ALONE, CURRENT, Cluster, Replicas, shared_layer

PROGRAM = Path(__file__).parent / "replica_process.py"


def start_cluster(*arguments: object) -> list[subprocess.Popen[str]]:
    """A chief and a worker on this machine."""
    return start_machines(PROGRAM, ("cluster", *arguments), ("cluster", *arguments))


def assert_same(ours: dict[str, Any], alone: dict[str, Any]) -> None:
    assert ours["best_epoch"] == alone["best_epoch"]
    for mine, theirs in zip(ours["history"], alone["history"], strict=True):
        assert mine == pytest.approx(theirs, rel=2e-3, abs=1e-4)
    for mine, theirs in zip(ours["weights"], alone["weights"], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


@pytest.mark.slow
def test_two_processors_of_a_machine_come_to_what_one_does() -> None:
    alone, two = start(PROGRAM, "plain"), start(PROGRAM, "mirrored")
    alone_outcome, outcome_of_two = outcome(alone), outcome(two)
    assert (alone_outcome["replicas"], outcome_of_two["replicas"]) == (1, 2)
    assert_same(outcome_of_two, alone_outcome)


@pytest.mark.slow
def test_two_machines_come_to_what_one_does_and_continue_together(tmp_path: Path) -> None:
    alone = outcome(start(PROGRAM, "plain"))
    for _ in range(2):  # the second time both find the chief's last checkpoint
        chief, worker = (outcome(process) for process in start_cluster(tmp_path))
        assert chief == worker
        assert chief["replicas"] == 2
        assert_same(chief, alone)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_a_machine_that_goes_away_ends_the_other(tmp_path: Path) -> None:
    chief, worker = start_cluster(tmp_path, 100_000)
    while not list(tmp_path.iterdir()):
        assert chief.poll() is None, chief.communicate()
        time.sleep(0.1)
    worker.kill()
    worker.communicate()
    _, errors = chief.communicate(timeout=500)
    assert chief.returncode == 1, errors
    assert "another machine of this training went away" in errors
    assert list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_killed_worker_started_again_with_its_chief_comes_to_the_same_end(tmp_path: Path) -> None:
    epochs = 6
    calm, _ = (outcome(process) for process in start_cluster(tmp_path / "calm", epochs))
    places = tmp_path / "killed"
    common = ("cluster", places, epochs)
    # The worker stands still after its second epoch, and the chief waits for it: neither can come to the end.
    chief, worker = start_machines(PROGRAM, common, (*common, 2))
    while not list(places.glob("*-000002-*.npz")):
        assert chief.poll() is None, chief.communicate()
        time.sleep(0.01)
    worker.kill()
    worker.communicate()
    _, errors = chief.communicate(timeout=500)
    assert "another machine of this training went away" in errors
    assert not list(places.glob("*-000006-*.npz"))
    outcomes = [outcome(process) for process in start_cluster(places, epochs)]
    assert outcomes[0] == outcomes[1]
    assert_same(outcomes[0], calm)


@pytest.mark.parametrize("noise_shape", [None, (None, 1, 1), (None, 5, 1)], ids=["each", "images", "rows"])
def test_dropout_of_shares_is_that_of_the_whole_batch(noise_shape: tuple[int | None, ...] | None) -> None:
    keras, tf = load().keras, load().tf
    layer = keras.layers.Dropout(0.4, noise_shape=noise_shape, seed=3)
    shared = shared_layer(layer)
    batch = tf.constant(np.random.default_rng(0).normal(size=(7, 5, 3)).astype(np.float32))
    parts = []
    for first, end in ((0, 3), (3, 7)):
        CURRENT.place = tf.constant([first, 7], tf.int64)
        parts.append(shared(batch[first:end], training=True).numpy())
    assert np.array_equal(np.concatenate(parts), layer(batch, training=True).numpy())
    assert np.array_equal(shared(batch, training=False).numpy(), batch.numpy())


def test_a_batch_is_never_smaller_than_the_replicas_it_is_for() -> None:
    with pytest.raises(UsageError, match="batches of 0 images cannot be shared by 1 replicas"):
        ALONE.check_batches(0)


@pytest.mark.parametrize(
    ("name", "raised"),
    [
        *((name, Fault) for name in ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError")),
        *((name, None) for name in ("ResourceExhaustedError", "InvalidArgumentError", "InternalError")),
    ],
)
def test_only_errors_of_the_network_are_another_machine(name: str, raised: type[Exception] | None) -> None:
    error = getattr(load().tf.errors, name)
    with pytest.raises(raised or error, match="went away" if raised else "words"), Replicas(Cluster(2, 1)).errors():
        raise error(None, None, "words")
