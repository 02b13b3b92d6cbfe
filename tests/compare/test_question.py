"""Which model is the reference, and what can be asked."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from cxr.bundle import Origin
from cxr.compare.question import Question, check_question, default_reference, reference_model
from cxr.errors import UsageError


def bundle(folder, name: str, origin: Origin = Origin.BASELINE, *, stand_in: bool = False):
    """What of a bundle decides: where it is, and who made it."""
    return SimpleNamespace(folder=folder / name, info=SimpleNamespace(name=name, origin=origin, stand_in=stand_in))


def test_the_service_comes_before_its_stand_in_and_that_before_the_first(tmp_path):
    local, stand_in, service = (
        bundle(tmp_path, "local"),
        bundle(tmp_path, "emulated", Origin.AUTOML, stand_in=True),
        bundle(tmp_path, "automl", Origin.AUTOML),
    )
    assert default_reference([local, stand_in, service]) == (2, "the AutoML model")
    assert default_reference([local, stand_in]) == (1, "the AutoML model (emulator stand-in)")
    assert default_reference([local, local]) == (0, "the first one named")


def test_a_reference_is_asked_for_by_name_or_folder(tmp_path):
    bundles = [bundle(tmp_path, "a"), bundle(tmp_path, "b")]
    names = ["a", "b (run 2)"]
    for wanted in ("b", "b (run 2)", str(tmp_path / "b")):
        assert reference_model(Question(reference=wanted), bundles, names)[0] == 1
    with pytest.raises(UsageError, match="none of the models"):
        reference_model(Question(reference="c"), bundles, names)
    twins = [bundle(tmp_path / "x", "a"), bundle(tmp_path / "y", "a")]
    with pytest.raises(UsageError, match="more than one"):
        reference_model(Question(reference="a"), twins, ["a (x)", "a (y)"])


@pytest.mark.parametrize(
    ("changes", "classes", "said"),
    [
        ({"margin": 0.0}, 2, "--margin 0"),
        ({"margin": 1.0}, 2, "--margin 1"),
        ({"margin": float("nan")}, 2, "--margin nan"),
        ({"measure": "auroc"}, 2, "--margin-metric auroc"),
        ({"measure": "macro_auc"}, 2, "--margin-metric macro_auc"),
        ({"prevalence": 20.0}, 2, "--prevalence 20"),
        ({"sensitivity": 1.0}, 2, "--sensitivity 1"),
        ({"sensitivity": 0.95}, 3, "no threshold decides"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, classes, said):
    with pytest.raises(UsageError) as raised:
        check_question(replace(Question(), **changes), classes)
    assert said in raised.value.message


def test_what_makes_sense_is_not():
    check_question(Question(), 2)
    check_question(Question(measure="macro_auc"), 3)
    check_question(Question(prevalence=0.02, sensitivity=0.95, measure="brier"), 2)
