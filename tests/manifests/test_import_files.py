"""Import files of every format: what the services document, whole rows in parts, labels with a way back."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifest_rows import manifest_of, row

from cxr.errors import Fault, InputError, NotAllowed, UsageError
from cxr.manifests.import_files import (
    FORMATS,
    MAX_PARTS,
    ImportFormat,
    check_read_back,
    older_files,
    plan_import,
    read_import_rows,
    write_import_files,
)
from cxr.manifests.labels import read_label_mapping
from cxr.manifests.manifest import Manifest
from cxr.manifests.tasks import task_view

SPLITS = ("train", "validation", "test", "")


@pytest.fixture
def manifest() -> Manifest:
    """Two labels in every split, and two images of none."""
    rows = [
        row(f"{split or 'none'}/{label}/{n}.jpeg", label, split=split)
        for n, split in enumerate(SPLITS)
        for label in ("NORMAL", "viral pneumonia")
    ]
    return manifest_of(rows)


def _url(format: ImportFormat) -> str:
    return f"{FORMATS[format].scheme}bucket/images"


def _name(format: ImportFormat) -> str:
    return f"import{FORMATS[format].suffix}"


def test_automl_vision_rows_are_train_validation_test_and_never_unassigned(tmp_path: Path, manifest: Manifest) -> None:
    plan = plan_import(manifest, "gs://b/i", ImportFormat.AUTOML_VISION_CSV, labels_as_is=False)
    write_import_files(plan, tmp_path / "import.csv")
    with (tmp_path / "import.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["TEST", "gs://b/i/test/NORMAL/2.jpeg", "NORMAL"],
        ["TEST", "gs://b/i/test/viral pneumonia/2.jpeg", "viral_pneumonia"],
        ["TRAIN", "gs://b/i/train/NORMAL/0.jpeg", "NORMAL"],
        ["TRAIN", "gs://b/i/train/viral pneumonia/0.jpeg", "viral_pneumonia"],
        ["VALIDATION", "gs://b/i/validation/NORMAL/1.jpeg", "NORMAL"],
        ["VALIDATION", "gs://b/i/validation/viral pneumonia/1.jpeg", "viral_pneumonia"],
    ]
    assert plan.left_out == 2


def test_automl_labels_have_at_most_32_characters() -> None:
    manifest = manifest_of([row("1.jpeg", "x" * 33), row("2.jpeg", "B")])
    with pytest.raises(InputError, match="at most 32"):
        plan_import(manifest, "gs://b/i", ImportFormat.AUTOML_VISION_CSV)
    plan_import(manifest, "gs://b/i", ImportFormat.CSV)
    plan = plan_import(manifest, "gs://b/i", ImportFormat.AUTOML_VISION_CSV, labels_as_is=False)
    assert plan.labels.changed == {"x" * 33: "x" * 32}


def test_an_lst_file_a_split_with_unique_numbers_classes_from_0_and_relative_paths(
    tmp_path: Path, manifest: Manifest
) -> None:
    plan = plan_import(manifest, "s3://b/i", ImportFormat.SAGEMAKER_LST)
    written = write_import_files(plan, tmp_path / "x.lst")
    assert [file.path.name for file in written.files] == ["x-train.lst", "x-validation.lst", "x-test.lst"]
    lines = [line.split("\t") for file in written.files for line in file.path.read_text().splitlines()]
    assert sorted(int(line[0]) for line in lines) == list(range(6))
    assert {(line[1], line[2].split("/")[1]) for line in lines} == {("0", "NORMAL"), ("1", "viral pneumonia")}
    assert lines[0] == ["2", "0", "train/NORMAL/0.jpeg"]
    assert read_label_mapping(tmp_path / "x.lst.labels.json").spellings == {"NORMAL": "0", "viral pneumonia": "1"}


def test_an_augmented_manifest_has_the_documented_keys(tmp_path: Path, manifest: Manifest) -> None:
    plan = plan_import(manifest, "s3://b/i/", ImportFormat.SAGEMAKER_MANIFEST)
    written = write_import_files(plan, tmp_path / "x.manifest")
    assert [file.path.name for file in written.files] == [
        "x-train.manifest",
        "x-validation.manifest",
        "x-test.manifest",
    ]
    item = json.loads((tmp_path / "x-test.manifest").read_text().splitlines()[1])
    when = item["class-metadata"].pop("creation-date")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", when)
    assert item == {
        "source-ref": "s3://b/i/test/viral pneumonia/2.jpeg",
        "class": "1",
        "class-metadata": {
            "class-name": "viral pneumonia",
            "confidence": 0.0,
            "type": "groundtruth/image-classification",
            "job-name": f"cxr-{manifest.hash[:16]}",
            "human-annotated": "yes",
        },
    }


def test_a_class_that_only_one_split_has_keeps_its_number_in_all(tmp_path: Path) -> None:
    manifest = manifest_of([row("1.png", "B"), row("2.png", "A", split="test"), row("3.png", "B", split="test")])
    write_import_files(plan_import(manifest, "s3://b", ImportFormat.SAGEMAKER_LST), tmp_path / "i.lst")
    assert (tmp_path / "i-train.lst").read_text() == "0\t1\t1.png\n"
    assert (tmp_path / "i-test.lst").read_text() == "1\t0\t2.png\n2\t1\t3.png\n"
    assert not (tmp_path / "i-validation.lst").exists()


@pytest.mark.parametrize("format", ImportFormat)
def test_every_format_reads_back_and_is_the_same_again(
    tmp_path: Path, manifest: Manifest, format: ImportFormat
) -> None:
    plan = plan_import(manifest, _url(format), format, labels_as_is=False)
    first = write_import_files(plan, tmp_path / "1" / _name(format))
    again = write_import_files(plan, tmp_path / "2" / _name(format))
    assert [file.path.read_bytes() for file in first.files] == [file.path.read_bytes() for file in again.files]
    assert sum(file.rows for file in first.files) == 6
    for split, file in zip(plan.splits, first.files, strict=False):
        known = split if FORMATS[format].per_split else None
        assert list(read_import_rows(file.path, plan, known)) == list(plan.rows(known))


DIVISIBLE = [format for format in ImportFormat if FORMATS[format].max_bytes]


@pytest.mark.parametrize("format", DIVISIBLE)
@given(limit=st.integers(300, 3000), count=st.integers(1, 25))
def test_parts_are_within_the_limit_and_together_the_whole(
    tmp_path_factory: pytest.TempPathFactory, format: ImportFormat, limit: int, count: int
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    manifest = manifest_of([row(f"é{n}/{'x' * n}.png", "AB"[n % 2]) for n in range(count)])
    plan = plan_import(manifest, _url(format), format)
    whole = "".join(plan.lines()).encode()
    written = write_import_files(plan, folder / _name(format), max_bytes=limit)
    parts = [file.path.read_bytes() for file in written.files]
    assert b"".join(parts) == whole
    assert all(len(part) <= limit and part.endswith(b"\n") for part in parts)
    assert [file.size for file in written.files] == [len(part) for part in parts]
    total, suffix = len(parts), FORMATS[format].suffix
    if total == 1:
        assert len(whole) <= limit
        assert written.files[0].path.name == f"import{suffix}"
    else:
        names = [f"import-{number:05}-of-{total:05}{suffix}" for number in range(1, total + 1)]
        assert [file.path.name for file in written.files] == names
    # No part could have taken the next part's first row.
    heads = [part.split(b"\n")[0] + b"\n" for part in parts[1:]]
    assert all(len(part) + len(head) > limit for part, head in zip(parts, heads, strict=False))


def test_a_limit_below_a_row_or_with_too_many_parts_is_a_usage_error(tmp_path: Path) -> None:
    plan = plan_import(manifest_of([row(f"{n:04}.png", "A") for n in range(MAX_PARTS + 1)]), "gs://b/i")
    with pytest.raises(UsageError, match=r"a row has 29 bytes, more than a file may have"):
        write_import_files(plan, tmp_path / "import.csv", max_bytes=28)
    with pytest.raises(UsageError, match="more than 1,000 files of 29 bytes"):
        write_import_files(plan, tmp_path / "import.csv", max_bytes=29)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", [ImportFormat.SAGEMAKER_LST, ImportFormat.SAGEMAKER_MANIFEST])
def test_what_sagemaker_reads_is_not_divided(tmp_path: Path, manifest: Manifest, format: ImportFormat) -> None:
    plan = plan_import(manifest, "s3://b/i", format)
    with pytest.raises(UsageError, match="cannot be divided"):
        write_import_files(plan, tmp_path / _name(format), max_bytes=10**6)


def test_another_suffix_is_a_usage_error(tmp_path: Path, manifest: Manifest) -> None:
    plan = plan_import(manifest, "gs://b/i", labels_as_is=False)
    with pytest.raises(UsageError, match=r"knows csv files by \.csv"):
        write_import_files(plan, tmp_path / "import.txt")


@pytest.mark.parametrize("format", [ImportFormat.SAGEMAKER_LST, ImportFormat.SAGEMAKER_MANIFEST])
@pytest.mark.parametrize("url", ["gs://b/images", "s3://", "s3:///x", "images"])
def test_sagemaker_reads_from_s3(manifest: Manifest, format: ImportFormat, url: str) -> None:
    with pytest.raises(UsageError, match="is not where SageMaker reads"):
        plan_import(manifest, url, format)


def test_labels_json_tells_the_labels_and_is_kept_up_to_date(tmp_path: Path, manifest: Manifest) -> None:
    plan = plan_import(manifest, "gs://b/i", labels_as_is=False)
    written = write_import_files(plan, tmp_path / "import.csv")
    assert written.labels_file == tmp_path / "import.csv.labels.json"
    mapping = read_label_mapping(tmp_path / "import.csv.labels.json")
    rows = list(read_import_rows(tmp_path / "import.csv", plan))
    assert {mapping.original(found.label) for found in rows} == {"NORMAL", "viral pneumonia"}
    plain = plan_import(manifest_of([row("1.png", "A")]), "gs://b/i")
    assert write_import_files(plain, tmp_path / "import.csv").labels_file is None
    assert read_label_mapping(tmp_path / "import.csv.labels.json").spellings == {"A": "A"}


def test_a_labels_json_of_somebody_else_stays_and_nothing_is_written(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "import.csv.labels.json").write_text('["cat", "dog"]')
    with pytest.raises(InputError, match=r"labels\.json"):
        write_import_files(plan_import(manifest, "gs://b/i", labels_as_is=False), tmp_path / "import.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["import.csv.labels.json"]


def test_files_of_an_earlier_import_are_told(tmp_path: Path, manifest: Manifest) -> None:
    plan = plan_import(manifest, "gs://b/i", labels_as_is=False)
    parts = write_import_files(plan, tmp_path / "import.csv", max_bytes=150)
    (tmp_path / "another.csv").write_text("")
    (tmp_path / "import-00001-of-00002.jsonl").write_text("")
    assert len(parts.files) > 1
    assert older_files(parts) == []
    whole = write_import_files(plan, tmp_path / "import.csv")
    assert older_files(whole) == [file.path for file in parts.files]


def test_a_split_file_of_an_earlier_import_is_told(tmp_path: Path, manifest: Manifest) -> None:
    url = "s3://b/i"
    write_import_files(plan_import(manifest, url, ImportFormat.SAGEMAKER_LST), tmp_path / "import.lst")
    train = manifest_of([row(f"train/{label}/1.png", label) for label in "AB"])
    now = write_import_files(plan_import(train, url, ImportFormat.SAGEMAKER_LST), tmp_path / "import.lst")
    assert [path.name for path in older_files(now)] == ["import-test.lst", "import-validation.lst"]


def test_each_import_has_its_own_way_back(tmp_path: Path, manifest: Manifest) -> None:
    write_import_files(plan_import(manifest, "gs://b/i", labels_as_is=False), tmp_path / "import.csv")
    write_import_files(plan_import(manifest, "s3://b/i", ImportFormat.SAGEMAKER_LST), tmp_path / "import.lst")
    assert read_label_mapping(tmp_path / "import.csv.labels.json").original("viral_pneumonia") == "viral pneumonia"
    assert read_label_mapping(tmp_path / "import.lst.labels.json").original("1") == "viral pneumonia"


@pytest.mark.parametrize("url", ["gs://b//images", "gs://b/x//images", "gs:///images"])
def test_a_url_with_an_empty_part_is_refused(manifest: Manifest, url: str) -> None:
    with pytest.raises(UsageError, match="is not where Vertex AI reads"):
        plan_import(manifest, url)


@pytest.mark.parametrize("format", ImportFormat)
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-9],
        lambda data: data[: data.rindex(b"\n", 0, -1) + 1],
        lambda data: data + data,
        lambda data: data.replace(b"2.jpeg", b"3.jpeg", 1),
        lambda data: b"\xff" + data,
        lambda data: b"",
    ],
    ids=["torn", "row lost", "twice", "changed", "not text", "empty"],
)
def test_a_damaged_file_does_not_read_back(
    tmp_path: Path, manifest: Manifest, format: ImportFormat, damage: Callable[[bytes], bytes]
) -> None:
    plan = plan_import(manifest, _url(format), format, labels_as_is=False)
    file = write_import_files(plan, tmp_path / _name(format)).files[-1]
    split = "test" if FORMATS[format].per_split else None
    check_read_back(file.path, plan, split, plan.rows(split))
    file.path.write_bytes(damage(file.path.read_bytes()))
    with pytest.raises(Fault, match="does not read back"):
        check_read_back(file.path, plan, split, plan.rows(split))


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((Fault, NotAllowed), match="cannot write"):
        write_import_files(plan_import(manifest, "gs://b/i", labels_as_is=False), tmp_path / "file" / "import.csv")


@pytest.mark.parametrize(
    ("format", "line", "words"),
    [
        (ImportFormat.CSV, "TRAIN,gs://b/1.png,A\n", "line 2 .*ml_use"),
        (ImportFormat.CSV, 'training,"gs://b/1.png,A\n', "line 2 .*not CSV"),
        (ImportFormat.AUTOML_VISION_CSV, "UNASSIGNED,gs://b/1.png,A\n", "line 2 .*ml_use"),
        (ImportFormat.JSONL, "[]\n", "line 2 .*not a row"),
        (ImportFormat.JSONL, '{"imageGcsUri": "s3://x"}\n', "line 2 .*KeyError"),
        (ImportFormat.SAGEMAKER_LST, "0\t0\t1.png\n", "line 2 .*new number"),
        (ImportFormat.SAGEMAKER_LST, "1\t7\t1.png\n", "line 2 .*number TAB class TAB path"),
        (ImportFormat.SAGEMAKER_MANIFEST, '{"source-ref": "s3://b/1", "class": "1"}\n', "line 2 .*KeyError"),
        (
            ImportFormat.SAGEMAKER_MANIFEST,
            '{"source-ref": "s3://b/1", "class": "1", "class-metadata": {"class-name": "A", '
            '"type": "groundtruth/image-classification"}}\n',
            "line 2 .*a class and its name",
        ),
    ],
)
def test_a_line_that_is_no_row_is_named(format: ImportFormat, line: str, words: str) -> None:
    plan = plan_import(manifest_of([row("1.png", "A"), row("2.png", "B")]), _url(format), format)
    lines = [next(plan.lines()), line]
    with pytest.raises(InputError, match=words):
        list(FORMATS[format].read(lines, "train", plan.context))


def test_a_task_gives_the_import_its_classes(tmp_path: Path) -> None:
    rows = [row("1.png", "PNEUMONIA", etiology="viral"), row("2.png", "NORMAL")]
    plan = plan_import(task_view(manifest_of(rows), "three-class"), "gs://b")
    write_import_files(plan, tmp_path / "import.csv")
    assert (tmp_path / "import.csv").read_text() == "training,gs://b/1.png,VIRAL\ntraining,gs://b/2.png,NORMAL\n"
