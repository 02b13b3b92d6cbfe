"""The moving average of weights: what it is, what it is used for, and that the net itself trains on as without it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cxr.local_baseline.judging.scoring import scorer
from cxr.local_baseline.recipes import CNN5, Constant, EarlyStopping, Optimizer, Recipe
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.averaging import WeightAverage, decay_at
from cxr.local_baseline.training.fitting import fit_stage, validation_loss
from cxr.local_baseline.training.pipeline import TrainingData

STAGE = replace(
    CNN5.scratch[0], optimizer=Optimizer(1e-2), schedule=Constant(), early_stopping=EarlyStopping(patience=99)
)


def small_model() -> Any:
    keras = load().keras
    keras.utils.set_random_seed(0)
    parts = [keras.layers.Flatten(), keras.layers.BatchNormalization(momentum=0.9), keras.layers.Dropout(0.2)]
    return keras.Sequential([keras.Input((4, 4, 1)), *parts, keras.layers.Dense(1, activation="sigmoid")])


def data() -> TrainingData:
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    images = rng.normal(0, 1.0, (80, 4, 4, 1)).astype(np.float32) + 0.3 * labels[:, None, None, None]
    return TrainingData(images.astype(np.float32), labels, np.arange(60), np.arange(60, 80), 2)


def test_the_beginning_is_forgotten_soon_and_the_decay_is_reached() -> None:
    assert decay_at(1, 0.99) == pytest.approx(2 / 11)
    assert decay_at(10**6, 0.99) == 0.99
    steps = [decay_at(step, 0.99) for step in range(1, 2000)]
    assert steps == sorted(steps)


def test_the_average_is_the_recursion_written_out_in_numpy() -> None:
    net = small_model()
    average = WeightAverage(net, 0.9)
    expected = net.get_weights()
    rng = np.random.default_rng(1)
    for step in range(1, 30):
        net.set_weights([rng.normal(size=weight.shape).astype(np.float32) for weight in expected])
        average.follow(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, net.get_weights(), strict=True)]
    for ours, theirs in zip(average.values, expected, strict=True):
        assert np.allclose(ours, theirs, atol=1e-6)


def test_the_net_gets_its_own_weights_back_also_after_an_error() -> None:
    net = small_model()
    average = WeightAverage(net, 0.9)
    net.set_weights([weight + 1 for weight in net.get_weights()])
    own = net.get_weights()
    with pytest.raises(RuntimeError), average.applied():
        assert all(np.array_equal(one, other) for one, other in zip(net.get_weights(), average.values, strict=True))
        raise RuntimeError
    assert all(np.array_equal(one, other) for one, other in zip(net.get_weights(), own, strict=True))


def fitted(recipe: Recipe) -> tuple[Any, list[float], list[float]]:
    net = small_model()
    result = fit_stage(
        net,
        data(),
        recipe,
        STAGE,
        positive=1,
        epochs=6,
        seed=1,
        on_step=lambda step, loss: None,
        on_epoch=lambda result: None,
    )
    return net, [line.loss for line in result.history], [line.val_loss for line in result.history]


def test_the_average_is_judged_and_kept_and_training_itself_does_not_notice() -> None:
    averaged, losses, judged = fitted(replace(CNN5, batch_size=10, weight_average=0.95))
    plain, plain_losses, plain_judged = fitted(replace(CNN5, batch_size=10))
    assert losses == pytest.approx(plain_losses, rel=1e-5)
    assert judged != pytest.approx(plain_judged, rel=1e-3)
    assert np.abs(np.diff(judged)).sum() < np.abs(np.diff(plain_judged)).sum()  # steadier
    rows = data().validation
    scores = scorer(averaged)(data().images, rows)
    assert validation_loss(scores, data().labels[rows]) == pytest.approx(min(judged), rel=1e-5)
    del plain
