"""Which files the DICOM import takes: odd ones, odd places and links are told by path and rule."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_made import COMPUTED, CT, DIGITAL_X_RAY, FOR_PROCESSING, dicom, plan_of, put_dicom, ramp
from pydicom.uid import JPEGLosslessSV1
from scanned import rules_of

from cxr.errors import InputError
from cxr.manifests.dicom import DICOM_RULES, run_import


def _truncated(path: Path) -> None:
    whole = put_dicom(path).read_bytes()
    path.write_bytes(whole[:-200])


def _header_cut(path: Path) -> None:
    whole = put_dicom(path).read_bytes()
    path.write_bytes(whole[:250])


def _written(**tags: object) -> Callable[[Path], object]:
    return lambda path: put_dicom(path, **tags)


def _lossless_jpeg(path: Path) -> None:
    made = dicom(bits=8)
    made.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    made.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\4\0\0\0abcd\xfe\xff\xdd\xe0\0\0\0\0"
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    put_dicom(path, made)


def _directory(path: Path) -> None:
    made = dicom()
    for keyword in ("Rows", "Columns", "PixelData"):
        del made[keyword]
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    put_dicom(path, made)


ODD: dict[str, Callable[[Path], object]] = {
    "broken-pixels": _truncated,
    "broken-header": _header_cut,
    "no-decoder": _lossless_jpeg,
    "unsupported-pixels": lambda path: put_dicom(path, dicom(ramp(0, 1 << 20), bits=32)),
    "too-many-pixels": _written(Rows=60000, Columns=60000),
    "flat-image": lambda path: put_dicom(path, dicom(np.zeros((4, 4), int))),
    "multi-frame": _written(NumberOfFrames=2),
    "burned-in": _written(BurnedInAnnotation="YES"),
    "recognizable-features": _written(RecognizableVisualFeatures="YES"),
    "no-pixels": _directory,
    "other-modality": _written(Modality="OT"),
    "missing-patient": _written(PatientID=None),
    "missing-instance-uid": _written(SOPInstanceUID=None),
    "bad-window": _written(WindowCenter=5, WindowWidth=0),
    "colour": lambda path: put_dicom(path, dicom(np.dstack([ramp(0, 255)] * 3), bits=8)),
    "not-dicom": lambda path: path.write_bytes(b"x" * 400),
    "too-large": lambda path: (put_dicom(path), os.truncate(path, 300 << 20)),
}


@pytest.mark.parametrize("rule", ODD)
def test_an_odd_file_is_told_by_path_and_rule_and_stops_nothing(tmp_path: Path, rule: str) -> None:
    put_dicom(tmp_path / "in/train/NORMAL/good.dcm")
    odd = tmp_path / "in/train/NORMAL/odd.dcm"
    ODD[rule](odd)
    result = run_import(plan_of(tmp_path / "in"), tmp_path / "out")
    assert rules_of(result.problems) == {"train/NORMAL/odd.dcm": rule}
    found = result.problems[0]
    assert found.severity == DICOM_RULES[rule].severity
    taken = {image.relative for image in result.written}
    assert "train/NORMAL/good.dcm" in taken
    if found.severity == "error":
        assert "train/NORMAL/odd.dcm" not in taken
    assert len(list((tmp_path / "out").rglob("*.*"))) == len(taken)


def test_places_that_are_no_labels_folder_are_told(tmp_path: Path) -> None:
    put_dicom(tmp_path / "in/train/NORMAL/good.dcm")
    put_dicom(tmp_path / "in/train/no-label.dcm")
    put_dicom(tmp_path / "in/elsewhere/NORMAL/x.dcm")
    put_dicom(tmp_path / "in/train/bad\nname/x.dcm")
    (tmp_path / "in/train/NORMAL/.DS_Store").write_bytes(b"x")
    (tmp_path / "in/train/NORMAL/loop").symlink_to(tmp_path / "in/train", target_is_directory=True)
    (tmp_path / "in/train/NORMAL/gone").symlink_to(tmp_path / "nowhere")
    plan = plan_of(tmp_path / "in")
    assert [image.relative for image in plan.images] == ["train/NORMAL/good.dcm"]
    assert rules_of(plan.problems) == {
        "train/no-label.dcm": "no-label",
        "elsewhere": "outside-layout",
        "train/bad\\x0aname/x.dcm": "bad-name",
        "train/NORMAL/.DS_Store": "junk",
        "train/NORMAL/loop": "folder-twice",
        "train/NORMAL/gone": "not-dicom",
    }


def test_a_link_never_takes_dicom_files_from_the_folder_that_they_are_in(tmp_path: Path) -> None:
    for name in ("train/NORMAL/real/1", "train/SICK/real/2", "test/NORMAL/3"):
        put_dicom(tmp_path / "in" / name)
    # Each sorts before what it leads to: in its own label's folder, in another split's, in no split's.
    links = {"train/NORMAL/a": "real", "test/A": "../train/SICK", "test/NORMAL/a": "../../train/NORMAL", "all": "train"}
    for name, target in links.items():
        (tmp_path / "in" / name).symlink_to(target, target_is_directory=True)
    plan = plan_of(tmp_path / "in")
    found = [(image.relative, image.split, image.label) for image in plan.images]
    assert found == [
        ("test/NORMAL/3", "test", "NORMAL"),
        ("train/NORMAL/real/1", "train", "NORMAL"),
        ("train/SICK/real/2", "train", "SICK"),
    ]
    assert rules_of(plan.problems) == {
        "train/NORMAL/a": "folder-twice",
        "test/A": "folder-twice",
        "test/NORMAL/a": "folder-twice",
        "all": "outside-layout",
    }


def test_linked_split_folders_are_read_where_they_are_linked(tmp_path: Path) -> None:
    put_dicom(tmp_path / "elsewhere/A/1")
    put_dicom(tmp_path / "in/test/A/2")
    (tmp_path / "in/train").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    plan = plan_of(tmp_path / "in")
    assert [image.relative for image in plan.images] == ["test/A/2", "train/A/1"]
    assert plan.problems == []


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_flagged_images_and_other_modalities_are_taken_only_when_asked(tmp_path: Path) -> None:
    put_dicom(tmp_path / "in/NORMAL/a", BurnedInAnnotation="YES")
    put_dicom(tmp_path / "in/NORMAL/b", Modality="CT")
    put_dicom(tmp_path / "in/NORMAL/c", BurnedInAnnotation=None)
    put_dicom(tmp_path / "in/NORMAL/d", BurnedInAnnotation="perhaps")
    assert [image.relative for image in plan_of(tmp_path / "in").images] == ["NORMAL/c"]
    plan = plan_of(tmp_path / "in", any_modality=True, allow_burned_in=True)
    assert len(plan.images) == 4
    assert plan.burned_in == Counter({"YES": 2, "NO": 1, "missing": 1})
    assert {problem.severity for problem in plan.problems} == {"warning"}


@pytest.mark.parametrize("sop_class", [COMPUTED, DIGITAL_X_RAY, FOR_PROCESSING, CT])
def test_without_a_modality_the_sop_class_decides(tmp_path: Path, sop_class: str) -> None:
    made = dicom(Modality="", SOPClassUID=sop_class)
    made.file_meta.MediaStorageSOPClassUID = sop_class
    put_dicom(tmp_path / "in/A/1", made)
    plan = plan_of(tmp_path / "in")
    assert rules_of(plan.problems) == ({"A/1": "other-modality"} if sop_class == CT else {})


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in/A").mkdir(parents=True)
    (tmp_path / "in/A/x.dcm").write_bytes(b"not DICOM")
    with pytest.raises(InputError, match="no DICOM file"):
        plan_of(tmp_path / "in")
