"""The study on disk: Optuna's journal (one JSON line a fact, no database), and what is asked of it.

Each trial is asked for by a fresh sampler whose seed is a function of the search's seed and of how many trials have
ended. The sampler's only other input is the journal, so that a search that was killed and taken up again makes the same
trials as one that was not.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cxr.errors import InputError, UsageError, missing_package
from cxr.local_baseline.recipes.overrides import HYPERPARAMETERS, Value, parse_overrides
from cxr.local_baseline.recipes.search_space import Parameter, ParameterKind, Scale, SearchSpace
from cxr.local_baseline.tuning.nouns import TrialRow, TrialState, TuneRequest, tuning_fingerprint

JOURNAL_FILE = "study.journal"
STUDY_NAME = "cxr"
#: Trials, the recipe as it is among them, before the sampler has something to learn from, and that must have finished
#: before one is pruned. Few: half an hour on a laptop is a dozen trials.
RANDOM_TRIALS = 5
#: Epochs in which no trial is pruned.
SPARED_EPOCHS = 1
#: A trial in which the process died so often is not tried again (it may be what kills it: memory).
MOST_DEATHS = 2
#: With fewer trials than this, importance would be noise.
TRIALS_FOR_IMPORTANCE = 8

_ENDED, _INDEX, _DEAD = "ended", "index", "dead"


class Study:
    """Optuna's study of one search. Only one process may have it open."""

    def __init__(self, request: TuneRequest) -> None:
        self._optuna = _optuna()
        self._request = request
        path = request.output / JOURNAL_FILE
        _repair(path)
        self._study = self._open(path)
        self._bury()

    def ask(self) -> tuple[Any, dict[str, Value]]:
        """The next trial (Optuna's), and its overrides."""
        index = len(self._ended())
        sequence = np.random.SeedSequence((self._request.train.seed, index))
        self._study.sampler = self._optuna.samplers.TPESampler(
            n_startup_trials=RANDOM_TRIALS, multivariate=False, seed=int(sequence.generate_state(1)[0])
        )
        trial = self._study.ask()
        trial.set_user_attr(_INDEX, index)
        return trial, self._suggested(trial) if index else {}

    def end(
        self,
        trial: Any,
        state: TrialState,
        *,
        value: float | None,
        epochs: int,
        best_epoch: int,
        seconds: float,
        reason: str = "",
    ) -> TrialRow:
        """Write down how a trial ended."""
        facts = {"epochs": epochs, "best_epoch": best_epoch, "seconds": round(seconds, 2), "reason": reason}
        for name, fact in {**facts, "value": value, _ENDED: state.value}.items():
            trial.set_user_attr(name, fact)
        states = self._optuna.trial.TrialState
        if state is TrialState.FINISHED:
            self._study.tell(trial, value)
        elif value is not None and state is not TrialState.FAILED:
            self._study.tell(trial, state=states.PRUNED)
        else:
            self._study.tell(trial, state=states.FAIL)
        return next(row for row in self.rows() if row.number == self._number(trial.number))

    def give_up(self, trial: Any) -> None:
        """The user ended the search in this trial: it will be made again, and is not counted as a death."""
        self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)

    def rows(self) -> tuple[TrialRow, ...]:
        """The trials that have ended, in their order; numbered without those that were repeated."""
        return tuple(self._row(number, trial) for number, trial in enumerate(self._ended()))

    def importance(self) -> dict[str, float]:
        """How much each varied key matters (PED-ANOVA, Watanabe et al., IJCAI 2023), adding up to 1; empty when there
        are too few trials, or none was better than another."""
        complete = [trial for trial in self._study.trials if trial.state.name == "COMPLETE" and trial.params]
        if len(complete) < TRIALS_FOR_IMPORTANCE or len({trial.value for trial in complete}) < 2:
            return {}
        found = self._optuna.importance.get_param_importances(self._study)
        shares = {HYPERPARAMETERS[name]: float(share) for name, share in found.items()}
        return shares if all(np.isfinite(share) for share in shares.values()) else {}

    def _open(self, path: Path) -> Any:
        storages = self._optuna.storages
        try:
            storage = storages.JournalStorage(storages.journal.JournalFileBackend(str(path)))
            study = self._optuna.create_study(
                storage=storage,
                study_name=STUDY_NAME,
                load_if_exists=True,
                direction="maximize" if self._request.maximise else "minimize",
                pruner=self._optuna.pruners.MedianPruner(RANDOM_TRIALS, SPARED_EPOCHS + 1),
            )
        except (ValueError, KeyError) as error:
            raise InputError(
                f"{path} is not a search that can be read: {error}", hint="choose another --out"
            ) from error
        mark, found = tuning_fingerprint(self._request), study.user_attrs.get("fingerprint")
        if found is None and not study.trials:
            study.set_user_attr("fingerprint", mark)
        elif found != mark:
            raise UsageError(
                f"{path.parent} holds another search (other data, recipe, space, seed, epochs, weights or metric)",
                hint="choose another place: --out DIR, or remove that one",
            )
        return study

    def _bury(self) -> None:
        """Trials in whose midst a process died become failed ones, to be made again; the last of too many deaths counts
        as the trial's own end."""
        for trial in self._study.trials:
            if trial.state.name in {"RUNNING", "WAITING"}:
                self._set(trial, _DEAD, True)
                index = trial.user_attrs.get(_INDEX)
                deaths = sum(
                    other.user_attrs.get(_DEAD, False) and other.user_attrs.get(_INDEX) == index
                    for other in self._study.trials
                )
                if index is not None and deaths >= MOST_DEATHS:
                    self._set(trial, "reason", f"the process died {deaths} times in this trial")
                    self._set(trial, _ENDED, TrialState.FAILED.value)
                self._study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)

    def _set(self, trial: Any, name: str, value: Any) -> None:
        self._study._storage.set_trial_user_attr(trial._trial_id, name, value)

    def _ended(self) -> list[Any]:
        return [trial for trial in self._study.trials if _ENDED in trial.user_attrs and trial.state.is_finished()]

    def _number(self, number: int) -> int:
        return [trial.number for trial in self._ended()].index(number)

    def _row(self, number: int, trial: Any) -> TrialRow:
        facts = trial.user_attrs
        return TrialRow(
            number=number,
            state=TrialState(facts[_ENDED]),
            value=facts.get("value"),
            parameters=_overrides(self._request.space, trial.params),
            epochs=facts.get("epochs", 0),
            best_epoch=facts.get("best_epoch", 0),
            seconds=facts.get("seconds", 0.0),
            reason=facts.get("reason", ""),
        )

    def _suggested(self, trial: Any) -> dict[str, Value]:
        given = {one.id: _suggest(trial, one) for one in self._request.space.parameters}
        return _overrides(self._request.space, given)


