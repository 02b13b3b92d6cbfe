"""Searching: trials that are kept, repeated after a kill, pruned, cut by the clock, and failed without harm."""

from __future__ import annotations

import csv
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr.errors import Fault, InputError, UsageError
from cxr.local_baseline.recipes import RECIPES, Teacher, find_recipe
from cxr.local_baseline.recipes.overrides import HYPERPARAMETERS, parse_overrides
from cxr.local_baseline.recipes.recipe_file import open_recipe, overrides_toml, read_recipe
from cxr.local_baseline.recipes.search_space import Parameter, ParameterKind, Scale, SearchSpace, default_space
from cxr.local_baseline.request import TrainRequest, recipe_of
from cxr.local_baseline.training.pipeline import TrainingData
from cxr.local_baseline.tuning.nouns import TrialRow, TrialState, TuneRequest, Tuning, best_first, check_tune
from cxr.local_baseline.tuning.plot import write_plot
from cxr.local_baseline.tuning.search import _check_failures, _Clock, _trial, tune
from cxr.local_baseline.tuning.study import JOURNAL_FILE, Study
from cxr.locks import only_one

SPACE = SearchSpace(
    "edge",
    (
        Parameter("learning-rate", ParameterKind.DOUBLE, 1e-4, 1e-2, scale=Scale.LOG),
        Parameter("batch-size", ParameterKind.DISCRETE, values=(8, 16)),
    ),
)

MakeRequest = Callable[..., TuneRequest]


def silent(done: int, total: int, note: str) -> None:
    del done, total, note


@pytest.fixture
def make_request(small_request: TrainRequest, tmp_path: Path) -> MakeRequest:
    """A search with the small edge net, one epoch a trial."""

    def make(space: SearchSpace = SPACE, *, epochs: int = 1, **changes: object) -> TuneRequest:
        training = replace(small_request, recipe="edge", epochs=epochs, name="edge")
        return replace(TuneRequest(training, space, tmp_path / "tune", minutes=None, trials=3), **changes)  # type: ignore[arg-type]

    return make


def made(tuning: Tuning) -> dict[int, tuple[dict[str, object], float | None]]:
    """What decides whether two searches were the same."""
    return {row.number: (dict(row.parameters), row.value and round(row.value, 3)) for row in tuning.rows}


@pytest.mark.slow
def test_a_search_leaves_tables_and_the_best_recipe(make_request: MakeRequest) -> None:
    heard: list[int] = []
    request = make_request(metric="val_loss")
    tuning = tune(request, silent, lambda row: heard.append(row.number))
    assert heard == [0, 1, 2]
    values = [row.value for row in tuning.rows]
    assert values == sorted(values)  # type: ignore[type-var]  # less is better
    as_it_is = next(row for row in tuning.rows if row.number == 0)
    assert as_it_is.parameters == {}
    varied = next(row for row in tuning.rows if row.number == 1).parameters
    assert list(varied) == ["optimizer.learning_rate", "batch_size"]
    assert varied["batch_size"] in {8, 16}
    assert isinstance(varied["batch_size"], int)
    lines = list(csv.DictReader((request.output / "trials.csv").read_text().splitlines()))
    assert [int(line["trial"]) for line in lines] == [row.number for row in tuning.rows]
    assert {"val_loss", "optimizer.learning_rate", "batch_size", "epochs", "seconds", "state"} <= set(lines[0])
    document = json.loads((request.output / "tuning.json").read_text())
    assert document["best_trial"] == tuning.rows[0].number
    assert [trial["value"] for trial in document["trials"]] == values
    again = open_recipe(str(request.output / "best.toml"))
    assert again.base == "edge"
    wanted = recipe_of(replace(request.train, overrides=tuning.best_overrides))
    assert replace(again.with_overrides({}, "none"), name="edge") == wanted


@pytest.mark.slow
def test_the_figure_is_the_best_epochs(make_request: MakeRequest) -> None:
    (row,) = tune(make_request(epochs=3, trials=1), silent).rows
    assert (row.state, row.epochs) == (TrialState.FINISHED, 3)
    assert 1 <= row.best_epoch <= 3


