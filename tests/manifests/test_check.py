"""The rules of `cxr data check`: each fires on what it is for, with a fix, and not on sound data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from manifest_rows import manifest_of, row

from cxr.errors import InputError, UsageError
from cxr.manifests.check import RULES, CheckReport, Finding, check, check_acceptable
from cxr.manifests.manifest import Manifest, ManifestHeader, Problem, new_manifest
from cxr.manifests.scan.problems import SCAN_RULES

Rows = list[dict[str, Any]]


def _sound() -> Rows:
    """100 train, 60 validation and 60 test images of two labels, no two alike; size and shape tell no label."""
    splits = ["train"] * 100 + ["validation"] * 60 + ["test"] * 60
    return [row(f"{split}/{'AB'[i % 2]}/{i}.jpeg", "AB"[i % 2], split=split) for i, split in enumerate(splits)]


def _report(rows: Rows, **header: Any) -> CheckReport:
    return check(manifest_of(rows, **{"near_duplicates": True} | header))


def _found(report: CheckReport, rule: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.rule == rule]


def test_sound_data_has_no_findings_but_the_floor() -> None:
    report = _report(_sound())
    assert [finding.rule for finding in report.findings] == ["shortcut-floor"]
    assert report.ok
    assert report.counts["test"] == {"A": 30, "B": 30}
    assert report.patients == {"train": 100, "validation": 60, "test": 60}


def _one_label(rows: Rows) -> None:
    for entry in rows:
        entry["label"] = "A"


def _no_train(rows: Rows) -> None:
    del rows[:100]


def _rare_label(rows: Rows) -> None:
    rows += [row(f"train/C/{i}.jpeg", "C") for i in range(9)]


def _lopsided(rows: Rows) -> None:
    rows += [row(f"train/C/{i}.jpeg", "C") for i in range(5051)]


def _near(*places: int, label: str = "") -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        for place in places:
            rows[place].update(duplicate_group="near:0123456789abcdef")
        if label:
            rows[places[-1]].update(label=label)

    return change


def _same_bytes(*places: int) -> Callable[[Rows], None]:
    return lambda rows: [rows[place].update(sha256=rows[places[0]]["sha256"]) for place in places]  # type: ignore[return-value]


def _of_the_release(rows: Rows) -> None:
    for number, entry in enumerate(rows):
        label = "NORMAL" if entry["label"] == "A" else "PNEUMONIA"
        name = f"IM-{number:04}-0001.jpeg" if label == "NORMAL" else f"person{number}_virus_{number}.jpeg"
        entry.update(path=f"{entry['split']}/{label}/{name}", label=label)


def _with_another_test(rows: Rows) -> None:
    """All images of the release, 100 of test moved to validation, as one of the ancestors did."""
    counts = {"train": (1341, 3875), "validation": (58, 58), "test": (184, 340)}
    rows.clear()
    for split, sizes in counts.items():
        for label, size in zip(("NORMAL", "PNEUMONIA"), sizes, strict=True):
            names = ("IM-{}-1.jpeg" if label == "NORMAL" else "person{0}_virus_{0}.jpeg" for _ in range(size))
            rows += [
                row(f"{split}/{label}/{name.format(len(rows) + i)}", label, split=split) for i, name in enumerate(names)
            ]


#: Rule -> how to break sound rows so that it fires.
BREAKS: dict[str, Callable[[Rows], object]] = {
    "one-label": _one_label,
    "vertex-label-spelling": lambda rows: rows[0].update(label="2nd stage"),
    "patient-in-two-splits": lambda rows: [rows[0].update(patient="p"), rows[-1].update(patient="p")],
    "bytes-in-two-splits": _same_bytes(0, -2),
    "near-duplicate-in-two-splits": _near(0, -2),
    "bytes-under-two-labels": _same_bytes(0, 1),
    "near-duplicates-under-two-labels": _near(0, 1),
    "near-duplicates": _near(0, 2),
    "repeated-images": _same_bytes(0, 2),
    "vertex-few-images": _rare_label,
    "imbalance": _lopsided,
    "vertex-imbalance": _lopsided,
    "train-split": _no_train,
    "validation-split": lambda rows: rows.__delitem__(slice(100, 120)),
    "sagemaker-channels": lambda rows: rows.__delitem__(slice(100, 160)),
    "test-split": lambda rows: rows.__delitem__(slice(160, 220)),
    "label-missing-in-split": lambda rows: [entry.update(label="B") for entry in rows if entry["split"] == "test"],
    "vertex-format": lambda rows: rows[0].update(path="train/A/0.tiff"),
    "vertex-size": lambda rows: rows[0].update(size=31 * 1024 * 1024),
    "vertex-online-size": lambda rows: rows[0].update(size=1_600_000),
    "sagemaker-format": lambda rows: rows[0].update(path="train/A/0.gif", format="GIF"),
    "unused-images": lambda rows: rows[0].update(split=""),
    "published-counts": _of_the_release,
    "published-test-changed": _with_another_test,
    "patient-in-two-splits-otherwise": lambda rows: [
        rows[0].update(path="train/A/person1_bacteria_1.jpeg", patient="person-bacterial-1"),
        rows[-1].update(path="test/B/person1_virus_2.jpeg", patient="person-viral-1"),
    ],
}
#: Rule -> a header under which it fires.
HEADERS: dict[str, dict[str, Any]] = {
    "from-listing": {"root": "gs://bucket/xrays"},
    "not-decoded": {"decoded": False},
    "near-duplicates-unknown": {"near_duplicates": False},
    "resealed": {"resealed": "2026-11-20T12:00:00+00:00"},
}
#: The rules for which data is worthless, whoever trains on it.
FATAL = {
    "one-label",
    "patient-in-two-splits",
    "bytes-in-two-splits",
    "near-duplicate-in-two-splits",
    "bytes-under-two-labels",
    "train-split",
}
#: Rules that need more rows than a unit test should have; tested below in another way.
LARGE = {"vertex-totals"}


def test_every_rule_is_tested_here() -> None:
    assert {rule.id for rule in RULES} == set(BREAKS) | set(HEADERS) | LARGE


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.id in BREAKS], ids=lambda rule: rule.id)
def test_a_rule_fires_on_what_it_is_for(rule: Any) -> None:
    rows = _sound()
    BREAKS[rule.id](rows)
    report = _report(rows)
    found = _found(report, rule.id)
    assert len(found) == 1
    assert found[0].severity == rule.severity
    assert found[0].fix
    assert report.ok == (rule.id not in FATAL)
    assert not _found(_report(_sound()), rule.id)


def test_what_only_a_service_refuses_is_a_warning_under_its_name() -> None:
    rows = _sound()
    for rule in ("vertex-label-spelling", "vertex-few-images", "vertex-format", "vertex-size", "sagemaker-format"):
        BREAKS[rule](rows)
    report = _report(rows)
    assert report.ok
    services = {finding.rule for finding in report.warnings if finding.rule.startswith(("vertex-", "sagemaker-"))}
    assert services >= {"vertex-label-spelling", "vertex-few-images", "vertex-size", "sagemaker-format"}
    assert "Vertex AI" in _found(report, "vertex-few-images")[0].message


@pytest.mark.parametrize("rule", ["other-file", "outside-layout"])
def test_what_nobody_can_mend_does_not_fail_a_strict_check(rule: str) -> None:
    """Also for a manifest that was scanned when this was a warning."""
    report = _report(_sound(), problems=(Problem(rule, "A/notes.txt", "not an image", "warning"),))
    assert [finding.severity for finding in _found(report, rule)] == ["note"]
    assert not report.failing(strict=True)


def test_imbalance_fails_a_strict_check_only_where_vertex_minds() -> None:
    mild = [*_sound(), *(row(f"train/A/more{i}.jpeg", "A") for i in range(500))]
    assert not _report(mild).failing(strict=True)
    assert [finding.severity for finding in _found(_report(mild), "imbalance")] == ["note"]
    grave = _sound()
    _lopsided(grave)
    assert "vertex-imbalance" in {finding.rule for finding in _report(grave).failing(strict=True)}


def test_an_accepted_warning_stays_in_the_report_and_fails_nothing() -> None:
    rows = _sound()
    _near(0, 1)(rows)
    BREAKS["vertex-size"](rows)
    manifest = manifest_of(rows, near_duplicates=True)
    assert {one.rule for one in check(manifest).failing(strict=True)} == {
        "near-duplicates-under-two-labels",
        "vertex-size",
    }
    report = check(manifest, accept=["near-duplicates-under-two-labels"])
    assert [one.rule for one in report.failing(strict=True)] == ["vertex-size"]
    assert [(one.rule, one.severity) for one in report.accepted] == [("near-duplicates-under-two-labels", "warning")]
    assert [one.rule for one in report.findings][:2] == ["vertex-size", "near-duplicates-under-two-labels"]


@pytest.mark.parametrize("rule", [*sorted(FATAL), "broken-image", "image-missing"])
def test_an_error_cannot_be_accepted(rule: str) -> None:
    with pytest.raises(UsageError, match="is an error"):
        check(manifest_of(_sound()), accept=[rule])


def test_a_rule_that_there_is_not_cannot_be_accepted_and_the_choices_are_named() -> None:
    with pytest.raises(UsageError, match="no rule 'vertex-colour'") as caught:
        check_acceptable(["cmyk", "vertex-colour"])
    named = set(str(caught.value.hint).removeprefix("choose from: ").split(", "))
    mild = {rule.id for rule in (*RULES, *SCAN_RULES.values()) if rule.severity != "error"}
    assert named == mild | {"shortcut", "shortcut-floor"}
    check_acceptable(named)


def test_images_in_no_split_are_tied_to_test_only_where_they_are() -> None:
    rows = _sound()
    for entry in rows[:3]:
        entry["split"] = ""
    assert [one.message for one in _found(_report(rows), "unused-images")] == ["3 images in no split"]
    rows[0].update(patient="p")
    rows[-1].update(patient="p")
    _near(1, -2)(rows)
    (told,) = _found(_report(rows), "unused-images")
    assert told.message == "3 images in no split (the patients or duplicates of 2 of them also occur in test)"
    del rows[2]
    (told,) = _found(_report(rows), "unused-images")
    assert told.message == "2 images in no split (the patients or duplicates also occur in test)"


@pytest.mark.parametrize("rule", HEADERS)
def test_how_the_manifest_was_made_is_said_and_fails_nothing(rule: str) -> None:
    rows = manifest_of(_sound()).frame
    report = check(new_manifest(rows, ManifestHeader(**{"root": "images", "near_duplicates": True} | HEADERS[rule])))
    assert [finding.severity for finding in _found(report, rule)] == ["note"]
    assert report.ok
    assert not report.warnings


def test_more_labels_than_vertex_takes() -> None:
    rows = [row(f"train/L{i}/{i}.jpeg", f"L{i}") for i in range(5001)]
    assert ["5,001 labels" in finding.message for finding in _found(_report(rows), "vertex-totals")] == [True]


def test_no_validation_split_at_all_is_told() -> None:
    rows = [entry for entry in _sound() if entry["split"] != "validation"]
    assert [finding.message for finding in _report(rows).warnings] == [
        "there is no validation split to choose a model or a threshold on"
    ]


def test_a_tiny_validation_folder_says_what_one_image_is_worth() -> None:
    rows = [entry for entry in _sound() if entry["split"] != "validation"]
    rows += [row(f"validation/{label}/{i}.jpeg", label, split="validation") for label in "AB" for i in range(8)]
    (found,) = _found(_report(rows), "validation-split")
    assert "one image is 6.2 percentage points" in found.message


def test_a_repeat_within_a_label_and_split_is_only_a_note() -> None:
    rows = _sound()
    _same_bytes(0, 2, 4)(rows)
    report = _report(rows)
    assert [finding.message for finding in _found(report, "repeated-images")] == [
        "2 byte-identical repeats; Vertex AI drops all but the first"
    ]
    assert not report.errors + report.warnings


@pytest.mark.parametrize("known", ["md5", "crc32c"], ids=["from-s3", "from-cloud-storage"])
def test_equal_bytes_are_found_in_a_listing_without_sha256(known: str) -> None:
    """S3 lists md5, Cloud Storage crc32c (which is short: the size must agree, too)."""
    rows = _sound()
    for number, entry in enumerate(rows):
        blank = {"sha256": "", "md5": "", "crc32c": "", "width": 0, "height": 0, "mode": "", "format": ""}
        entry.update(blank | {known: f"{number:032x}" if known == "md5" else f"{number:06d}=="})
    assert not _report(rows).errors
    rows[-2].update({known: rows[0][known]})
    assert [finding.rule for finding in _report(rows).errors] == ["bytes-in-two-splits"]


def test_unknown_checksums_are_no_duplicates() -> None:
    rows = [entry | {"sha256": "", "md5": "", "crc32c": ""} for entry in _sound()]
    assert not _report(rows).errors


def test_near_duplicates_under_two_labels_are_suspects_and_no_error() -> None:
    rows = _sound()
    _near(0, 1)(rows)
    report = _report(rows)
    assert report.ok
    assert [finding.rule for finding in report.warnings] == ["near-duplicates-under-two-labels"]


def test_findings_come_worst_first() -> None:
    rows = _sound()
    for break_it in (_rare_label, _same_bytes(0, 2), _same_bytes(20, 21), _near(10, 11)):
        break_it(rows)
    severities = [finding.severity for finding in _report(rows).findings]
    assert severities == sorted(severities, key=("error", "warning", "note").index)
    assert set(severities) == {"error", "warning", "note"}


def test_problems_of_the_scan_are_findings_with_their_fix_errors_first() -> None:
    problems = (
        Problem("junk", "A/.DS_Store", "a leftover", "warning"),
        Problem("broken-image", "A/x.jpeg", "does not decode: cut", "error"),
        Problem("broken-image", "A/y.jpeg", "does not decode: cut", "error"),
    )
    report = _report(_sound(), problems=problems)
    assert [(finding.rule, finding.severity) for finding in report.findings][:2] == [
        ("broken-image", "error"),
        ("junk", "note"),
    ]
    assert report.findings[0].examples == ("A/x.jpeg", "A/y.jpeg")
    assert not report.ok


def test_a_report_of_another_tools_problem_is_kept() -> None:
    manifest: Manifest = manifest_of(_sound(), problems=(Problem("new-rule", "x", "y", "warning"),))
    assert check(manifest).findings[0].rule == "new-rule"


def test_a_manifest_without_rows_is_refused() -> None:
    with pytest.raises(InputError, match="has no images"):
        check(manifest_of([]))
