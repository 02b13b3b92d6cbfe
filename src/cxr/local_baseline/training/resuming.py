"""A training's memory across its stages: what is known of those that are done, and the checkpoint to continue from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cxr.local_baseline.training.checkpoints import Arrays, Checkpoint, Checkpoints, packed, unpacked
from cxr.local_baseline.training.epochs import EpochResult, StageState
from cxr.local_baseline.training.fitting import StageResult, StageSnapshot, Values, values_of


@dataclass(slots=True)
class RunState:
    """The stages that are done: their epochs, the best epoch, images trained on, and seconds; `stage` is the number of
    the one that runs."""

    stage: int = 0
    history: list[EpochResult] = field(default_factory=list)
    best_loss: float | None = None
    best_stage: str = ""
    best_epoch: int = 0
    images_seen: int = 0
    seconds: float = 0.0

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> RunState:
        """Read what `asdict` gives."""
        return cls(**{**raw, "history": [EpochResult(**line) for line in raw["history"]]})


class RunMemory:
    """The memory of one training of `model`. Without `checkpoints` nothing is read or written."""

    def __init__(self, model: Any, checkpoints: Checkpoints | None) -> None:
        self._model, self._checkpoints = model, checkpoints
        self._started = time.monotonic()
        self.run = RunState()
        self._before: Values = []
        self._part: Any = model
        found = checkpoints.newest() if checkpoints is not None else None
        self._snapshot = self._take(found) if found is not None else None
        stage = self._snapshot.state if self._snapshot is not None else StageState()
        #: Epochs that an earlier process trained.
        self.told: tuple[EpochResult, ...] = (*self.run.history, *stage.history)
        #: One number for where the training stands.
        self.position = (self.run.stage * 10**6 + stage.epoch) * 10**6 + stage.step

    def begin_stage(self, part: Any, number: int) -> int:
        """A stage begins that trains `part` of the model. Returns how many of its epochs are done already."""
        self._part = part
        if self._snapshot is not None:
            return self._snapshot.state.epoch
        self.run.stage, self._before = number, self._model.get_weights()
        return 0

    def epochs_of(self, number: int) -> int:
        """How many epochs of stage `number` an earlier process has done."""
        return self._snapshot.state.epoch if self._snapshot is not None and number == self.run.stage else 0

    def drop_stage(self) -> None:
        """The stage that began is not gone on with: the model is what it was before it."""
        if self._snapshot is not None:
            self._snapshot = None
            self._model.set_weights(self._before)

    def restored(self) -> StageSnapshot | None:
        """Where the stage that began goes on; None at its beginning."""
        snapshot, self._snapshot = self._snapshot, None
        return snapshot

    def keep(self, snapshot: StageSnapshot) -> None:
        """Write a checkpoint."""
        if self._checkpoints is None:
            return
        run = {**asdict(self.run), "seconds": self.seconds()}
        arrays: Arrays = {
            **packed("variables", snapshot.variables),
            **packed("optimizer", snapshot.optimizer),
            **packed("best", snapshot.best),
            **packed("average", snapshot.average),
            # The first stage is never undone, so what was before it is never needed.
            **packed("before", self._before if self.run.stage else []),
            **packed("model", values_of(self._model.variables) if self._part is not self._model else []),
        }
        state = snapshot.state
        epochs = len(self.run.history) + state.epoch
        self._checkpoints.keep(epochs, state.step, Checkpoint({"run": run, "stage": asdict(state)}, arrays))

    def end_stage(self, result: StageResult, images_seen: int) -> None:
        """Add a stage to what is done; one that made the model worse is undone."""
        run = self.run
        run.images_seen += images_seen
        run.history += result.history
        best = result.history[result.best_epoch - 1]
        if run.best_loss is None or best.val_loss <= run.best_loss:
            run.best_loss, run.best_stage, run.best_epoch = best.val_loss, best.stage, best.epoch
        else:
            self._model.set_weights(self._before)

    def seconds(self) -> float:
        """Since the training began, without the time between two processes."""
        return self.run.seconds + time.monotonic() - self._started

    def _take(self, found: Checkpoint) -> StageSnapshot:
        self.run = RunState.from_json(found.state["run"])
        self._before = unpacked("before", found.arrays)
        for variable, value in zip(self._model.variables, unpacked("model", found.arrays), strict=False):
            variable.assign(value)
        variables, optimizer, best = (unpacked(group, found.arrays) for group in ("variables", "optimizer", "best"))
        average = unpacked("average", found.arrays)
        return StageSnapshot(StageState.from_json(found.state["stage"]), variables, optimizer, best, average)