def drive(request: TuneRequest, trials: int) -> list[dict[str, object]]:
    """Ask for trials and end them with figures made up from their parameters: what a search does, without training."""
    request.output.mkdir(exist_ok=True)
    study = Study(request)
    asked = []
    while len(study.rows()) < trials:
        trial, parameters = study.ask()
        asked.append(dict(parameters))
        value = 1.0 - float(parameters.get("optimizer.learning_rate", 0.005))
        trial.report(value, 1)
        study.end(trial, TrialState.FINISHED, value=value, epochs=1, best_epoch=1, seconds=1.0)
    return asked


def test_a_search_in_two_parts_asks_for_what_a_search_in_one_asks_for(
    make_request: MakeRequest, tmp_path: Path
) -> None:
    whole = drive(make_request(output=tmp_path / "whole"), 12)
    parts = drive(make_request(output=tmp_path / "parts"), 4) + drive(make_request(output=tmp_path / "parts"), 12)
    assert parts == whole
    assert len({str(parameters) for parameters in whole}) == 12
    other = make_request(output=tmp_path / "other")
    assert drive(replace(other, train=replace(other.train, seed=8)), 2)[1] != whole[1]


def test_the_sampler_learns_from_the_trials(make_request: MakeRequest) -> None:
    rates = [float(asked["optimizer.learning_rate"]) for asked in drive(make_request(), 40)[1:]]  # type: ignore[arg-type]
    late = sum(rate < 3e-4 for rate in rates[-15:]) / 15
    assert late > 0.5  # a quarter of a logarithmic scale, at random
    importance = Study(make_request()).importance()
    assert importance["optimizer.learning_rate"] > importance["batch_size"]


def test_the_plot_has_a_panel_for_numbers_and_for_words(make_request: MakeRequest, tmp_path: Path) -> None:
    request = make_request(default_space("edge", RECIPES["edge"]))
    drive(request, 10)
    study = Study(request)
    importance = study.importance()
    assert sum(importance.values()) == pytest.approx(1)
    write_plot(Tuning(request, best_first(study.rows(), maximise=True), 10.0, importance), tmp_path / "tuning.png")
    with Image.open(tmp_path / "tuning.png") as plot:
        assert plot.size[0] > 1000
        assert len(set(plot.convert("L").getdata())) > 50


@pytest.mark.slow
def test_the_same_search_again_makes_the_trials_that_lack(make_request: MakeRequest) -> None:
    first = tune(make_request(trials=1), silent)
    heard: list[int] = []
    on = tune(make_request(trials=2), silent, lambda row: heard.append(row.number))
    assert heard == [1]
    assert made(first).items() <= made(on).items()
    assert made(tune(make_request(trials=2), silent, lambda row: heard.append(row.number))) == made(on)
    assert heard == [1]


def test_another_search_is_not_continued(make_request: MakeRequest) -> None:
    drive(make_request(), 1)
    with pytest.raises(UsageError, match="holds another search"):
        drive(make_request(metric="val_loss"), 1)
    with pytest.raises(UsageError, match="holds another search"):
        drive(make_request(SearchSpace("edge", SPACE.parameters[:1])), 1)


@pytest.mark.slow
def test_a_loss_without_a_number_is_a_failed_trial(make_request: MakeRequest) -> None:
    request = make_request()
    manifest = request.train.manifest
    images = np.full((len(manifest.frame), 224, 224, 3), np.nan, np.float32)
    rows = np.arange(8)
    broken = TrainingData(images, rows % 2, rows, rows, 2)
    request.output.mkdir()
    study = Study(request)
    row = _trial(study, request, broken, _Clock(request, 0.0), silent)
    assert (row.state, row.value, row.epochs) == (TrialState.FAILED, None, 0)
    assert row.reason == "the training loss became nan in epoch 1, step 1"
    assert best_first(study.rows(), maximise=True) == (row,)


