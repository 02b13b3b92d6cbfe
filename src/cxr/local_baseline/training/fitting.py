"""One stage of training: an explicit loop that watches the validation split, keeps the best weights, and can be left
and taken up again at any step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cxr.errors import Fault
from cxr.local_baseline.judging.scoring import Probabilities, scorer
from cxr.local_baseline.judging.threshold import roc_auc
from cxr.local_baseline.recipes import Plateau, Recipe, Stage
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.averaging import WeightAverage
from cxr.local_baseline.training.distribution import ALONE, Replicas, copy_variables
from cxr.local_baseline.training.epochs import EpochResult as EpochResult
from cxr.local_baseline.training.epochs import StageState
from cxr.local_baseline.training.lessons import Lessons, TrainedTeacher, lessons_of
from cxr.local_baseline.training.objective import Objective, objective
from cxr.local_baseline.training.optimizers import build_optimizer
from cxr.local_baseline.training.pipeline import TrainingData, steps_per_epoch, training_batches
from cxr.local_baseline.training.sampling import batch_bounds
from cxr.local_baseline.training.signals import deferred_signals

#: Probabilities are kept this far from 0 and 1 in the logarithm.
EPSILON = 1e-7
NO_NUMBER_HINT = "lower the learning rate, or look for broken images: cxr data check"

Values = list[npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage left: its epochs, the number of the best one (whose weights the model has now), images trained
    on."""

    history: tuple[EpochResult, ...]
    best_epoch: int
    images_seen: int


@dataclass(frozen=True)
class StageSnapshot:
    """All that decides how a stage goes on: its state, every variable of the model (weights, moving statistics, the
    states of random layers) and of the optimizer, the best epoch's weights, and the averaged ones (if any)."""

    state: StageState
    variables: Values
    optimizer: Values
    best: Values
    average: Values = field(default_factory=list)


class StageMemory(Protocol):
    """Where a stage's snapshots are kept."""

    def restored(self) -> StageSnapshot | None:
        """The one to begin from, or None to begin at the beginning."""

    def keep(self, snapshot: StageSnapshot) -> None:
        """Keep one."""


OnStep = Callable[[int, float], None]
OnEpoch = Callable[[EpochResult], None]


def fit_stage(
    model: Any,
    data: TrainingData,
    recipe: Recipe,
    stage: Stage,
    *,
    positive: int,
    epochs: int,
    seed: int,
    on_step: OnStep,
    on_epoch: OnEpoch,
    replicas: Replicas = ALONE,
    memory: StageMemory | None = None,
    teachers: Sequence[TrainedTeacher] = (),
) -> StageResult:
    """Train `model` on `data` for at most `epochs`; at the end it has the weights with the least validation loss, or
    where the stage keeps the last epoch, that one's.

    `positive` is the number of the class that `val_auc` is for. The same seed gives the same history, up to the
    rounding of parallel sums, however often the training is left and taken up from `memory`, and on however many
    `replicas`. `teachers` say of every batch what the net should say. Raises Fault when a loss is not a number,
    UsageError when there are more replicas than images in a batch, KeyboardInterrupt after a SIGTERM or Ctrl-C.
    """
    steps = steps_per_epoch(data, recipe.batch_size)
    groups = data.train_groups()
    # A machine's replicas share what is on the machine.
    replicas.check_batches(min(map(len, groups)) // steps * len(groups))
    with replicas.scope():
        net = replicas.trainable(model)
        optimizer = build_optimizer(stage, steps * epochs)
        optimizer.build(net.trainable_variables)
        lessons = lessons_of(teachers, recipe.teacher_temperature, replicas.trainable)
    average = WeightAverage(net, recipe.weight_average) if recipe.weight_average else None
    loop = _Loop(net, optimizer, data, stage, epochs, positive, replicas, memory, average)
    state = loop.state
    if not state.is_over(epochs, stage.early_stopping):
        batches = replicas.iterate(
            training_batches(
                data,
                stage.augmentation.times(recipe.augmentation_strength),
                batch_size=recipe.batch_size,
                epochs=epochs if replicas.strategy is None else None,
                seed=seed,
                weighted=recipe.class_weights,
                sampling=recipe.sampling,
                shares=replicas.shares,
                start=(state.epoch, state.step),
            )
        )
        step = replicas.step(_replica_step(net, optimizer, lessons, objective(recipe), replicas.count), batches)
        while not state.is_over(epochs, stage.early_stopping):
            loop.train_epoch(step, batches, recipe.batch_size, on_step)
            loop.end_epoch(loop.score(), on_epoch)
    net.set_weights(loop.best)
    if net is not model:
        copy_variables(net, model)
    return StageResult(tuple(state.history), state.best_epoch, state.epoch * len(data.train))


def validation_loss(probabilities: Probabilities, labels: Any) -> float:
    """Mean cross-entropy in nats of float [N, classes] against class numbers [N]."""
    of_truth = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(of_truth, EPSILON, 1.0)).mean())


