"""The search itself: ask, train, tell, until the minutes or the trials are used up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cxr.errors import Fault, InputError, UsageError
from cxr.local_baseline.recipes import Recipe
from cxr.local_baseline.recipes.overrides import Value
from cxr.local_baseline.request import TrainRequest, check_request, recipe_of
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.train import train, training_data
from cxr.local_baseline.training.epochs import EpochResult, best_so_far
from cxr.local_baseline.training.failures import told_out_of_memory
from cxr.local_baseline.training.lessons import TrainedTeacher
from cxr.local_baseline.training.pipeline import TrainingData
from cxr.local_baseline.training.stages import run_stages
from cxr.local_baseline.training.teaching import check_teachers, trained_teachers
from cxr.local_baseline.tuning.nouns import TrialRow, TrialState, TuneRequest, Tuning, best_first, check_tune
from cxr.local_baseline.tuning.results import write_results
from cxr.local_baseline.tuning.study import Study
from cxr.locks import only_one
from cxr.progress import Progress

#: So many failures in a row, with nothing that worked before, are no accident.
MOST_FAILURES = 3

OnTrial = Callable[[TrialRow], None]


def tune(request: TuneRequest, on_progress: Progress, on_trial: OnTrial | None = None) -> Tuning:
    """Search `request.space`, going on where an earlier process stopped, and write tables and the best trial's recipe
    to `request.output`.

    Trial 0 is the recipe as it is. A trial is given up when its figure is worse than the median of the others at the
    same epoch; one that runs when the time is over ends with its epoch. Images are decoded once (and a recipe's
    teachers trained) before the clock starts. `on_progress(done, total, note)` counts images while decoding, then
    seconds (or trials, without a limit of time).

    Raises UsageError (what `check_tune` refuses; another search lies at the place, or runs there), InputError for data
    that cannot be trained on, Fault when trial after trial fails.
    """
    check_tune(request)
    recipe = recipe_of(request.train)
    check_request(request.train, recipe)
    check_teachers(request.train, recipe)
    busy = UsageError(f"another process is searching in {request.output}", hint="wait for it, or choose another --out")
    with only_one(_folder(request.output), "tune", busy=busy):
        study = Study(request)
        clock = _Clock(request, sum(row.seconds for row in study.rows()))
        data: TrainingData | None = None
        while not clock.is_over(len(study.rows())):
            if data is None:
                data = training_data(request.train, recipe, on_progress)
                _teachers(request.train, recipe, on_progress)
                clock.restart()
            row = _trial(study, request, data, clock, on_progress)
            if on_trial is not None:
                on_trial(row)
            write_results(_so_far(study, request))
            _check_failures(study.rows())
        tuning = _so_far(study, request)
        write_results(tuning)
        return tuning


def _teachers(training: TrainRequest, recipe: Recipe, on_progress: Progress) -> tuple[TrainedTeacher, ...]:
    """The nets that a recipe learns from, if it has any: trained once, before the clock starts, and then found in the
    cache."""
    return trained_teachers(training, recipe, lambda asked, tell, around: train(asked, tell), on_progress, None)


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{path} is not a folder", hint="choose another place: --out DIR") from error
    return path


def _so_far(study: Study, request: TuneRequest) -> Tuning:
    rows = study.rows()
    return Tuning(
        request=request,
        rows=best_first(rows, request.maximise),
        seconds=sum(row.seconds for row in rows),
        importance=study.importance(),
    )


def _check_failures(rows: tuple[TrialRow, ...]) -> None:
    if len(rows) >= MOST_FAILURES and all(row.state is TrialState.FAILED for row in rows):
        raise Fault(
            f"all of the first {len(rows)} trials failed; the last one: {rows[-1].reason}",
            hint="train the recipe alone first: cxr baseline train",
        )


class _Clock:
    """The budget of all sessions together."""

    def __init__(self, request: TuneRequest, spent: float) -> None:
        self._limit = None if request.minutes is None else request.minutes * 60
        self._trials = request.trials
        self._spent = spent
        self._started: float | None = None

    def restart(self) -> None:
        """Begin to count now."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Spent so far."""
        return self._spent + (0.0 if self._started is None else time.monotonic() - self._started)

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return self._limit is not None and self.seconds >= self._limit

    def is_over(self, trials: int) -> bool:
        """Whether no further trial is due."""
        return self.is_late or (self._trials is not None and trials >= self._trials)

    def progress(self, trials: int) -> tuple[int, int]:
        """How much is done of how much."""
        if self._limit is not None:
            return min(round(self.seconds), round(self._limit)), round(self._limit)
        return trials, self._trials or trials


