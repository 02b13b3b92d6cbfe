"""Golden facts of the published release (Kermany et al., Cell 172, 2018; the Kaggle layout), tested by name alone."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from manifest_rows import manifest_of, row

from cxr.manifests.check import check
from cxr.manifests.manifest import Manifest
from cxr.manifests.patients import patient_of, patient_overlap
from cxr.manifests.split import group_keys, make_validation

SPLITS = {"train": "train", "val": "validation", "test": "test"}


def _read(listing: Path, reading: str) -> Manifest:
    rows = []
    with listing.open(newline="") as stream:
        for entry in csv.DictReader(stream):
            path = f"{entry['split']}/{entry['label']}/{entry['file_name']}"
            patient = patient_of(path, reading)
            group = entry["duplicate_group"]
            others = {"sha256": f"same-{group}"} if group else {}
            rows.append(
                row(
                    path,
                    entry["label"],
                    split=SPLITS[entry["split"]],
                    patient=patient.key,
                    etiology=patient.etiology,
                    duplicate_group=group,
                    **others,
                )
            )
    return manifest_of(rows, patient_key=reading)


@pytest.fixture(scope="module")
def release(kermany_listing: Path) -> Manifest:
    """The full release by the default reading."""
    return _read(kermany_listing, "etiology+number")


@pytest.fixture(scope="module")
def release_by_number(kermany_listing: Path) -> Manifest:
    """The full release by number alone."""
    return _read(kermany_listing, "number")


def test_counts_are_the_published_ones(release: Manifest) -> None:
    assert release.header.images == 5856
    assert release.header.counts == {
        "train": {"NORMAL": 1341, "PNEUMONIA": 3875},
        "test": {"NORMAL": 234, "PNEUMONIA": 390},
        "validation": {"NORMAL": 8, "PNEUMONIA": 8},
    }


def test_etiologies_are_the_published_ones(release: Manifest) -> None:
    counts = release.frame.groupby(["split", "etiology"]).size()
    assert [counts["train", kind] for kind in ("bacterial", "viral")] == [2530, 1345]
    assert [counts["test", kind] for kind in ("bacterial", "viral")] == [242, 148]
    assert counts["validation", "bacterial"] == 8
    assert ("validation", "viral") not in counts


def test_every_name_is_parsed(release: Manifest) -> None:
    assert [path for path in release.frame["path"] if not patient_of(path).known] == []


def test_170_of_202_test_numbers_are_in_train_by_number_and_none_with_the_etiology(release: Manifest) -> None:
    train, test = release.split("train")["path"], release.split("test")["path"]
    by_number = patient_overlap(train, test, "number", ("train", "test"))
    assert (len(by_number.shared), by_number.right_patients) == (170, 202)
    assert patient_overlap(train, test, "etiology+number", ("train", "test")).shared == ()


def test_test_has_428_patients(release: Manifest) -> None:
    assert release.split("test")["patient"].nunique() == 428


def test_30_duplicate_groups_none_across_splits_or_labels(release: Manifest) -> None:
    copies = release.frame[release.frame["duplicate_group"] != ""].groupby("duplicate_group")
    assert copies.ngroups == 30
    assert set(copies["split"].nunique()) == {1}
    assert set(copies["label"].nunique()) == {1}
    surplus = copies["split"].agg(["first", "size"])
    assert int((surplus["size"] - 1)[surplus["first"] == "train"].sum()) == 26


def test_check_tells_both_readings_and_finds_no_error(release: Manifest) -> None:
    report = check(release)
    assert report.ok
    assert [len(overlap.shared) for overlap in report.overlaps] == [0, 170]
    told = next(finding for finding in report.findings if finding.rule == "patient-in-two-splits-otherwise")
    assert "170 of 202 in test also in train" in told.message


def test_check_by_number_calls_the_overlap_an_error_and_a_split_removes_it(release_by_number: Manifest) -> None:
    assert "patient-in-two-splits" in {finding.rule for finding in check(release_by_number).errors}
    split = make_validation(release_by_number)
    assert check(split).ok
    assert split.header.counts["test"] == {"NORMAL": 234, "PNEUMONIA": 390}
    assert split.header.counts["unused"]["PNEUMONIA"] > 0


def test_a_split_of_the_release_keeps_test_and_proportions(release: Manifest) -> None:
    split = make_validation(release)
    assert split.header.counts["test"] == release.header.counts["test"]
    assert "unused" not in split.header.counts
    validation = split.split("validation")
    for kind, pool in (("bacterial", 2538), ("viral", 1345), ("", 1349)):
        assert abs((validation["etiology"] == kind).sum() - 0.1 * pool) < 15
    groups = group_keys(split.frame)
    assert split.frame.groupby(groups)["split"].nunique().max() == 1
