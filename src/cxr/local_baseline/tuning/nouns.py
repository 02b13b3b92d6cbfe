"""What a search is asked for, and what it leaves: trials, best first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from cxr.errors import UsageError
from cxr.local_baseline.recipes.overrides import Value
from cxr.local_baseline.recipes.recipe_file import open_recipe
from cxr.local_baseline.recipes.search_space import SearchSpace, check_free, check_space
from cxr.local_baseline.request import TrainRequest, fingerprint, recipe_of

#: Raised when the same search would now ask for other trials, so that an older one is not continued.
TUNING_VERSION = 1
#: Names of figures of EpochResult, and whether more is better.
METRICS: Mapping[str, bool] = {"val_auc": True, "val_loss": False}


class TrialState(StrEnum):
    """How a trial ended."""

    FINISHED = "finished"
    #: Worse than the median of the others at the same epoch.
    PRUNED = "pruned"
    #: The budget ran out: what it had reached counts.
    OUT_OF_TIME = "out of time"
    #: A loss that is not a number, values that do not go together, not enough memory.
    FAILED = "failed"


@dataclass(frozen=True)
class TuneRequest:
    """One search. `train` says data, recipe, weights, seed, epochs, and the overrides that all trials share; its output
    is not used. `minutes` (None: no limit) are those of all sessions together, `trials` (None: no limit) their number.
    """

    train: TrainRequest
    space: SearchSpace
    output: Path
    minutes: float | None = 30.0
    trials: int | None = None
    metric: str = "val_auc"

    @property
    def maximise(self) -> bool:
        """Whether more of the metric is better."""
        return METRICS[self.metric]


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial. `value` is the metric of its best epoch (of the model that it would have left); None where it failed.
    `parameters` are overrides; trial 0 has none: it is the recipe as it is."""

    number: int
    state: TrialState
    value: float | None
    parameters: Mapping[str, Value]
    epochs: int
    best_epoch: int
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Tuning:
    """A search so far. `rows` are best first, those without a figure last; `seconds` those of all trials; `importance`
    of each varied key adds up to 1 (empty: too few trials to say)."""

    request: TuneRequest
    rows: tuple[TrialRow, ...]
    seconds: float
    importance: Mapping[str, float]

    @property
    def best(self) -> TrialRow | None:
        """The trial with the best figure."""
        return next((row for row in self.rows if row.value is not None), None)

    @property
    def best_overrides(self) -> dict[str, Value]:
        """What to change of the recipe to train the best trial again."""
        return {**self.request.train.overrides, **(self.best.parameters if self.best else {})}


def best_first(rows: Sequence[TrialRow], maximise: bool) -> tuple[TrialRow, ...]:
    """Rows by their figure, then by number."""

    def place(row: TrialRow) -> tuple[bool, float, int]:
        value = row.value
        return (value is None, 0.0 if value is None else -value if maximise else value, row.number)

    return tuple(sorted(rows, key=place))


def check_tune(request: TuneRequest) -> None:
    """Raises UsageError for a search that has no end, no room, or an unknown metric or parameter."""
    if request.metric not in METRICS:
        raise UsageError(f"there is no metric {request.metric!r}; there are: {', '.join(METRICS)}")
    if request.minutes is None and request.trials is None:
        raise UsageError("a search needs an end", hint="--minutes 30, or --trials 20")
    if request.minutes is not None and not request.minutes > 0:
        raise UsageError(f"{request.minutes:g} minutes: a search takes some", hint="--minutes 30")
    if request.trials is not None and request.trials < 1:
        raise UsageError(f"{request.trials} trials: at least one is needed")
    check_space(request.space)
    base = open_recipe(request.train.recipe).base
    if request.space.recipe != base:
        raise UsageError(f"the search space is of {request.space.recipe}, the recipe is {base}")
    check_free(request.space, recipe_of(request.train), request.train.weights, request.train.overrides)


def tuning_fingerprint(request: TuneRequest) -> str:
    """sha256 (hex) of everything that decides which trials are made, and what each comes to. Minutes and number of
    trials do not: a search can be given more of both."""
    decides = {
        "tuning_version": TUNING_VERSION,
        "training": fingerprint(replace(request.train, name=""), recipe_of(request.train)),
        "space": asdict(request.space),
        "metric": request.metric,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
