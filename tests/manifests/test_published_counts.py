"""Known releases: recognised by name, compared with the published table, and parts of them called parts."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest
from manifest_rows import manifest_of, row

from cxr.manifests.check import Finding, check
from cxr.manifests.check.published import KAGGLE, MENDELEY, PublishedSet, known_release
from cxr.manifests.manifest import Manifest, Problem, SplitPolicy
from cxr.manifests.patients.keys import patient_of

Counts = Mapping[str, Mapping[str, int]]


def _manifest(counts: Counts, *, kaggle: bool = True, **header: object) -> Manifest:
    rows = []
    for split, labels in counts.items():
        for label, size in labels.items():
            for _ in range(size):
                number = len(rows)
                if kaggle:
                    name = f"IM-{number}-0001" if label == "NORMAL" else f"person{number}_bacteria_{number}"
                else:
                    name = f"{'NORMAL' if label == 'NORMAL' else 'BACTERIA'}-{number}-0001"
                used = "" if split == "unused" else split
                rows.append(row(f"{split}/{label}/{name}.jpeg", label, split=used))
    return manifest_of(rows, near_duplicates=True, **header)


def _told(manifest: Manifest) -> list[Finding]:
    return [finding for finding in check(manifest).findings if finding.rule.startswith("published")]


@pytest.mark.parametrize("release", [KAGGLE, MENDELEY], ids=["kaggle", "mendeley"])
def test_the_published_table_adds_up_to_the_published_total(release: PublishedSet) -> None:
    assert release.images == 5856
    assert release.pool == {"NORMAL": 1349, "PNEUMONIA": 3883}
    assert release.counts["test"] == {"NORMAL": 234, "PNEUMONIA": 390}


@pytest.mark.parametrize("release", [KAGGLE, MENDELEY], ids=["kaggle", "mendeley"])
def test_a_whole_release_is_recognised_and_said_to_agree(release: PublishedSet) -> None:
    manifest = _manifest(release.counts, kaggle=release is KAGGLE)
    assert known_release(manifest) is release
    (told,) = _told(manifest)
    assert told.severity == "note"
    assert told.message.startswith(f"the counts are those of the {release.name}: train 1,34")


def test_after_a_grouped_split_pool_and_test_still_agree() -> None:
    counts = {
        "train": {"NORMAL": 1214, "PNEUMONIA": 3490},
        "validation": {"NORMAL": 135, "PNEUMONIA": 383},
        "unused": {"PNEUMONIA": 10},
        "test": {"NORMAL": 234, "PNEUMONIA": 390},
    }
    (told,) = _told(_manifest(counts, split_policy=SplitPolicy("grouped", 0.1, seed=7)))
    assert "counts (train and validation together, and test) are those" in told.message


def test_a_part_says_which_counts_differ_and_that_it_is_not_comparable() -> None:
    counts = {"train": {"NORMAL": 200, "PNEUMONIA": 300}, "test": {"NORMAL": 234, "PNEUMONIA": 100}}
    (told,) = _told(_manifest(counts))
    assert told.severity == "note"
    assert "834 of 5,856 images" in told.message
    assert "NORMAL in train and validation 200 instead of 1,349" in told.message
    assert "PNEUMONIA in test 100 instead of 390" in told.message
    assert "NORMAL in test" not in told.message
    assert "not comparable with published ones" in told.message


def test_test_images_moved_to_validation_are_a_warning() -> None:
    """100 test images were moved by one of the ancestors, who then reported 84.5 % on 524."""
    moved = {
        "train": {"NORMAL": 1341, "PNEUMONIA": 3875},
        "validation": {"NORMAL": 58, "PNEUMONIA": 58},
        "test": {"NORMAL": 184, "PNEUMONIA": 340},
    }
    (told,) = _told(_manifest(moved))
    assert (told.rule, told.severity) == ("published-test-changed", "warning")
    assert "test has 524 instead of the published 624" in told.message


def test_counters_that_count_leftovers_are_explained() -> None:
    """Naive tools report 1342/3876/9/9 for the Kaggle folders."""
    junk = tuple(Problem("junk", f"train/{label}/.DS_Store", "a leftover", "note") for label in ("NORMAL", "PNEUMONIA"))
    (told,) = _told(_manifest(KAGGLE.counts, problems=junk))
    assert "2 leftovers of a desktop (.DS_Store) in the folders are not counted here" in told.message


@pytest.mark.parametrize(
    "manifest",
    [
        manifest_of([row(f"train/{label}/{i}.png", label) for label in ("NORMAL", "PNEUMONIA") for i in range(9)]),
        manifest_of([row(f"train/{label}/IM-{i}-1.jpeg", label) for label in ("NORMAL", "TB") for i in range(9)]),
    ],
    ids=["other-names", "other-labels"],
)
def test_other_data_is_compared_with_nothing(manifest: Manifest) -> None:
    assert known_release(manifest) is None
    assert _told(manifest) == []


@pytest.fixture(scope="module")
def listed(kermany_listing: Path) -> Manifest:
    """The full Kaggle release by its file names, as a listing without checksums would give it."""
    rows = []
    with kermany_listing.open(newline="") as stream:
        for entry in csv.DictReader(stream):
            split = "validation" if entry["split"] == "val" else entry["split"]
            path = f"{entry['split']}/{entry['label']}/{entry['file_name']}"
            patient = patient_of(path)
            group = f"same:{entry['duplicate_group']}" if entry["duplicate_group"] else ""
            blank = {"sha256": "", "md5": "", "crc32c": "", "size": 0, "width": 0, "height": 0}
            rows.append(
                row(path, entry["label"], split=split, patient=patient.key, duplicate_group=group, **blank)
                | {"etiology": patient.etiology}
            )
    return manifest_of(rows, near_duplicates=True)


def test_the_full_listing_agrees_with_the_published_counts(listed: Manifest) -> None:
    (told,) = _told(listed)
    assert told.message.startswith("the counts are those of the Kaggle release of Kermany 2018: train 1,341/3,875")


def test_the_full_listing_leaks_nobody_and_tells_the_other_reading_in_one_sentence(listed: Manifest) -> None:
    report = check(listed)
    assert report.ok
    assert [(one.reading, len(one.shared), one.right_patients) for one in report.overlaps] == [
        ("etiology+number", 0, 203),
        ("number", 170, 202),
    ]
    (told,) = [finding for finding in report.findings if finding.rule == "patient-in-two-splits-otherwise"]
    assert told.severity == "note"
    assert "170 of 202 in test also in train" in told.message
    assert "numbers bacterial and viral patients apart" in told.message


def test_the_full_listing_has_32_repeats_and_none_across_splits_or_labels(listed: Manifest) -> None:
    rules = {finding.rule: finding for finding in check(listed).findings}
    assert rules["repeated-images"].message.startswith("32 byte-identical repeats")
    assert not {"bytes-in-two-splits", "bytes-under-two-labels"} & set(rules)
