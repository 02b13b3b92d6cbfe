"""The scan: layouts recognised, facts read from the bytes, what cannot be a data set refused."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from pathlib import Path

import google_crc32c
import pandas as pd
import pytest
from manifest_pictures import make_folder, picture, put
from scanned import KAGGLE, rules_of

from cxr.errors import InputError, UsageError
from cxr.manifests.scan.folder import scan, scan_with_record
from cxr.manifests.scan.image_file import Reading, read_image_file
from cxr.manifests.scan.layout import Place
from cxr.manifests.scan.record import ScanRecord, frame_of, row_of
from cxr.manifests.scan.tree import TreeFile


def test_the_kaggle_layout_gives_splits_labels_patients_and_etiologies(tmp_path: Path) -> None:
    rows = scan(make_folder(tmp_path, KAGGLE)).frame.set_index("path")
    assert list(rows["split"]) == ["test", "train", "train", "train", "validation"]
    assert rows.loc[KAGGLE[2], ["label", "etiology", "patient"]].tolist() == ["PNEUMONIA", "viral", "person-viral-1"]
    assert rows.loc[KAGGLE[3], ["label", "etiology", "patient"]].tolist() == ["NORMAL", "", "NORMAL2-IM-3"]


def test_size_checksums_and_pixels_are_those_of_the_bytes(tmp_path: Path) -> None:
    data = picture(5, size=(31, 17))
    put(tmp_path, "A/x.jpeg", data)
    put(tmp_path, "B/y.png", picture(6, format="PNG"))
    first = scan(tmp_path).frame.iloc[0]
    assert (first["width"], first["height"], first["size"]) == (31, 17, len(data))
    assert first["sha256"] == hashlib.sha256(data).hexdigest()
    assert first["crc32c"] == base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


@pytest.mark.parametrize("wrapper", ["", "chest_xray/", "archive/chest_xray/"])
@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "VALID", "Test"), ("TRAIN", "validation", "TEST")]
)
def test_split_folders_are_recognised_by_many_names_and_inside_wrappers(
    tmp_path: Path, wrapper: str, names: tuple[str, str, str]
) -> None:
    make_folder(tmp_path, [f"{wrapper}{name}/{label}/{name}{label}.png" for name in names for label in "AB"])
    manifest = scan(tmp_path)
    assert {split: sum(labels.values()) for split, labels in manifest.header.counts.items()} == {
        "train": 2,
        "validation": 2,
        "test": 2,
    }
    assert manifest.root == (tmp_path / wrapper).resolve()


def test_a_folder_of_labels_is_all_train(tmp_path: Path) -> None:
    manifest = scan(make_folder(tmp_path, ["cat/1.jpeg", "cat/deep/2.jpeg", "dog/3.jpeg"]))
    assert manifest.header.counts == {"train": {"cat": 2, "dog": 1}}
    assert manifest.frame["patient"].is_unique


def test_the_copy_inside_the_kaggle_archive_is_left_out_and_told(tmp_path: Path) -> None:
    make_folder(tmp_path, [*KAGGLE, *(f"chest_xray/{name}" for name in KAGGLE)])
    manifest = scan(tmp_path)
    assert manifest.header.images == len(KAGGLE)
    assert rules_of(manifest.header.problems) == {"chest_xray": "outside-layout"}


def test_wrapping_a_folder_does_not_change_the_hash(tmp_path: Path) -> None:
    plain = scan(make_folder(tmp_path / "a", KAGGLE))
    wrapped = scan(make_folder(tmp_path / "b", [f"chest_xray/{name}" for name in KAGGLE]))
    assert sorted(plain.frame["path"]) == sorted(wrapped.frame["path"])
    assert wrapped.hash == plain.hash


def test_same_bytes_share_a_duplicate_group(tmp_path: Path) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    put(tmp_path, "A/3.jpeg", picture(0))
    groups = scan(tmp_path).frame.set_index("path")["duplicate_group"]
    assert groups["A/1.jpeg"] == groups["A/3.jpeg"] != ""
    assert groups["B/2.jpeg"] == ""


def test_what_changes_after_it_was_listed_has_the_size_that_was_read_and_is_read_again(tmp_path: Path) -> None:
    data = picture(7)
    path = put(tmp_path, "x.jpeg", data)
    os.utime(path, (1.7e9, 1.7e9))
    status = path.stat()
    times = (status.st_mtime_ns, status.st_ino)
    shorter, whole = (TreeFile("x.jpeg", Place("train", "A"), size, *times) for size in (100, len(data)))
    for listed, reused in ((shorter, False), (whole, True)):
        frame = frame_of([row_of(listed, *read_image_file(path, "x.jpeg", listed.size, Reading()))])
        assert frame["size"].tolist() == [len(data)]
        now = pd.DataFrame({"path": ["x.jpeg"], "size": [len(data)], "mtime_ns": times[:1], "inode": times[1:]})
        record = ScanRecord(tmp_path, Reading(), time.time_ns(), frame)
        assert (record.unchanged(now) >= 0).tolist() == [reused]


def test_what_lies_beside_the_wrapper_folder_is_told(tmp_path: Path) -> None:
    make_folder(tmp_path, ["set/train/A/1.jpeg", "set/train/B/2.jpeg", "more/x.jpeg"])
    (tmp_path / "__MACOSX").mkdir()
    assert {path: rule for path, rule in rules_of(scan(tmp_path).header.problems).items() if path.startswith("..")} == {
        "../more": "outside-layout",
        "../__MACOSX": "junk",
    }


def test_files_of_any_date_can_be_scanned_twice(tmp_path: Path) -> None:
    make_folder(tmp_path, ["A/2413.jpeg", "A/1938.jpeg", "B/2.jpeg"])
    try:
        os.utime(tmp_path / "A" / "2413.jpeg", (1.4e10, 1.4e10))
        os.utime(tmp_path / "A" / "1938.jpeg", (-1e9, -1e9))
        os.utime(tmp_path / "B" / "2.jpeg", (1.7e9, 1.7e9))
    except (OSError, OverflowError):
        pytest.skip("this file system has no such dates")
    first = scan_with_record(tmp_path)
    again = scan_with_record(tmp_path, earlier=first.record)
    assert (again.reused, again.manifest.hash) == (2, first.manifest.hash)


def test_unknown_names_are_told_once_with_their_number(tmp_path: Path) -> None:
    manifest = scan(make_folder(tmp_path, ["A/1.jpeg", "A/2.jpeg", "B/IM-1-1.jpeg"]))
    told = [problem for problem in manifest.header.problems if problem.rule == "unknown-patient"]
    assert [problem.message.split("; ")[0] for problem in told] == [
        "the patient key etiology+number tells no patient for 2 of 3 images"
    ]


def test_a_missing_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        scan(tmp_path / "nowhere")


def test_a_file_in_place_of_a_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a file, not a folder"):
        scan(put(tmp_path, "x.zip", b"PK"))


def test_a_folder_without_a_usable_image_is_bad_input_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no usable image"):
        scan(tmp_path)
    for label in "AB":
        put(tmp_path, f"train/{label}/x.jpeg", b"words")
    with pytest.raises(InputError, match=r"train/A/x\.jpeg named \.jpeg"):
        scan(tmp_path)


def test_one_label_only_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one label, 'NORMAL'"):
        scan(make_folder(tmp_path, ["train/NORMAL/1.jpeg", "test/NORMAL/2.jpeg"]))


def test_labels_differing_only_in_case_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'NORMAL'.*'Normal'|'Normal'.*'NORMAL'"):
        scan(make_folder(tmp_path, ["train/NORMAL/1.jpeg", "test/Normal/2.jpeg", "train/SICK/3.jpeg"]))


@pytest.mark.parametrize(
    ("names", "spec", "words"),
    [
        (["A/1.jpeg", "A/2.jpeg"], "number", "all 2 files in .* have one label, 'A'"),
        (["A/1.jpeg", "a/2.jpeg", "B/3.jpeg"], "number", "differ only in case"),
        (["A/1.jpeg", "B/1.jpeg"], "csv:{table}", r"row 2: '1.jpeg' may be A/1.jpeg or B/1.jpeg"),
        (["A/7.jpeg", "B/8.jpeg"], "csv:{table}", "has none of the images: it has '1.jpeg', .* is 'A/7.jpeg'"),
        (["A/7.jpeg", "B/8.jpeg"], r"regex:patient(\d+)", "finds a patient in no image's path, such as A/7.jpeg"),
    ],
    ids=["one-label", "case", "ambiguous", "other-table", "other-expression"],
)
def test_what_the_paths_show_to_be_hopeless_is_told_before_a_file_is_read(
    tmp_path: Path, names: list[str], spec: str, words: str
) -> None:
    table = put(tmp_path, "patients.csv", b"file,patient\n1.jpeg,p1\n")
    read: list[int] = []
    with pytest.raises(InputError, match=words):
        scan(
            make_folder(tmp_path / "set", names),
            patient_key=spec.format(table=table),
            on_progress=lambda done, total, note: read.append(done),
        )
    assert sum(read) == 0


def test_several_data_sets_in_one_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"several data sets.*first, second"):
        scan(make_folder(tmp_path, ["first/train/A/1.jpeg", "second/train/A/2.jpeg"]))


def test_an_unknown_patient_key_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        scan(make_folder(tmp_path, KAGGLE), patient_key="name")


def test_progress_counts_every_file(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    scan(make_folder(tmp_path, KAGGLE), on_progress=lambda done, total, note: seen.append((done, total)))
    assert seen[-1] == (len(KAGGLE), len(KAGGLE))


@pytest.mark.slow
@pytest.mark.xrays
def test_the_real_x_rays_are_all_read(xrays: Path) -> None:
    manifest = scan(xrays)
    if manifest.header.images != 5216:
        pytest.skip("another selection of X-rays")
    assert manifest.header.counts == {
        "train": {"NORMAL": 1133, "PNEUMONIA": 3367},
        "test": {"NORMAL": 200, "PNEUMONIA": 500},
        "validation": {"NORMAL": 8, "PNEUMONIA": 8},
    }
    assert manifest.header.problems == ()
    assert manifest.frame["sha256"].nunique() == 5190
