"""Studies as the service accepts them, and the parameters that are suggested of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.cloud.emulator.errors import Code, RpcError
from cxr.cloud.emulator.vertex_api.messages import parse, types
from cxr.cloud.emulator.vertex_api.study import study_of
from cxr.cloud.emulator.vertex_api.suggestions import as_argument, suggestion


def spec(*parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return parse(types.StudySpec, {"metrics": [{"metricId": "auc"}], "parameters": list(parameters), **more})


def double(name: str = "lr", least: float = 0.001, most: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"parameterId": name, "doubleValueSpec": {"minValue": least, "maxValue": most}, **more}


def integer(least: int = 1, most: int = 3, **more: Any) -> dict[str, Any]:
    return {"parameterId": "n", "integerValueSpec": {"minValue": least, "maxValue": most}, **more}


def discrete(*values: float) -> dict[str, Any]:
    return {"parameterId": "d", "discreteValueSpec": {"values": list(values)}}


def categorical(*values: str, **more: Any) -> dict[str, Any]:
    return {"parameterId": "c", "categoricalValueSpec": {"values": list(values)}, **more}


def given_when(child: dict[str, Any], **condition: Any) -> dict[str, Any]:
    return {"conditionalParameterSpecs": [{"parameterSpec": child, **condition}]}


LOG = {"scaleType": "UNIT_LOG_SCALE"}


@pytest.mark.parametrize(
    ("study", "code", "words"),
    [
        ({"metrics": [], "parameters": [double()]}, Code.INVALID_ARGUMENT, "metrics"),
        ({"metrics": [{"metricId": "a b"}], "parameters": [double()]}, Code.INVALID_ARGUMENT, "'a b'"),
        ({"metrics": [{"metricId": "a"}] * 2, "parameters": [double()]}, Code.INVALID_ARGUMENT, "twice"),
        ({"metrics": [{"metricId": "a"}, {"metricId": "b"}], "parameters": [double()]}, Code.UNIMPLEMENTED, "several"),
        (spec(double(), double()), Code.INVALID_ARGUMENT, "twice"),
        (spec(double("")), Code.INVALID_ARGUMENT, "empty"),
        (spec({"parameterId": "x"}), Code.INVALID_ARGUMENT, "no value spec"),
        (spec(double(least=2)), Code.INVALID_ARGUMENT, "above"),
        (spec(double(least=0, **LOG)), Code.INVALID_ARGUMENT, "strictly positive"),
        (spec(double(least=0, scaleType="UNIT_REVERSE_LOG_SCALE")), Code.INVALID_ARGUMENT, "strictly positive"),
        (spec(integer(5, 4)), Code.INVALID_ARGUMENT, "above"),
        (spec(discrete()), Code.INVALID_ARGUMENT, "from 1 to 1,000"),
        (spec(discrete(*range(1001))), Code.INVALID_ARGUMENT, "from 1 to 1,000"),
        (spec(discrete(1, 3, 2)), Code.INVALID_ARGUMENT, "increase"),
        (spec(discrete(1, 1)), Code.INVALID_ARGUMENT, "increase"),
        (spec(categorical()), Code.INVALID_ARGUMENT, "categories"),
        (spec(categorical("a", "a")), Code.INVALID_ARGUMENT, "categories"),
        (spec(categorical("a", "b", **LOG)), Code.INVALID_ARGUMENT, "no scale"),
        (
            spec({"parameterId": "x", "doubleValueSpec": {"maxValue": 1, "defaultValue": 0}}),
            Code.INVALID_ARGUMENT,
            "default",
        ),
        (spec(double(), medianAutomatedStoppingSpec={}), Code.UNIMPLEMENTED, "medianAutomatedStoppingSpec"),
        (
            spec(categorical("a", "b", **given_when(double(), parentCategoricalValues={"values": ["c"]}))),
            Code.INVALID_ARGUMENT,
            "'c'",
        ),
        (
            spec(categorical("a", "b", **given_when(double(), parentIntValues={"values": [1]}))),
            Code.INVALID_ARGUMENT,
            "type",
        ),
        (
            spec(double("x"), integer(**given_when(double("x"), parentIntValues={"values": [1]}))),
            Code.INVALID_ARGUMENT,
            "twice",
        ),
    ],
)
def test_bad_studies_are_refused(study: dict[str, Any], code: Code, words: str) -> None:
    with pytest.raises(RpcError) as refused:
        study_of(study)
    assert (refused.value.code, words in refused.value.message) == (code, True), refused.value.message


@settings(max_examples=60, deadline=None)
@given(
    number=st.integers(1, 1000),
    scale=st.sampled_from(["UNIT_LINEAR_SCALE", "UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE", "SCALE_TYPE_UNSPECIFIED"]),
    least=st.floats(1e-6, 10),
    width=st.floats(0, 1e3),
    algorithm=st.sampled_from(["ALGORITHM_UNSPECIFIED", "RANDOM_SEARCH"]),
)
def test_suggestions_are_feasible_and_always_the_same(
    number: int, scale: str, least: float, width: float, algorithm: str
) -> None:
    raw = spec(
        double(least=least, most=least + width, scaleType=scale),
        integer(1, 7, scaleType=scale),
        discrete(0.5, 16, 32),
        categorical("a", "b"),
        algorithm=algorithm,
    )
    values = suggestion(study_of(raw), raw, number)
    assert values == suggestion(study_of(raw), raw, number)
    found = dict(values or [])
    assert least <= float(found["lr"]) <= least + width
    assert found["n"] in range(1, 8)
    assert found["d"] in {0.5, 16.0, 32.0}
    assert found["c"] in {"a", "b"}


def test_the_default_sequence_covers_the_space_evenly() -> None:
    raw = spec(double(least=0.0, most=1.0), integer(0, 3))
    drawn = [dict(suggestion(study_of(raw), raw, number) or []) for number in range(1, 33)]
    assert {int(float(values["lr"]) * 8) for values in drawn} == set(range(8))
    assert {values["n"] for values in drawn} == {0, 1, 2, 3}


def test_a_conditional_parameter_is_there_only_when_its_parent_has_the_value() -> None:
    child = double("momentum", 0.1, 0.9)
    raw = spec(categorical("adam", "sgd", **given_when(child, parentCategoricalValues={"values": ["sgd"]})))
    for number in range(1, 20):
        values = dict(suggestion(study_of(raw), raw, number) or [])
        assert ("momentum" in values) == (values["c"] == "sgd")


def test_a_grid_has_each_point_once() -> None:
    raw = spec(integer(1, 3), categorical("a", "b"), discrete(0.5), algorithm="GRID_SEARCH")
    points = [suggestion(study_of(raw), raw, number) for number in range(1, 8)]
    assert points[6] is None
    assert len({tuple(point) for point in points[:6] if point}) == 6


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "--x=0.5"), (16.0, "--x=16"), (3, "--x=3"), ("adam", "--x=adam"), (1e-5, "--x=1e-05")]
)
def test_arguments(value: Any, text: str) -> None:
    assert as_argument("x", value) == text