class _Enough(Exception):  # noqa: N818  (it is no error)
    """Ends a trial's training after an epoch."""

    def __init__(self, state: TrialState) -> None:
        super().__init__(state.value)
        self.state = state


@dataclass
class _Listener:
    """Hears a trial's epochs, and says when it is enough."""

    trial: Any
    request: TuneRequest
    rules: Any
    clock: _Clock
    history: list[EpochResult] = field(default_factory=list)

    def on_epoch(self, result: EpochResult) -> None:
        self.history.append(result)
        value = self.value
        self.trial.report(value, len(self.history))
        if self.clock.is_late:
            raise _Enough(TrialState.OUT_OF_TIME)
        if self.trial.should_prune():
            raise _Enough(TrialState.PRUNED)

    @property
    def value(self) -> float | None:
        """The metric of the epoch whose weights the model would have."""
        return float(getattr(best_so_far(self.history, self.rules), self.request.metric)) if self.history else None

    @property
    def best_epoch(self) -> int:
        """Its number, counted over all stages."""
        return self.history.index(best_so_far(self.history, self.rules)) + 1 if self.history else 0


def _trial(study: Study, request: TuneRequest, data: TrainingData, clock: _Clock, on_progress: Progress) -> TrialRow:
    trial, parameters = study.ask()
    started = time.monotonic()
    listener = _Listener(trial, request, {}, clock)
    number = len(study.rows())

    def tell(done: int, total: int, note: str) -> None:
        on_progress(*clock.progress(number), f"trial {number}: {note}, step {done} of {total}")

    try:
        state, reason = _train(request, parameters, data, listener, tell)
    except KeyboardInterrupt:
        study.give_up(trial)
        raise
    return study.end(
        trial,
        state,
        value=None if state is TrialState.FAILED else listener.value,
        epochs=len(listener.history),
        best_epoch=listener.best_epoch,
        seconds=time.monotonic() - started,
        reason=reason,
    )


def _train(
    request: TuneRequest, parameters: dict[str, Value], data: TrainingData, listener: _Listener, tell: Progress
) -> tuple[TrialState, str]:
    """How a training with these parameters ended, and why it failed if it did."""
    load().keras.backend.clear_session()  # the last trial's net
    wanted = replace(request.train, overrides={**request.train.overrides, **parameters})
    manifest = wanted.manifest
    try:
        recipe = recipe_of(wanted)
        listener.rules = {stage.trains.value: stage.early_stopping for stage in recipe.stages_with(wanted.weights)}
        with told_out_of_memory(recipe.batch_size):
            run_stages(
                recipe,
                data,
                weights=wanted.weights,
                epochs=wanted.epochs,
                seed=wanted.seed,
                positive=manifest.classes.index(manifest.positive_class),
                on_progress=tell,
                on_epoch=listener.on_epoch,
                teachers=_teachers(request.train, recipe, tell),  # the same ones for all trials
            )
    except _Enough as enough:
        return enough.state, ""
    except (InputError, KeyboardInterrupt):
        raise
    except (Fault, UsageError) as error:
        return TrialState.FAILED, error.message
    return TrialState.FINISHED, ""