def _suggest(trial: Any, parameter: Parameter) -> Any:
    log = parameter.scale is Scale.LOG
    if parameter.kind is ParameterKind.DOUBLE:
        return trial.suggest_float(parameter.id, parameter.low, parameter.high, log=log)
    if parameter.kind is ParameterKind.INTEGER:
        return trial.suggest_int(parameter.id, int(parameter.low), int(parameter.high), log=log)
    # Words may be of an enumeration, which the journal gives back as plain text.
    choices = tuple(str(value) if isinstance(value, str) else value for value in parameter.values)
    return trial.suggest_categorical(parameter.id, choices)


def _overrides(space: SearchSpace, given: Mapping[str, Any]) -> dict[str, Value]:
    """Optuna's values as the recipe's, of their own type, in the order of the space."""
    names = [parameter.id for parameter in space.parameters if parameter.id in given]
    return parse_overrides([f"{HYPERPARAMETERS[name]}={given[name]}" for name in names])


def _repair(path: Path) -> None:
    """A process that was killed may leave half a line, which would spoil the next one, and Optuna's lock."""
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    with path.open("ab+") as stream:
        stream.seek(0)
        text = stream.read()
        if text and not text.endswith(b"\n"):
            stream.truncate(text.rfind(b"\n") + 1)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise missing_package("optuna", "tune") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna")
    return optuna
