"""One stage: the best weights win, and a loss that is no number ends the training with a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cxr.errors import Fault
from cxr.local_baseline.fitting import EpochResult, fit_stage, validation_loss
from cxr.local_baseline.pipeline import TrainingData
from cxr.local_baseline.recipes import CNN5, EarlyStopping, Plateau
from cxr.local_baseline.scoring import scorer
from cxr.local_baseline.tensorflow_setup import load

STAGE = replace(CNN5.scratch[0], early_stopping=EarlyStopping(patience=2))


def small_model(seed: int = 0) -> object:
    keras = load().keras
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")]
    return keras.Sequential(layers)


def data(*, bad: bool = False) -> TrainingData:
    """Bright images are positive; in validation it is the other way round, so that training makes that worse."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    images = (rng.normal(0, 0.1, (80, 4, 4, 1)) + labels[:, None, None, None]).astype(np.float32)
    images[60:] = 1 - images[60:]
    if bad:
        images[:60] = np.nan
    return TrainingData(images, labels, np.arange(60), np.arange(60, 80), 2)


def fit(model: object, training: TrainingData, epochs: int) -> tuple[list[EpochResult], int]:
    heard: list[EpochResult] = []
    result = fit_stage(
        model,
        training,
        CNN5,
        STAGE,
        positive=1,
        epochs=epochs,
        seed=1,
        on_step=lambda step, loss: None,
        on_epoch=heard.append,
    )
    assert tuple(heard) == result.history
    return heard, result.best_epoch


def test_the_epoch_with_the_least_validation_loss_is_kept() -> None:
    model, training = small_model(), data()
    history, best = fit(model, training, epochs=8)
    losses = [result.val_loss for result in history]
    assert best == 1 + int(np.argmin(losses))
    scores = scorer(model)(training.images, training.validation)
    assert validation_loss(scores, training.labels[training.validation]) == pytest.approx(min(losses))


def test_training_stops_early_when_validation_gets_worse() -> None:
    history, best = fit(small_model(), data(), epochs=50)
    assert len(history) == best + STAGE.early_stopping.patience


def test_a_loss_that_is_no_number_is_a_fault_that_says_where() -> None:
    with pytest.raises(Fault, match="the training loss became nan in epoch 1, step 1") as error:
        fit(small_model(), data(bad=True), epochs=2)
    assert error.value.hint


def test_a_plateau_lowers_the_learning_rate() -> None:
    assert STAGE.schedule == Plateau(factor=0.3, patience=2)
    history, _ = fit(small_model(), data(), epochs=3)
    assert [result.learning_rate for result in history] == pytest.approx([1e-3] * 3)