class _Loop:
    """The moving parts of one stage. `state` and the variables of net and optimizer are consistent between steps."""

    def __init__(
        self,
        net: Any,
        optimizer: Any,
        data: TrainingData,
        stage: Stage,
        epochs: int,
        positive: int,
        replicas: Replicas,
        memory: StageMemory | None,
        average: WeightAverage | None,
    ) -> None:
        self._net, self._optimizer, self._data, self._stage = net, optimizer, data, stage
        self._epochs, self._positive, self._replicas = epochs, positive, replicas
        self._memory = memory if replicas.is_chief else None
        self._scores, self._average = scorer(net), average
        self.state, self.best = StageState(), net.get_weights()
        snapshot = memory.restored() if memory is not None else None
        if snapshot is not None:
            self.state, self.best = snapshot.state, snapshot.best
            _assign(net.variables, snapshot.variables)
            _assign(optimizer.variables, snapshot.optimizer)
            if average is not None:
                average.restore(snapshot.average)

    def train_epoch(self, step: Callable[..., Any], batches: Any, batch_size: int, on_step: OnStep) -> None:
        """The rest of the epoch's steps. After a SIGTERM or Ctrl-C what was done so far is kept. Raises Fault for a
        loss that is no number."""
        images = len(self._data.train)
        steps = steps_per_epoch(self._data, batch_size)
        with deferred_signals() as asked_to_end:
            while self.state.step < steps and not asked_to_end():
                first, end = batch_bounds(images, steps, self.state.step)
                loss = float(step(*next(batches)))
                self._replicas.after_step(self._net)
                if not math.isfinite(loss):
                    raise Fault(
                        f"the training loss became {loss} in epoch {self.state.epoch + 1}, step {self.state.step + 1}",
                        hint=NO_NUMBER_HINT,
                    )
                self.state.add_step(loss, end - first)
                if self._average is not None:
                    self._average.follow(self.state.epoch * steps + self.state.step)
                on_step(self.state.step, self.state.loss)
            if asked_to_end():
                self._keep()

    def score(self) -> Probabilities:
        """Probabilities of the validation split's classes, float64 [N, classes], by the averaged weights where there
        are any. When it is interrupted the epoch's steps are kept."""
        rows = self._data.validation
        try:
            with nullcontext() if self._average is None else self._average.applied():
                targets = self._replicas.gathered(rows, lambda mine: self._scores(self._data.images, mine))
            return self._data.judged(targets)
        except KeyboardInterrupt:
            self._keep()
            raise

    def end_epoch(self, scores: Probabilities, on_epoch: OnEpoch) -> None:
        """Judge the epoch, obey the stage's rules, keep and tell the result. Raises Fault for a loss that is no
        number."""
        truth = self._data.labels[self._data.validation]
        val_loss = validation_loss(scores, truth)
        if not math.isfinite(val_loss):
            raise Fault(f"the validation loss became {val_loss} in epoch {self.state.epoch + 1}", hint=NO_NUMBER_HINT)
        result = EpochResult(
            stage=self._stage.trains.value,
            epoch=self.state.epoch + 1,
            epochs=self._epochs,
            loss=self.state.loss,
            val_loss=val_loss,
            val_auc=roc_auc(scores[:, self._positive], truth == self._positive),
            val_accuracy=float((scores.argmax(axis=1) == truth).mean()),
            learning_rate=float(load().keras.ops.convert_to_numpy(self._optimizer.learning_rate)),
        )
        with deferred_signals():
            schedule = self._stage.schedule
            if isinstance(schedule, Plateau) and self.state.on_plateau(result.val_loss, schedule):
                self._optimizer.learning_rate = result.learning_rate * schedule.factor
            if self.state.end_epoch(result, self._stage.early_stopping):
                self.best = self._net.get_weights() if self._average is None else self._average.values
            # Before anybody is told: what the telling meets cannot cost the epoch.
            self._keep()
            on_epoch(result)

    def _keep(self) -> None:
        if self._memory is not None:
            self._memory.keep(
                StageSnapshot(
                    self.state,
                    values_of(self._net.variables),
                    values_of(self._optimizer.variables),
                    self.best,
                    [] if self._average is None else self._average.values,
                )
            )


def _replica_step(net: Any, optimizer: Any, lessons: Lessons, losses: Objective, replicas: int) -> Callable[..., Any]:
    """One replica's step: (images, targets, weights, place) -> its share of the batch's mean loss. The gradients of all
    replicas are summed by the optimizer, so each adds its part of the net's penalties; they are not in the loss that is
    told, which compares with the validation split's."""
    tf = load().tf

    def step(images: Any, targets: Any, weights: Any, place: Any) -> Any:
        lesson = lessons(images)
        with tf.GradientTape() as tape:
            each = losses(lesson, targets, weights, net(images, training=True))
            loss = tf.reduce_sum(each) / tf.cast(place[1], tf.float32)
            penalised = loss + tf.add_n(net.losses) / replicas if net.losses else loss
        variables = net.trainable_variables
        optimizer.apply(tape.gradient(penalised, variables), variables)
        return loss

    return step


def values_of(variables: Any) -> Values:
    """The values of Keras variables, copied out."""
    return [np.array(variable.numpy()) for variable in variables]


def _assign(variables: Any, values: Values) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
