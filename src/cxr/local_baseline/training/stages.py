"""A recipe's stages, one after the other, on one model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cxr.errors import InputError
from cxr.local_baseline.judging.scoring import batch_runner
from cxr.local_baseline.models.build import FEATURES, build_model, in_float32
from cxr.local_baseline.models.collapse import finished
from cxr.local_baseline.recipes import BatchNorm, Recipe, Stage, Trains
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.checkpoints import Checkpoints
from cxr.local_baseline.training.distribution import ALONE, Replicas
from cxr.local_baseline.training.epochs import EpochResult
from cxr.local_baseline.training.fitting import OnEpoch, fit_stage
from cxr.local_baseline.training.lessons import TrainedTeacher
from cxr.local_baseline.training.pipeline import TrainingData, steps_per_epoch
from cxr.local_baseline.training.resuming import RunMemory
from cxr.progress import Progress

OnResume = Callable[[tuple[EpochResult, ...]], None]


@dataclass(frozen=True)
class Trained:
    """A trained Keras model with its best weights. `seconds` is the time of all stages, validation included, of an
    interrupted training the time that is in its checkpoints; `ended_early` says that more epochs were planned."""

    model: Any
    history: tuple[EpochResult, ...]
    best_stage: str
    best_epoch: int
    images_seen: int
    seconds: float
    ended_early: bool = False


@dataclass(frozen=True, slots=True)
class StagePlan:
    """The stages that will run, and the optimizer steps they take together."""

    stages: tuple[tuple[Stage, int], ...]
    total_steps: int


@dataclass(frozen=True)
class Surroundings:
    """What a training has around it: its checkpoints, the replicas it runs on, and who is told, before anything else,
    the epochs of an earlier process that it continues. `say` hears notes for the user. With `finish` no step is made:
    the model is the best epoch of the newest checkpoint."""

    checkpoints: Checkpoints | None = None
    replicas: Replicas = field(default_factory=lambda: ALONE)
    on_resume: OnResume = lambda history: None
    say: Callable[[str], None] = lambda note: None
    finish: bool = False


def plan_stages(recipe: Recipe, data: TrainingData, weights: str, epochs: int | None) -> StagePlan:
    """The recipe's stages with their lengths for this data; `epochs`, when given, is the last stage's length."""
    stages = recipe.stages_with(weights)
    lengths = [stage.budget.epochs_for(len(data.train), recipe.batch_size) for stage in stages]
    if epochs is not None:
        lengths[-1] = epochs
    return StagePlan(tuple(zip(stages, lengths, strict=True)), sum(lengths) * steps_per_epoch(data, recipe.batch_size))


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
    surroundings: Surroundings | None = None,
    teachers: Sequence[TrainedTeacher] = (),
) -> Trained:
    """Build the recipe's model and train it, or go on where a checkpoint stands. `on_progress(step, steps, note)` hears
    of every step of all stages. `teachers` teach all stages but a head's, which sees no images.

    Raises Fault for a loss that is not a number, InputError for weights that do not fit, or when there is no checkpoint
    to finish.
    """
    around = surroundings or Surroundings()
    load().keras.utils.set_random_seed(seed)
    model = build_model(recipe, data.outputs, weights)
    plan = plan_stages(recipe, data, weights, epochs)
    memory = _memory_of(model, around)
    run = memory.run
    if around.finish:
        plan = _as_far_as_kept(plan, memory)
    per_epoch = steps_per_epoch(data, recipe.batch_size)
    for number, (stage, length) in enumerate(plan.stages):
        if number < run.stage:
            continue
        part, part_data = _part(model, data, stage, recipe)
        epoch = memory.begin_stage(part, number)
        before = sum(epochs for _, epochs in plan.stages[:number])
        teller = _Teller(on_progress, on_epoch, before, epoch, plan.total_steps, per_epoch)
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
            replicas=around.replicas,
            memory=memory,
            teachers=teachers if stage.trains is not Trains.HEAD else (),
        )
        # A head sees features: each image went through the net once, however many epochs it trained.
        seen = len(part_data.labels) if stage.trains is Trains.HEAD else result.images_seen
        memory.end_stage(result, seen)
    assert run.best_loss is not None  # every recipe has a stage
    bare = finished(in_float32(model, recipe), data.finer)  # no optimizer: a third of the file
    return Trained(
        bare, tuple(run.history), run.best_stage, run.best_epoch, run.images_seen, memory.seconds(), around.finish
    )


def _memory_of(model: Any, around: Surroundings) -> RunMemory:
    """What is known of an earlier process's work, which the listener is told."""
    memory = RunMemory(model, around.checkpoints)
    around.replicas.check_same(memory.position)
    if memory.told:
        around.on_resume(memory.told)
    elif around.finish:
        raise InputError("no epoch of this training has been kept", hint="train first, without --finish")
    return memory


