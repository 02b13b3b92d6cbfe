"""Golden facts of the published release (Kermany et al., Cell 172, 2018; the Kaggle layout), tested by name alone."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from manifest_rows import manifest_of, row
from scanned import Listed

from cxr.manifests.check import check
from cxr.manifests.manifest import Manifest
from cxr.manifests.patients.keys import PATTERNS, READINGS, overlaps, patient_of, patient_reader
from cxr.manifests.scan.listing import scan_listing
from cxr.manifests.splits.split import group_keys, make_validation
from cxr.manifests.tasks import task_view
from cxr.storage import ObjectInfo

SPLITS = {"train": "train", "val": "validation", "test": "test"}


def _read(listing: Path, reading: str) -> Manifest:
    rows = []
    with listing.open(newline="") as stream:
        for entry in csv.DictReader(stream):
            path = f"{entry['split']}/{entry['label']}/{entry['file_name']}"
            patient = patient_of(path, reading)
            group = entry["duplicate_group"]
            digest = hashlib.sha256((group or path).encode()).hexdigest()
            rows.append(
                row(
                    path,
                    entry["label"],
                    split=SPLITS[entry["split"]],
                    patient=patient.key,
                    etiology=patient.etiology,
                    sha256=digest,
                    duplicate_group=f"same:{digest[:16]}" if group else "",
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
    paths = {split: release.split(split)["path"].tolist() for split in ("train", "test")}
    found = [overlaps(paths, reading)[0] for reading in READINGS]
    assert [len(overlap.shared) for overlap in found] == [0, 170]
    assert found[1].right_patients == 202


def test_the_patterns_of_both_releases_do_not_overlap(release: Manifest) -> None:
    for path in release.frame["path"]:
        stem = path.rpartition("/")[2].rpartition(".")[0]
        assert sum(pattern.pattern.fullmatch(stem) is not None for pattern in PATTERNS) == 1


def test_a_person_number_is_one_etiology_by_the_default_reading(release: Manifest, kermany_listing: Path) -> None:
    ill = release.frame[release.frame["label"] == "PNEUMONIA"]
    assert ill.groupby("patient")["etiology"].nunique().max() == 1
    assert _read(kermany_listing, "number").frame.groupby("patient")["etiology"].nunique().max() == 2


def test_a_table_of_the_keys_gives_the_same_patients(release: Manifest, tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    release.frame[["path", "patient"]].to_csv(table, index=False)
    reader = patient_reader(f"csv:{table}")
    read = [reader.read(path) for path in release.frame["path"]]
    assert [patient.key for patient in read] == release.frame["patient"].tolist()
    assert [patient.etiology for patient in read] == release.frame["etiology"].tolist()


def test_three_classes_have_the_published_counts(release: Manifest) -> None:
    view = task_view(release, "three-class")
    assert view.header.counts == {
        "train": {"NORMAL": 1341, "BACTERIAL": 2530, "VIRAL": 1345},
        "test": {"NORMAL": 234, "BACTERIAL": 242, "VIRAL": 148},
        "validation": {"NORMAL": 8, "BACTERIAL": 8},
    }
    assert task_view(view, "binary").header.counts == release.header.counts
    assert view.hash == release.hash


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


def test_train_has_5190_and_test_618_distinct_files(release: Manifest) -> None:
    distinct = release.frame.groupby("split")["sha256"].nunique()
    assert (distinct["train"], distinct["test"]) == (5190, 618)


def test_image_counters_run_monotone_within_each_etiology(release: Manifest) -> None:
    # So patient numbers were given out per etiology: one number under two etiologies is two children.
    names = release.frame["path"].str.extract(
        r"person(?P<patient>[0-9]+)_(?P<etiology>bacteria|virus)_(?P<image>[0-9]+)"
    )
    numbered = names.dropna().astype({"patient": int, "image": int})
    for _, images in numbered.groupby("etiology"):
        of_patient = images.groupby("patient")["image"].agg(["min", "max"]).sort_index()
        assert (of_patient["max"].to_numpy()[:-1] < of_patient["min"].to_numpy()[1:]).all()


def test_a_random_split_of_the_images_puts_two_in_five_test_patients_into_train(release: Manifest) -> None:
    shares = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(release.frame))
        patients = release.frame["patient"].to_numpy()[order]
        tenth = len(patients) // 10
        test, train = patients[:tenth], set(patients[2 * tenth :])
        shares.append(np.mean([patient in train for patient in test]))
    assert 0.35 < np.mean(shares) < 0.55


def test_leftovers_of_a_desktop_are_not_counted_as_images(kermany_listing: Path) -> None:
    # Tools that list the folders count 1342/3876 in train and 9/9 in val.
    objects = []
    folders = set()
    with kermany_listing.open(newline="") as stream:
        for number, entry in enumerate(csv.DictReader(stream)):
            folder = f"{entry['split']}/{entry['label']}"
            folders.add(folder)
            objects.append(ObjectInfo(f"{folder}/{entry['file_name']}", 1000 + number, "AAAAAA=="))
    leftovers = [ObjectInfo(f"{folder}/.DS_Store", 6148, "BBBBBB==") for folder in folders if "test" not in folder]
    made = scan_listing(Listed([*objects, *leftovers]))
    naive = Counter(found.name.rpartition("/")[0] for found in [*objects, *leftovers])
    assert (naive["train/NORMAL"], naive["train/PNEUMONIA"], naive["val/NORMAL"]) == (1342, 3876, 9)
    assert made.header.counts["train"] == {"NORMAL": 1341, "PNEUMONIA": 3875}
    assert made.header.counts["validation"] == {"NORMAL": 8, "PNEUMONIA": 8}
    assert sum(found.rule == "junk" for found in made.header.problems) == 4