@pytest.mark.slow
def test_a_combination_that_does_not_fit_is_a_failed_trial(make_request: MakeRequest) -> None:
    # Twice the strength is in range, but not with this zoom.
    space = SearchSpace("edge", (Parameter("augmentation-strength", ParameterKind.DOUBLE, 1.9, 2.0),))
    request = make_request(space, trials=2)
    training = replace(request.train, overrides=parse_overrides(["augmentation.zoom=0.3"]))
    tuning = tune(replace(request, train=training), silent)
    assert [row.state for row in tuning.rows] == [TrialState.FINISHED, TrialState.FAILED]
    assert "more than 50%" in tuning.rows[1].reason
    assert ",failed,," in (request.output / "trials.csv").read_text()


def test_a_search_in_which_nothing_works_ends_with_the_reason() -> None:
    rows = tuple(TrialRow(n, TrialState.FAILED, None, {}, 0, 0, 1.0, "the training loss became nan") for n in range(3))
    _check_failures(rows[:2])
    _check_failures((replace(rows[0], state=TrialState.PRUNED), *rows))
    with pytest.raises(Fault, match="all of the first 3 trials failed; the last one: the training loss became nan"):
        _check_failures(rows)


@pytest.mark.slow
def test_the_clock_ends_a_trial_with_its_epoch(make_request: MakeRequest) -> None:
    tuning = tune(make_request(epochs=500, minutes=0.01, trials=None), silent)
    (row,) = tuning.rows
    assert row.state is TrialState.OUT_OF_TIME
    assert 1 <= row.epochs < 500
    assert row.value is not None
    assert tuning.best is row


def test_a_trial_worse_than_the_median_is_pruned(make_request: MakeRequest) -> None:
    request = make_request(trials=20)
    request.output.mkdir()
    study = Study(request)
    for number in range(6):
        trial, _ = study.ask()
        for epoch in (1, 2, 3):
            trial.report(0.8 + number / 100, epoch)
            assert not trial.should_prune() or number == 5
        study.end(trial, TrialState.FINISHED, value=0.8 + number / 100, epochs=3, best_epoch=3, seconds=1.0)
    trial, _ = study.ask()
    trial.report(0.5, 1)
    assert not trial.should_prune()  # the first epoch says little
    trial.report(0.5, 2)
    assert trial.should_prune()
    row = study.end(trial, TrialState.PRUNED, value=0.5, epochs=2, best_epoch=2, seconds=1.0)
    assert (row.number, row.state, row.value) == (6, TrialState.PRUNED, 0.5)
    assert best_first(study.rows(), maximise=True)[0].number == 5


def test_a_torn_journal_and_a_stale_lock_do_no_harm(make_request: MakeRequest) -> None:
    before = drive(make_request(), 2)
    journal = make_request().output / JOURNAL_FILE
    with journal.open("ab") as stream:
        stream.write(b'{"op_code": 4, "wor')
    journal.with_name(journal.name + ".lock").symlink_to(journal)
    drive(make_request(), 3)
    rows = Study(make_request()).rows()
    assert [dict(row.parameters) for row in rows[:2]] == before
    assert len(rows) == 3


def test_a_file_that_is_no_journal_is_named(make_request: MakeRequest) -> None:
    request = make_request()
    request.output.mkdir()
    (request.output / JOURNAL_FILE).write_text("no journal\nat all\n")
    with pytest.raises(InputError, match=JOURNAL_FILE):
        tune(request, silent)


def test_two_searches_at_one_place_do_not_mix(make_request: MakeRequest) -> None:
    request = make_request()
    with only_one(request.output, "tune"), pytest.raises(UsageError, match="another process is searching"):
        tune(request, silent)


SEARCH = """
import pickle, sys
from pathlib import Path
from cxr.local_baseline.tuning.search import _check_failures, _Clock, _trial, tune
request = pickle.loads(Path(sys.argv[1]).read_bytes())
tune(request, lambda done, total, note: None, lambda row: print("trial", row.number, flush=True))
"""