def _as_far_as_kept(plan: StagePlan, memory: RunMemory) -> StagePlan:
    """The plan without what is not in the checkpoint: a stage that has not ended an epoch is none."""
    number = memory.run.stage
    stage, _ = plan.stages[number]
    epochs = memory.epochs_of(number)
    if not epochs:
        memory.drop_stage()
    return replace(plan, stages=(*plan.stages[:number], *([(stage, epochs)] if epochs else [])))


class _Teller:
    """Turns a stage's steps and epochs into the progress of the whole training."""

    def __init__(
        self, on_progress: Progress, on_epoch: OnEpoch, before: int, epoch: int, total: int, per_epoch: int
    ) -> None:
        """`before` epochs of earlier stages and `epoch` of this one are done."""
        self._on_progress = on_progress
        self._on_epoch = on_epoch
        self._done = (before + epoch) * per_epoch
        self._total = total
        self._per_epoch = per_epoch
        self._note = f"epoch {epoch + 1}"

    def on_step(self, step: int, loss: float) -> None:
        self._on_progress(self._done + step, self._total, f"{self._note} loss {loss:.3f}")

    def on_epoch(self, result: EpochResult) -> None:
        self._done += self._per_epoch
        self._note = f"epoch {result.epoch + 1}, so far val_auc {result.val_auc:.3f},"
        self._on_epoch(result)


def _part(model: Any, data: TrainingData, stage: Stage, recipe: Recipe) -> tuple[Any, TrainingData]:
    """What a stage trains (it shares its layers with `model`), and on what."""
    if stage.trains is Trains.HEAD:
        return _head(model), _features(model, data)
    if stage.trains is Trains.FROZEN:
        freeze(model, 0)
    elif stage.trains in {Trains.LAST_BLOCK, Trains.FINE_TUNE}:
        freeze(model, stage.unfreeze_layers)
    if stage.trains is Trains.FINE_TUNE and stage.batch_norm is BatchNorm.TRAINED:
        train_batch_norm(model, recipe.batch_norm_momentum)
    return model, data


def freeze(model: Any, unfreeze_layers: int | None) -> None:
    """Leave to the optimizer the head and the last `unfreeze_layers` convolutions of the backbone (None: all), whatever
    was frozen before; batch norm keeps its pretrained statistics throughout."""
    layers = load().keras.layers
    ordered = list(_in_order(model))
    for layer in ordered:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False  # also makes it use its moving statistics
    convolutions = [layer for layer in ordered if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D)]
    frozen = 0 if unfreeze_layers is None else max(len(convolutions) - unfreeze_layers, 0)
    for number, layer in enumerate(convolutions):
        layer.trainable = number >= frozen


def _in_order(model: Any) -> Iterator[Any]:
    """All layers from input to output, those of a backbone in its place. (Keras's own list of all layers begins a
    backbone's at its end.)"""
    for layer in model.layers:
        if isinstance(layer, load().keras.Model):
            yield from _in_order(layer)
        else:
            yield layer


def train_batch_norm(model: Any, momentum: float) -> None:
    """Let all batch-norm layers learn, their moving statistics following the batches by `momentum`. The 0.999 that
    pretrained nets come with needs thousands of steps to forget what it saw of other images."""
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, load().keras.layers.BatchNormalization):
            layer.trainable, layer.momentum = True, momentum


def _head(model: Any) -> Any:
    """The layers behind the features, shared with `model`."""
    return load().keras.Model(model.get_layer(FEATURES).output, model.output)


def _features(model: Any, data: TrainingData) -> TrainingData:
    """The backbone's output for the images of both splits: computed once, because a frozen backbone always says the
    same."""
    backbone = load().keras.Model(model.input, model.get_layer(FEATURES).output)
    rows = np.concatenate([data.train, data.validation])
    train = np.arange(len(data.train))
    validation = np.arange(len(data.train), len(rows))
    decoded = np.isin(rows, np.concatenate([data.train_here(), data.validation]))
    features = np.zeros((len(rows), backbone.output_shape[-1]), np.float32)
    features[decoded] = batch_runner(backbone)(data.images, rows[decoded])
    return replace(
        data,
        images=features,
        labels=data.labels[rows],
        finer=None if data.finer is None else data.finer.at(rows),
        train=train,
        validation=validation,
    )
