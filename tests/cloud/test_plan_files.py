"""Saved plans: the same again or refused, whatever is in the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.estimates import Expectation, like_before
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.files import check_same, read_plan, write_plan
from cxr.cloud.plans.launch import Cost, JobKind, LaunchPlan
from cxr.cloud.prices.table import Price
from cxr.cloud.trainer.job import CustomOptions, TuneOptions, options_from, tune_options_from
from cxr.cloud.vertex.custom import RULES
from cxr.cloud.vertex.offers import choose_hardware
from cxr.cloud.vertex.tuning import study_spec
from cxr.errors import CheckFailed, CxrError, InputError, UsageError
from cxr.settings import Target

WHERE = Connection(Target.GCP, "project", "us-central1", "bucket", "cxr", None)
COST = Cost(18.0, 9.0, 1.0, 0.5, Price(18.0, "2026-10-07", "test"))
PLAN = LaunchPlan(JobKind.AUTOML, WHERE, "f" * 64, {"model_type": "cloud", "epochs": None, "set": ["a=1"]}, COST)

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    write_plan(PLAN, {"manifest": "manifest.csv"}, path)
    return path


def test_a_plan_comes_back_as_it_was(saved: Path) -> None:
    read = read_plan(saved, JobKind.AUTOML)
    assert (read.attempt, read.inputs, read.worst_usd) == (1, {"manifest": "manifest.csv"}, 18.0)
    check_same(read, PLAN)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"request": {**PLAN.request, "epochs": 3}}, "epochs was None and is 3"),
        ({"request": {"model_type": "cloud"}}, r"set was \['a=1'\] and is None"),
        ({"request": {**PLAN.request, "more": 1}}, "more was None and is 1"),
        ({"manifest_hash": "e" * 64}, "the manifest was ffffffffffffffff and is eeeeeeeeeeeeeeee"),
        ({"connection": replace(WHERE, bucket="other")}, "bucket was bucket and is other"),
        ({"cost": replace(COST, worst_usd=20.0)}, r"cost at most 18\.00 USD and now 20\.00 USD"),
    ],
)
def test_what_differs_is_named(saved: Path, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckFailed, match=words) as raised:
        check_same(read_plan(saved, JobKind.AUTOML), replace(PLAN, **changed))
    assert raised.value.hint == f"read a new plan first: cxr cloud train automl --plan {saved}"


def test_a_plan_of_another_kind_says_which(saved: Path) -> None:
    with pytest.raises(UsageError, match="plan of a automl job"):
        read_plan(saved, JobKind.TUNE)


@given(
    key=st.sampled_from(["kind", "where", "manifest_hash", "request", "attempt", "cost", "inputs", "schema"]),
    value=JSON,
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_damaged_plan_is_refused_in_words(saved: Path, key: str, value: Any) -> None:
    damaged = saved.with_name("damaged.json")
    damaged.write_text(json.dumps({**json.loads(saved.read_text()), key: value}))
    refusal = ""
    try:
        check_same(read_plan(damaged, JobKind.AUTOML), PLAN)
    except CxrError as refused:
        refusal = refused.message
    assert str(damaged) in refusal or key == "inputs" or value == 1.0


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": "cxr.upload"}', "x" * 1_000_001])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"plan\.json"):
        read_plan(path, JobKind.AUTOML)


OPTIONS = CustomOptions("cnn5", choose_hardware("g2-standard-24", replicas=2, spot=True), 3.5, 4, 9, overrides=("a=1",))
SPACE = (
    {"id": "learning-rate", "kind": "double", "low": 1e-5, "high": 1e-2, "scale": "log"},
    {"id": "unfreeze-layers", "kind": "integer", "low": 0, "high": 40, "scale": "linear"},
    {"id": "batch-size", "kind": "discrete", "values": [32, 16], "scale": "linear"},
    {"id": "optimizer", "kind": "categorical", "values": ["adam", "sgd"]},
)


def test_a_file_that_is_something_else_is_not_replaced(tmp_path: Path, saved: Path) -> None:
    mine = tmp_path / "manifest.csv"
    mine.write_text("path,label\n")
    with pytest.raises(UsageError, match="is there and is no launch plan"):
        write_plan(PLAN, {}, mine)
    assert mine.read_text() == "path,label\n"
    write_plan(PLAN, {}, saved)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("cost", {"worst_usd": float("nan")}, "a cost must be a number"),
        ("job", "automl-0000000000", "it was named automl-0000000000"),
        ("attempt", True, "attempt must be a number"),
    ],
)
def test_a_plan_that_was_changed_by_hand_is_refused(saved: Path, key: str, value: Any, words: str) -> None:
    saved.write_text(json.dumps({**json.loads(saved.read_text()), key: value}))
    with pytest.raises(CxrError, match=words):
        check_same(read_plan(saved, JobKind.AUTOML), PLAN)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accelerator": "NVIDIA_H100", "gpus": 8}, "has NVIDIA_L4, not NVIDIA_H100"),
        ({"gpus": float("inf")}, "not whole"),
        ({"machine": "x9"}, "'x9' is not known"),
    ],
)
def test_hardware_that_does_not_exist_is_refused_in_a_saved_plan(change: dict[str, Any], words: str) -> None:
    with pytest.raises(CxrError, match=words):
        options_from({**OPTIONS.request(), **change}, "none", choose_hardware)


def test_a_space_without_its_range_is_refused_in_a_saved_plan() -> None:
    request = TuneOptions(OPTIONS, SPACE, 6, 3).request() | {"space": [{"id": "x", "kind": "double"}]}
    with pytest.raises(InputError, match="not whole"):
        tune_options_from(request, "none", choose_hardware, study_spec)


def test_a_rehearsal_says_nothing_about_the_time_on_google() -> None:
    request = OPTIONS.request()
    times = {"state": "SUCCEEDED", "started": "2026-11-21T10:00:00+00:00", "ended": "2026-11-21T10:30:00+00:00"}
    where = {"project": "p", "region": "us-central1", "bucket": "b", "prefix": "c"}
    job = Job(
        "custom-1", JobKind.CUSTOM, Target.GCP, **where, manifest_hash="f", fingerprint="", details=request, **times
    )
    again = {**request, "seed": 10}
    assert like_before([job], again, "f", WHERE) == Expectation(0.5, "as long as the last such job")
    assert like_before([replace(job, on=Target.EMULATOR)], again, "f", WHERE) is None
    assert like_before([job], {**again, "epochs": 9}, "f", WHERE) is None


def test_options_survive_their_request() -> None:
    assert options_from(json.loads(json.dumps(OPTIONS.request())), "none", choose_hardware) == OPTIONS
    tuned = TuneOptions(OPTIONS, SPACE, 6, 3)
    assert tune_options_from(json.loads(json.dumps(tuned.request())), "none", choose_hardware, study_spec) == tuned


def test_a_request_that_is_not_whole_is_refused() -> None:
    for key in ("recipe", "machine", "overrides", "timeout_hours"):
        request = {name: value for name, value in OPTIONS.request().items() if name != key}
        with pytest.raises(InputError, match=key):
            options_from(request, "none", choose_hardware)


def test_a_search_space_becomes_the_services_study() -> None:
    spec = study_spec(SPACE)
    assert spec["metrics"] == [{"metric_id": "val_auc", "goal": "MAXIMIZE"}]
    assert [sorted(parameter)[-1] for parameter in spec["parameters"][:1]] == ["scale_type"]
    assert spec["parameters"][0]["double_value_spec"] == {"min_value": 1e-5, "max_value": 1e-2}
    assert spec["parameters"][1]["integer_value_spec"] == {"min_value": 0, "max_value": 40}
    assert spec["parameters"][2]["discrete_value_spec"] == {"values": [16.0, 32.0]}
    assert spec["parameters"][3] == {"parameter_id": "optimizer", "categorical_value_spec": {"values": ["adam", "sgd"]}}


@pytest.mark.parametrize(
    ("trials", "parallel", "words"), [(0, 1, "0 trials"), (1001, 1, "1001 trials"), (4, 5, "5 trials at once")]
)
def test_impossible_numbers_of_trials_are_refused(trials: int, parallel: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        RULES.check_trials(TuneOptions(OPTIONS, SPACE, trials, parallel))