@pytest.mark.slow
def test_a_killed_search_repeats_the_trial_that_ran_and_comes_to_the_same_trials(
    make_request: MakeRequest, tmp_path: Path
) -> None:
    request = make_request(trials=2)
    (tmp_path / "request").write_bytes(pickle.dumps(request))
    command = [sys.executable, "-c", SEARCH, str(tmp_path / "request")]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "trial 0\n"
    journal = request.output / JOURNAL_FILE
    while "learning-rate" not in journal.read_text():  # the next trial has begun
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    went_on = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert went_on.stdout == "trial 1\n"
    rows = Study(request).rows()
    assert [row.number for row in rows] == [0, 1]
    asked = re.findall(r'"param_name":"learning-rate","param_value_internal":([0-9.e-]+)', journal.read_text())
    assert asked[0] == asked[1] == str(rows[1].parameters["optimizer.learning_rate"])  # killed, and repeated


def test_a_trial_that_kills_its_process_twice_is_not_made_a_third_time(make_request: MakeRequest) -> None:
    request = make_request()
    request.output.mkdir()
    for _ in range(2):
        Study(request).ask()  # and then the process dies
    (row,) = Study(request).rows()
    assert (row.state, row.reason) == (TrialState.FAILED, "the process died 2 times in this trial")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "accuracy"}, "there is no metric 'accuracy'; there are: val_auc, val_loss"),
        ({"minutes": 0.0}, "0 minutes"),
        ({"trials": 0}, "0 trials"),
        ({"trials": None}, "a search needs an end"),
        ({"space": replace(SPACE, recipe="cnn5")}, "the search space is of cnn5, the recipe is edge"),
    ],
    ids=["metric", "minutes", "trials", "end", "recipe"],
)
def test_a_search_that_cannot_be_made_is_refused(make_request: MakeRequest, changes: dict, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UsageError) as error:
        tune(make_request(**changes), silent)
    assert words in error.value.message


def test_what_is_set_for_all_trials_is_not_searched(make_request: MakeRequest) -> None:
    request = make_request()
    with pytest.raises(UsageError, match="batch_size is set for all trials, and searched too"):
        tune(replace(request, train=replace(request.train, overrides={"batch_size": 16})), silent)


def test_the_best_recipes_file_keeps_what_is_set_of_other_stages(tmp_path: Path) -> None:
    overrides = parse_overrides(
        [
            "head.optimizer.learning_rate=0.01",
            "stages.optimizer.kind=sgd",
            "optimizer.learning_rate=1e-05",
            "dropout=0.5",
        ]
    )
    path = tmp_path / "best.toml"
    path.write_text(overrides_toml("mobilenet-v2", overrides, name="tuned", weights="imagenet"))
    chosen = read_recipe(path)
    assert chosen.overrides == overrides
    assert chosen.recipe.default_weights == "imagenet"


def test_every_default_space_can_be_asked_for(make_request: MakeRequest, tmp_path: Path) -> None:
    for name in RECIPES:
        space = default_space(name, RECIPES[name])
        request = make_request(space, output=tmp_path / name)
        request = replace(request, train=replace(request.train, recipe=name))
        check_tune(request)
        request.output.mkdir()
        study = Study(request)
        for _ in range(2):
            trial, parameters = study.ask()
            study.end(trial, TrialState.FINISHED, value=0.5, epochs=1, best_epoch=1, seconds=1.0)
        assert set(parameters) == {HYPERPARAMETERS[one.id] for one in space.parameters}
        assert Study(request).rows()[1].parameters == parameters


@pytest.mark.slow
def test_a_recipe_with_a_teacher_is_searched_with_one_teacher_for_all_trials(
    make_request: MakeRequest, tmp_path: Path
) -> None:
    request = make_request(trials=2)
    pupil = replace(find_recipe("edge"), teachers=(Teacher("one", find_recipe("edge")),), teacher_share=0.5)
    training = replace(request.train, cache_dir=tmp_path / "cache", variant=pupil)
    tuning = tune(replace(request, train=training), silent)
    assert [row.state for row in sorted(tuning.rows, key=lambda row: row.number)] == [TrialState.FINISHED] * 2
    assert len(list((tmp_path / "cache" / "teachers").iterdir())) == 1
