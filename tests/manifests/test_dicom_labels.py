"""No label of the DICOM import is called like its patient, in any spelling."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from dicom_made import dicom, plan_of, put_dicom
from scanned import rules_of

from cxr.errors import InputError
from cxr.manifests.dicom.import_plan import MAX_LABELS


@pytest.mark.parametrize("label", ["MRN-4711-0815", "zebrowski", "Agathe_2019", "left Zebrowski"])
def test_a_label_called_like_the_patient_is_refused(tmp_path: Path, label: str) -> None:
    put_dicom(tmp_path / f"in/{label}/x.dcm")
    put_dicom(tmp_path / "in/NORMAL/x.dcm")
    plan = plan_of(tmp_path / "in")
    assert [image.label for image in plan.images] == ["NORMAL"]
    assert list(rules_of(plan.problems).values()) == ["label-names-patient"]


ROESSLER = {"PatientName": "Rößler-Müller^Zoë Li^B^^Dr", "PatientID": "17", "AccessionNumber": "ACC9977"}

WANG = {"PatientName": "Wang^XiaoMing=王^小明", "PatientID": "x", "OtherPatientIDs": ["OLD-1", "OLD-2"]}


@pytest.mark.parametrize(
    ("label", "tags"),
    [
        ("17", ROESSLER),
        ("Li", ROESSLER | {"PatientName": "Li^Na"}),
        ("li NA", ROESSLER | {"PatientName": "Li^Na"}),
        ("liNa", ROESSLER | {"PatientName": "Li^Na"}),
        (unicodedata.normalize("NFD", "Müller"), ROESSLER),
        ("mueller 2", ROESSLER),
        ("Roessler", {"PatientName": "Rössler^Zoe"}),
        ("Roßler", ROESSLER),
        ("Zoe", ROESSLER),
        ("ZoeliRosslerMuller", ROESSLER),
        ("Rossler-Muller", ROESSLER),
        ("zoe2019", ROESSLER),
        ("ACC9977", ROESSLER),
        ("acc-99-77 left", ROESSLER),
        ("王小明", WANG),
        ("小明 左", WANG),
        ("XiaoMingWang", WANG),
        ("xiao ming", WANG),
        ("old_2", WANG),
        ("2019-02-03", {}),
        ("03.02.2019", {}),
        ("Lukasz", {"PatientName": "Kowalski^Łukasz"}),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_label_called_like_the_patient_in_any_spelling_is_refused(
    tmp_path: Path, label: str, tags: dict[str, object]
) -> None:
    put_dicom(tmp_path / f"in/{label}/x.dcm", dicom(SpecificCharacterSet="ISO_IR 192", **tags))
    put_dicom(tmp_path / "in/NORMAL/x.dcm", dicom(SpecificCharacterSet="ISO_IR 192", **tags))
    plan = plan_of(tmp_path / "in")
    assert [image.label for image in plan.images] == ["NORMAL"]
    assert list(rules_of(plan.problems).values()) == ["label-names-patient"]


@pytest.mark.parametrize("label", ["NORMAL", "PNEUMONIA", "DR", "B", "class 17a", "17 left", "COVID-19", "ill"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_label_that_only_resembles_the_patient_is_taken(tmp_path: Path, label: str) -> None:
    tags = {"PatientName": "Norma^Il^B^^Dr", "PatientID": "17", "AccessionNumber": "19"}
    put_dicom(tmp_path / f"in/{label}/x.dcm", **tags)
    assert [image.label for image in plan_of(tmp_path / "in").images] == [label]


def test_a_nameless_header_names_nobody(tmp_path: Path) -> None:
    tags = dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"), "")
    put_dicom(tmp_path / "in/NORMAL/x.dcm", **tags)
    assert len(plan_of(tmp_path / "in").images) == 1


def test_more_labels_than_classes_there_can_be_are_refused(tmp_path: Path) -> None:
    for number in range(MAX_LABELS + 1):
        put_dicom(tmp_path / f"in/{number}/x.dcm")
    with pytest.raises(InputError, match="are they patients"):
        plan_of(tmp_path / "in")
