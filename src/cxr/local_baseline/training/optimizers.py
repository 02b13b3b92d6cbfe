"""From a stage's data to a Keras optimizer."""

from __future__ import annotations

from typing import Any

from cxr.local_baseline.recipes import Cosine, Optimizer, OptimizerKind, Stage
from cxr.local_baseline.tensorflow_setup import load

#: Variables that weight decay leaves alone, by parts of their names.
NOT_DECAYED = ("bias", "gamma", "beta")


def build_optimizer(stage: Stage, total_steps: int) -> Any:
    """The stage's optimizer with its learning rate as scheduled over `total_steps`."""
    keras = load().keras
    wanted = stage.optimizer
    rate: Any = wanted.learning_rate
    if isinstance(stage.schedule, Cosine):
        warmup = round(stage.schedule.warmup_share * total_steps)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else rate,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
            decay_steps=max(total_steps - warmup, 1),
        )
    optimizer = _makers(keras)[wanted.kind](rate, wanted)
    if wanted.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer


def _makers(keras: Any) -> dict[OptimizerKind, Any]:
    made = keras.optimizers

    def decay(wanted: Optimizer) -> float | None:
        return wanted.weight_decay or None

    return {
        OptimizerKind.ADAM: lambda rate, wanted: made.Adam(rate, weight_decay=decay(wanted)),
        OptimizerKind.ADAMW: lambda rate, wanted: made.AdamW(rate, weight_decay=wanted.weight_decay),
        OptimizerKind.NADAM: lambda rate, wanted: made.Nadam(rate, weight_decay=decay(wanted)),
        OptimizerKind.RMSPROP: lambda rate, wanted: made.RMSprop(
            rate, momentum=wanted.momentum, weight_decay=decay(wanted)
        ),
        OptimizerKind.SGD: lambda rate, wanted: made.SGD(
            rate, momentum=wanted.momentum, nesterov=wanted.momentum > 0, weight_decay=decay(wanted)
        ),
    }
