"""One stage of training: compile, fit with the stage's schedule, watch the validation split, keep the best weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxr.errors import Fault
from cxr.local_baseline.pipeline import TrainingData, steps_per_epoch, training_batches
from cxr.local_baseline.recipes import Cosine, Plateau, Recipe, Stage
from cxr.local_baseline.scoring import Probabilities, scorer
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.threshold import roc_auc

#: Probabilities are kept this far from 0 and 1 in the logarithm.
EPSILON = 1e-7


@dataclass(frozen=True, slots=True)
class EpochResult:
    """One line of training.csv. Losses are cross-entropies in nats (training: class-weighted); `val_auc` is one
    class against the rest."""

    stage: str
    epoch: int
    epochs: int
    loss: float
    val_loss: float
    val_auc: float
    val_accuracy: float
    learning_rate: float

    def line(self) -> str:
        """What a log says of the epoch."""
        return (
            f"epoch {self.epoch}/{self.epochs} loss {self.loss:.4f} val_loss {self.val_loss:.4f} "
            f"val_auc {self.val_auc:.4f} val_accuracy {self.val_accuracy:.4f}"
        )


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage left: its epochs, the number of the best one (whose weights the model has now), images trained
    on."""

    history: tuple[EpochResult, ...]
    best_epoch: int
    images_seen: int


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
) -> StageResult:
    """Train `model` on `data` for at most `epochs`; at the end it has the weights with the least validation loss.

    `positive` is the number of the class that `val_auc` is for. The same seed gives the same history, up to the
    rounding of parallel sums. Raises Fault when the loss is not a number.
    """
    keras = load().keras
    steps = steps_per_epoch(data, recipe.batch_size)
    _compile(keras, model, stage, steps * epochs)
    monitor = _monitor(keras, model, data, stage, positive, epochs, on_step, on_epoch)
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss",
        mode="min",
        patience=stage.early_stopping.patience,
        min_delta=stage.early_stopping.min_delta,
        restore_best_weights=True,
    )
    batches = training_batches(
        data, stage.augmentation, batch_size=recipe.batch_size, epochs=epochs, seed=seed, weighted=recipe.class_weights
    )
    model.fit(
        batches,
        epochs=epochs,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
        callbacks=[monitor, *_schedule_callbacks(keras, stage), stopping],
    )
    return StageResult(tuple(monitor.history), int(stopping.best_epoch) + 1, len(monitor.history) * len(data.train))


def validation_loss(probabilities: Probabilities, labels: Any) -> float:
    """Mean cross-entropy in nats of float [N, classes] against class numbers [N]."""
    of_truth = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(of_truth, EPSILON, 1.0)).mean())


def _compile(keras: Any, model: Any, stage: Stage, total_steps: int) -> None:
    rate: Any = stage.learning_rate
    if isinstance(stage.schedule, Cosine):
        warmup = round(stage.schedule.warmup_share * total_steps)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else stage.learning_rate,
            warmup_target=stage.learning_rate if warmup else None,
            warmup_steps=warmup,
            decay_steps=max(total_steps - warmup, 1),
        )
    loss = "binary_crossentropy" if model.output_shape[-1] == 1 else "sparse_categorical_crossentropy"
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, jit_compile=False)  # XLA is 8 times slower here


def _schedule_callbacks(keras: Any, stage: Stage) -> list[Any]:
    if not isinstance(stage.schedule, Plateau):
        return []
    return [
        keras.callbacks.ReduceLROnPlateau(
            monitor="val_loss", mode="min", factor=stage.schedule.factor, patience=stage.schedule.patience
        )
    ]


def _monitor(
    keras: Any,
    model: Any,
    data: TrainingData,
    stage: Stage,
    positive: int,
    epochs: int,
    on_step: OnStep,
    on_epoch: OnEpoch,
) -> Any:
    """The first callback: it scores the validation split exactly and puts the figures where the other callbacks
    look."""
    truth = data.labels[data.validation]

    class Monitor(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.history: list[EpochResult] = []
            self._score = scorer(model)

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            loss = float((logs or {}).get("loss", math.nan))
            if not math.isfinite(loss):
                raise Fault(
                    f"the training loss became {loss} in epoch {len(self.history) + 1}, step {batch + 1}",
                    hint="lower the learning rate, or look for broken images: cxr data check",
                )
            on_step(batch + 1, loss)

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            logs = {} if logs is None else logs
            scores = self._score(data.images, data.validation)
            logs["val_loss"] = validation_loss(scores, truth)
            result = EpochResult(
                stage=stage.trains.value,
                epoch=epoch + 1,
                epochs=epochs,
                loss=float(logs.get("loss", math.nan)),
                val_loss=logs["val_loss"],
                val_auc=roc_auc(scores[:, positive], truth == positive),
                val_accuracy=float((scores.argmax(axis=1) == truth).mean()),
                learning_rate=float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            )
            self.history.append(result)
            on_epoch(result)

    return Monitor()
