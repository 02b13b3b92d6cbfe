"""What a stage remembers from one epoch to the next: figures, the best epoch, and the counters of its rules.

Plain numbers only, so that a checkpoint can hold them as JSON. The rules are those of Keras's EarlyStopping and
ReduceLROnPlateau, on the validation loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from cxr.local_baseline.recipes import EarlyStopping, Plateau

#: By how much the validation loss must fall to count against a plateau (the default of Keras's callback).
PLATEAU_MIN_DELTA = 1e-4


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


@dataclass(slots=True)
class StageState:
    """Where a stage stands: `step` steps into the epoch after `history`, with their summed loss (weighted nats of
    `rows` images)."""

    history: list[EpochResult] = field(default_factory=list)
    step: int = 0
    loss_sum: float = 0.0
    rows: int = 0
    best_loss: float | None = None
    best_epoch: int = 0
    epochs_without_best: int = 0
    plateau_loss: float | None = None
    epochs_on_plateau: int = 0

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return len(self.history)

    def add_step(self, loss: float, rows: int) -> None:
        """Count a step whose mean loss over `rows` images was `loss`."""
        self.step += 1
        self.loss_sum += loss * rows
        self.rows += rows

    @property
    def loss(self) -> float:
        """Mean training loss of the epoch so far."""
        return self.loss_sum / max(self.rows, 1)

    def end_epoch(self, result: EpochResult, rule: EarlyStopping) -> bool:
        """Take the epoch into the history. True when it is the best so far."""
        self.history.append(result)
        self.step, self.loss_sum, self.rows = 0, 0.0, 0
        if rule.keep_last or self.best_loss is None or result.val_loss + rule.min_delta < self.best_loss:
            self.best_loss, self.best_epoch, self.epochs_without_best = result.val_loss, self.epoch, 0
            return True
        self.epochs_without_best += 1
        return False

    def is_over(self, epochs: int, rule: EarlyStopping) -> bool:
        """Whether no further epoch is due."""
        return self.epoch >= epochs or (self.epoch > 1 and self.epochs_without_best >= rule.patience)

    def on_plateau(self, val_loss: float, rule: Plateau) -> bool:
        """Whether the learning rate is to be lowered after an epoch of that validation loss."""
        if self.plateau_loss is None or val_loss < self.plateau_loss - PLATEAU_MIN_DELTA:
            self.plateau_loss, self.epochs_on_plateau = val_loss, 0
            return False
        self.epochs_on_plateau += 1
        if self.epochs_on_plateau < rule.patience:
            return False
        self.epochs_on_plateau = 0
        return True

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> StageState:
        """Read what `asdict` gives."""
        return cls(**{**raw, "history": [EpochResult(**line) for line in raw["history"]]})


def best_so_far(history: Sequence[EpochResult], rules: Mapping[str, EarlyStopping]) -> EpochResult:
    """The epoch whose weights the bundle would hold if training ended now: of each stage the one that its rule in
    `rules` (by what the stage trains) takes for the best, and a later stage's when it is no worse."""
    best: EpochResult | None = None
    for stage, results in groupby(history, key=lambda result: result.stage):
        state = StageState()
        for result in results:
            state.end_epoch(result, rules[stage])
        of_stage = state.history[state.best_epoch - 1]
        if best is None or of_stage.val_loss <= best.val_loss:
            best = of_stage
    if best is None:
        raise ValueError("no epoch has been trained")
    return best
