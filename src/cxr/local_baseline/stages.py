"""A recipe's stages, one after the other, on one model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cxr.local_baseline.fitting import EpochResult, OnEpoch, fit_stage
from cxr.local_baseline.models.build import FEATURES, SCORES, build_model
from cxr.local_baseline.pipeline import TrainingData, steps_per_epoch
from cxr.local_baseline.recipes import NO_WEIGHTS, Recipe, Stage, Trains
from cxr.local_baseline.scoring import batch_runner
from cxr.local_baseline.tensorflow_setup import load

HEAD_DROPOUT = 0.2

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Trained:
    """A trained Keras model with its best weights. `seconds` is the time of all stages, validation included."""

    model: Any
    history: tuple[EpochResult, ...]
    best_stage: str
    best_epoch: int
    images_seen: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The stages that will run, and the optimizer steps they take together."""

    stages: tuple[tuple[Stage, int], ...]
    total_steps: int


def plan_stages(recipe: Recipe, data: TrainingData, weights: str, epochs: int | None) -> Plan:
    """The recipe's stages with their lengths for this data; `epochs`, when given, is the last stage's length."""
    stages = recipe.scratch if weights == NO_WEIGHTS else recipe.pretrained
    lengths = [stage.budget.epochs_for(len(data.train), recipe.batch_size) for stage in stages]
    if epochs is not None:
        lengths[-1] = epochs
    return Plan(tuple(zip(stages, lengths, strict=True)), sum(lengths) * steps_per_epoch(data, recipe.batch_size))


def run_stages(
    recipe: Recipe,
    data: TrainingData,
    *,
    weights: str,
    epochs: int | None,
    seed: int,
    positive: int,
    on_progress: Progress,
    on_epoch: OnEpoch,
) -> Trained:
    """Build the recipe's model and train it. `on_progress(step, steps, note)` hears of every step of all stages.

    Raises Fault for a loss that is not a number, InputError for weights that do not fit.
    """
    load().keras.utils.set_random_seed(seed)
    model = build_model(recipe, data.classes, weights)
    plan = plan_stages(recipe, data, weights, epochs)
    history: list[EpochResult] = []
    best: tuple[float, Stage, int] | None = None
    images_seen = steps_done = 0
    started = time.monotonic()
    for stage, length in plan.stages:
        before = model.get_weights()
        part, part_data = _part(model, data, stage)
        teller = _Teller(on_progress, on_epoch, steps_done, plan.total_steps, steps_per_epoch(data, recipe.batch_size))
        result = fit_stage(
            part,
            part_data,
            recipe,
            stage,
            positive=positive,
            epochs=length,
            seed=seed,
            on_step=teller.on_step,
            on_epoch=teller.on_epoch,
        )
        steps_done += length * steps_per_epoch(data, recipe.batch_size)
        # A head sees features: each image went through the net once, however many epochs it trained.
        images_seen += len(part_data.labels) if stage.trains is Trains.HEAD else result.images_seen
        history += result.history
        loss = result.history[result.best_epoch - 1].val_loss
        if best is None or loss <= best[0]:
            best = (loss, stage, result.best_epoch)
        else:
            model.set_weights(before)  # the stage made it worse: keep what was
    assert best is not None  # every recipe has a stage
    seconds = time.monotonic() - started
    bare = load().keras.Model(model.input, model.output, name=model.name)  # no optimizer: a third of the file
    return Trained(bare, tuple(history), best[1].trains.value, best[2], images_seen, seconds)


class _Teller:
    """Turns a stage's steps and epochs into the progress of the whole training."""

    def __init__(self, on_progress: Progress, on_epoch: OnEpoch, before: int, total: int, per_epoch: int) -> None:
        self._on_progress = on_progress
        self._on_epoch = on_epoch
        self._done = before
        self._total = total
        self._per_epoch = per_epoch
        self._note = "epoch 1"

    def on_step(self, step: int, loss: float) -> None:
        self._on_progress(self._done + step, self._total, f"{self._note} loss {loss:.3f}")

    def on_epoch(self, result: EpochResult) -> None:
        self._done += self._per_epoch
        self._note = f"epoch {result.epoch + 1}, so far val_auc {result.val_auc:.3f},"
        self._on_epoch(result)


def _part(model: Any, data: TrainingData, stage: Stage) -> tuple[Any, TrainingData]:
    """What a stage trains (it shares its layers with `model`), and on what."""
    if stage.trains is Trains.HEAD:
        return _head(model), _features(model, data)
    if stage.trains is Trains.FINE_TUNE:
        keras = load().keras
        for layer in model._flatten_layers(include_self=False, recursive=True):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False  # also makes it use its moving statistics
    return model, data


def _head(model: Any) -> Any:
    keras = load().keras
    features = keras.Input(model.get_layer(FEATURES).output.shape[1:])
    return keras.Model(features, model.get_layer(SCORES)(keras.layers.Dropout(HEAD_DROPOUT)(features)))


def _features(model: Any, data: TrainingData) -> TrainingData:
    """The backbone's output for the images of both splits: computed once, because a frozen backbone always says the
    same."""
    backbone = load().keras.Model(model.input, model.get_layer(FEATURES).output)
    rows = np.concatenate([data.train, data.validation])
    train = np.arange(len(data.train))
    validation = np.arange(len(data.train), len(rows))
    return replace(
        data,
        images=batch_runner(backbone)(data.images, rows),
        labels=data.labels[rows],
        train=train,
        validation=validation,
    )
