"""The rules of `cxr data check`: each fires on what it is for, with a fix, and not on sound data."""

from __future__ import annotations

from typing import Any

import pytest
from manifest_rows import manifest_of, row

from cxr.manifests.check import CheckReport, check
from cxr.manifests.labels import is_legal_label, legal_label
from cxr.manifests.manifest import Manifest, Problem
from cxr.manifests.rules import RULES


def _sound() -> list[dict[str, Any]]:
    """100 train, 60 validation and 40 test images of two labels, no two alike."""
    splits = ["train"] * 100 + ["validation"] * 60 + ["test"] * 40
    return [row(f"{split}/{'AB'[i % 2]}/{i}.jpeg", "AB"[i % 2], split=split) for i, split in enumerate(splits)]


def _report(rows: list[dict[str, Any]], **header: Any) -> CheckReport:
    return check(manifest_of(rows, **header))


def test_sound_data_has_no_findings() -> None:
    report = _report(_sound())
    assert report.findings == ()
    assert report.ok
    assert report.counts["test"] == {"A": 20, "B": 20}
    assert report.patients == {"train": 100, "validation": 60, "test": 40}


def _one_label(rows: list[dict[str, Any]]) -> None:
    for entry in rows:
        entry["label"] = "A"


def _rare_label(rows: list[dict[str, Any]]) -> None:
    rows += [row(f"train/C/{i}.jpeg", "C") for i in range(9)]


def _lopsided(rows: list[dict[str, Any]]) -> None:
    rows += [row(f"train/C/{i}.jpeg", "C") for i in range(5051)]


BREAKS = {
    "one-label": _one_label,
    "label-spelling": lambda rows: rows[0].update(label="2nd stage"),
    "patient-in-two-splits": lambda rows: [rows[0].update(patient="p"), rows[-1].update(patient="p")],
    "bytes-in-two-splits": lambda rows: rows[-1].update(sha256=rows[0]["sha256"]),
    "bytes-under-two-labels": lambda rows: [rows[0].update(duplicate_group="d"), rows[1].update(duplicate_group="d")],
    "repeated-images": lambda rows: [rows[0].update(duplicate_group="d"), rows[2].update(duplicate_group="d")],
    "few-images": _rare_label,
    "imbalance": _lopsided,
    "validation-split": lambda rows: rows.__delitem__(slice(100, 120)),
    "test-split": lambda rows: rows.__delitem__(slice(160, 200)),
    "vertex-format": lambda rows: rows[0].update(path="train/A/0.tiff"),
    "vertex-size": lambda rows: rows[0].update(size=31 * 1024 * 1024),
    "unused-images": lambda rows: rows[0].update(split=""),
    "patient-in-two-splits-otherwise": lambda rows: [
        rows[0].update(path="train/A/person1_bacteria_1.jpeg", patient="person-bacterial-1"),
        rows[-1].update(path="test/B/person1_virus_2.jpeg", patient="person-viral-1"),
    ],
}


def test_every_rule_is_tested_here() -> None:
    assert {rule.id for rule in RULES} == set(BREAKS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_fires_on_what_it_is_for(rule: Any) -> None:
    rows = _sound()
    BREAKS[rule.id](rows)
    report = _report(rows)
    found = [finding for finding in report.findings if finding.rule == rule.id]
    assert len(found) == 1
    assert found[0].severity == rule.severity
    assert found[0].fix
    assert report.ok == (not report.errors)


def test_no_validation_split_at_all_is_told() -> None:
    rows = [entry for entry in _sound() if entry["split"] != "validation"]
    assert [finding.message for finding in _report(rows).findings] == [
        "there is no validation split to choose a model or a threshold on"
    ]


def test_problems_of_the_scan_are_findings_with_their_fix_errors_first() -> None:
    problems = (
        Problem("junk", "A/.DS_Store", "a leftover", "warning"),
        Problem("broken-image", "A/x.jpeg", "does not decode: cut", "error"),
        Problem("broken-image", "A/y.jpeg", "does not decode: cut", "error"),
    )
    report = _report(_sound(), problems=problems)
    assert [(finding.rule, finding.severity) for finding in report.findings] == [
        ("broken-image", "error"),
        ("junk", "warning"),
    ]
    assert report.findings[0].examples == ("A/x.jpeg", "A/y.jpeg")
    assert not report.ok


def test_a_report_of_another_tools_problem_is_kept() -> None:
    manifest: Manifest = manifest_of(_sound(), problems=(Problem("new-rule", "x", "y", "warning"),))
    assert check(manifest).findings[0].rule == "new-rule"


@pytest.mark.parametrize(
    ("label", "spelled"),
    [
        ("2nd stage", "label_2nd_stage"),
        ("viral pneumonia", "viral_pneumonia"),
        ("_x", "x"),
        ("Größe", "Grosse"),
        ("肺炎", "label"),
    ],
)
def test_an_illegal_label_gets_a_legal_spelling(label: str, spelled: str) -> None:
    assert not is_legal_label(label)
    assert is_legal_label(legal_label(label))
    if spelled.isascii() and label != "Größe":
        assert legal_label(label) == spelled
