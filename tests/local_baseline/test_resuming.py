"""A training that was left, by a kill or a notice, comes to the same end as one that never was."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from replica_process import data, recipe

from cxr.errors import InputError
from cxr.local_baseline.judging.scoring import scorer
from cxr.local_baseline.recipes import Augmentation, Cosine, Optimizer, Recipe, Trains
from cxr.local_baseline.training.checkpoints import KEPT, Checkpoints
from cxr.local_baseline.training.epochs import EpochResult
from cxr.local_baseline.training.fitting import validation_loss
from cxr.local_baseline.training.stages import Surroundings, Trained, run_stages

pytestmark = pytest.mark.slow

MARK = "a" * 64
Tell = Callable[[int, int, str], None]


def two_stages() -> Recipe:
    """A head and a fine-tuning stage of the small net (any weights will do: it takes none)."""
    stage = recipe().scratch[0]
    head = replace(stage, trains=Trains.HEAD, optimizer=Optimizer(3e-3), augmentation=Augmentation())
    last = replace(stage, trains=Trains.FINE_TUNE, schedule=Cosine())
    return replace(recipe(), pretrained=(head, replace(last, unfreeze_layers=2)))


def nothing(done: int, total: int, note: str) -> None:
    del done, total, note


def run(
    folder: Path | None,
    on_progress: Tell = nothing,
    *,
    said: list[str] | None = None,
    mark: str = MARK,
    finish: bool = False,
) -> tuple[Trained, list[EpochResult]]:
    """Train; the result, and the epochs that this process told of."""
    heard: list[EpochResult] = []
    lines = said if said is not None else []
    places = Checkpoints(str(folder), mark, lines.append) if folder else None
    around = Surroundings(places, on_resume=lambda history: lines.append(f"{len(history)} before"), finish=finish)
    trained = run_stages(
        two_stages(),
        data(),
        weights="any",
        epochs=None,
        seed=7,
        positive=1,
        on_progress=on_progress,
        on_epoch=heard.append,
        surroundings=around,
    )
    return trained, heard


@pytest.fixture(scope="module")
def uninterrupted() -> Trained:
    """What comes out when nothing happens: two epochs of five steps in either stage."""
    return run(None)[0]


def assert_same(ours: Trained, theirs: Trained) -> None:
    assert ours.history == theirs.history
    assert (ours.best_stage, ours.best_epoch) == (theirs.best_stage, theirs.best_epoch)
    assert ours.images_seen == theirs.images_seen
    for mine, other in zip(ours.model.get_weights(), theirs.model.get_weights(), strict=True):
        assert np.array_equal(mine, other)


class Killed(BaseException):
    """Stands for kill -9: nothing is written on the way out."""


def die_at(step: int) -> Tell:
    def on_progress(done: int, total: int, note: str) -> None:
        del total, note
        if done == step:
            raise Killed

    return on_progress


def notice_at(step: int) -> Tell:
    def on_progress(done: int, total: int, note: str) -> None:
        del total, note
        if done == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return on_progress


def test_a_killed_training_comes_to_the_same_end(uninterrupted: Trained, tmp_path: Path) -> None:
    # In the head's second epoch, and in the fine-tuning's second; 20 steps in all.
    for step in (8, 17):
        with pytest.raises(Killed):
            run(tmp_path, die_at(step))
    said: list[str] = []
    trained, heard = run(tmp_path, said=said)
    assert_same(trained, uninterrupted)
    assert [(result.stage, result.epoch) for result in heard] == [("fine-tune", 2)]
    assert said[-1] == "3 before"
    assert len(list(tmp_path.iterdir())) == KEPT
    steps: list[int] = []
    trained, heard = run(tmp_path, lambda done, total, note: steps.append(done))
    assert (steps, heard) == ([], [])  # killed while it exported: nothing is left to train
    assert_same(trained, uninterrupted)


def test_a_notice_keeps_the_steps_that_were_made(uninterrupted: Trained, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, notice_at(13))
    assert max(path.name for path in tmp_path.iterdir()).endswith("-000002-00000003.npz")
    steps: list[int] = []
    trained, _ = run(tmp_path, lambda done, total, note: steps.append(done))
    assert steps == list(range(14, 21))
    assert_same(trained, uninterrupted)


@pytest.mark.parametrize(
    ("step", "epochs"),
    [
        pytest.param(8, 1, id="head"),
        pytest.param(13, 2, id="between", marks=pytest.mark.slow),
        pytest.param(17, 3, id="fine-tune", marks=pytest.mark.slow),
    ],
)
def test_what_is_finished_early_is_the_best_epoch_so_far(
    uninterrupted: Trained, tmp_path: Path, step: int, epochs: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, notice_at(step))
    steps: list[int] = []
    trained, heard = run(tmp_path, lambda done, total, note: steps.append(done), finish=True)
    assert (steps, heard, trained.ended_early) == ([], [], True)
    assert trained.history == uninterrupted.history[:epochs]
    best = min(trained.history, key=lambda result: result.val_loss)
    assert (trained.best_stage, trained.best_epoch) == (best.stage, best.epoch)
    # The weights are that epoch's: they score what it scored.
    images = data()
    scores = scorer(trained.model)(images.images, images.validation)
    assert validation_loss(scores, images.labels[images.validation]) == pytest.approx(best.val_loss, rel=1e-5)
    assert_same(run(tmp_path)[0], uninterrupted)


def test_without_a_checkpoint_there_is_nothing_to_finish(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no epoch of this training has been kept"):
        run(tmp_path, finish=True)
