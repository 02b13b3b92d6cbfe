"""One stage: the best weights win, the recipe's rules and weights are obeyed, and a loss that is no number ends the
training with a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cxr.errors import Fault
from cxr.local_baseline.judging.scoring import scorer
from cxr.local_baseline.recipes import CNN5, Augmentation, EarlyStopping, Plateau, Recipe, Stage
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.fitting import EpochResult, StageSnapshot, fit_stage, validation_loss
from cxr.local_baseline.training.objective import cross_entropy
from cxr.local_baseline.training.pipeline import TrainingData

STAGE = replace(CNN5.scratch[0], early_stopping=EarlyStopping(patience=2))


def small_model(seed: int = 0) -> object:
    keras = load().keras
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")]
    return keras.Sequential(layers)


def blank_model(probability: float = 0.5) -> Any:
    """Gives every image the same probability."""
    model: Any = small_model()
    kernel, bias = model.get_weights()
    model.set_weights([np.zeros_like(kernel), np.full_like(bias, np.log(probability / (1 - probability)))])
    return model


def data(*, bad: slice | None = None) -> TrainingData:
    """Bright images are positive; in validation it is the other way round, so that training makes that worse. The
    images `bad` are not numbers."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    images = (rng.normal(0, 0.1, (80, 4, 4, 1)) + labels[:, None, None, None]).astype(np.float32)
    images[60:] = 1 - images[60:]
    if bad is not None:
        images[bad] = np.nan
    return TrainingData(images, labels, np.arange(60), np.arange(60, 80), 2)


def fit(
    model: object, training: TrainingData, epochs: int, *, recipe: Recipe = CNN5, stage: Stage = STAGE
) -> tuple[list[EpochResult], int]:
    heard: list[EpochResult] = []
    result = fit_stage(
        model,
        training,
        recipe,
        stage,
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
        fit(small_model(), data(bad=slice(60)), epochs=2)
    assert error.value.hint


def test_a_validation_loss_that_is_no_number_is_never_the_best() -> None:
    with pytest.raises(Fault, match="the validation loss became nan in epoch 1") as error:
        fit(small_model(), data(bad=slice(70, 71)), epochs=2)
    assert error.value.hint


def test_a_plateau_lowers_the_learning_rate_again_and_again() -> None:
    assert STAGE.schedule == Plateau(factor=0.3, patience=2)
    patient = replace(STAGE, early_stopping=EarlyStopping(patience=9))
    history, best = fit(blank_model(), data(), epochs=6, stage=patient)
    assert best == 1
    rates = [1e-3, 1e-3, 1e-3, 3e-4, 3e-4, 9e-5]
    assert [result.learning_rate for result in history] == pytest.approx(rates)


def test_the_loss_is_weighted_by_class() -> None:
    # One step on 60 images, 6 of them positive, from weights that call every image 0.8 positive.
    training = data()
    training.labels[:60] = np.arange(60) % 10 == 0
    one_step = replace(CNN5, batch_size=60)
    weighted, _ = fit(blank_model(0.8), training, epochs=1, recipe=one_step)
    assert weighted[0].loss == pytest.approx((6 * 5 * -np.log(0.8) + 54 * (5 / 9) * -np.log(0.2)) / 60)
    plain, _ = fit(blank_model(0.8), training, epochs=1, recipe=replace(one_step, class_weights=False))
    assert plain[0].loss == pytest.approx((6 * -np.log(0.8) + 54 * -np.log(0.2)) / 60)


def test_augmentation_is_as_strong_as_the_recipe_says() -> None:
    def losses(strength: float, zoom: float) -> list[float]:
        stage = replace(STAGE, augmentation=Augmentation(zoom=zoom, shift=zoom))
        history, _ = fit(
            small_model(), data(), epochs=1, recipe=replace(CNN5, augmentation_strength=strength), stage=stage
        )
        return [result.loss for result in history]

    none, double = losses(0, 0.2), losses(2, 0.2)
    assert none == losses(1, 0)
    assert double == losses(1, 0.4)
    assert double != pytest.approx(none, rel=1e-3)


class Memory:
    """Keeps how many epochs were done."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def restored(self) -> StageSnapshot | None:
        return None

    def keep(self, snapshot: StageSnapshot) -> None:
        self.epochs.append(snapshot.state.epoch)


def test_an_epoch_is_kept_before_anybody_is_told() -> None:
    memory = Memory()

    def tell(result: EpochResult) -> None:
        raise OSError(result.epoch)

    with pytest.raises(OSError, match="1"):
        fit_stage(
            small_model(),
            data(),
            CNN5,
            STAGE,
            positive=1,
            epochs=2,
            seed=1,
            on_step=lambda step, loss: None,
            on_epoch=tell,
            memory=memory,
        )
    assert memory.epochs == [1]


def test_smoothing_moves_the_target_away_from_certainty() -> None:
    one_step = replace(CNN5, batch_size=60, class_weights=False, label_smoothing=0.2)
    smooth, _ = fit(blank_model(0.8), data(), epochs=1, recipe=one_step)
    of_positive, of_negative = -0.9 * np.log(0.8) - 0.1 * np.log(0.2), -0.1 * np.log(0.8) - 0.9 * np.log(0.2)
    assert smooth[0].loss == pytest.approx((of_positive + of_negative) / 2)


def test_three_classes_are_smoothed_alike() -> None:
    tf = load().tf
    scores = tf.constant([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    loss = cross_entropy(tf.constant([0, 2]), scores, 0.3).numpy()
    target = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    assert loss == pytest.approx(-(target * np.log(scores)).sum(axis=1), rel=1e-5)
    assert cross_entropy(tf.constant([0, 2]), scores, 0.0).numpy() == pytest.approx(-np.log([0.7, 0.8]), rel=1e-5)
