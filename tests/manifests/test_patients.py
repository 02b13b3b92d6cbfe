"""Patients from file names: the table of patterns, its two readings, and any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.errors import UsageError
from cxr.manifests.patients import READINGS, patient_of, patient_overlap


@pytest.mark.parametrize(
    ("name", "by_etiology", "by_number", "etiology"),
    [
        ("person12_bacteria_46.jpeg", "person-bacterial-12", "person-12", "bacterial"),
        ("train/PNEUMONIA/person12_virus_7.jpeg", "person-viral-12", "person-12", "viral"),
        ("person1372_virus_2365_3.jpeg", "person-viral-1372", "person-1372", "viral"),
        ("IM-0115-0001.jpeg", "IM-115", "IM-115", ""),
        ("IM-0626-0001-0002.jpeg", "IM-626", "IM-626", ""),
        ("NORMAL2-IM-0115-0001.jpeg", "NORMAL2-IM-115", "NORMAL2-IM-115", ""),
        ("NORMAL2-IM-0587-0001-0001.jpeg", "NORMAL2-IM-587", "NORMAL2-IM-587", ""),
        ("person0_bacteria_0.png", "person-bacterial-0", "person-0", "bacterial"),
    ],
)
def test_known_names_give_key_and_etiology(name: str, by_etiology: str, by_number: str, etiology: str) -> None:
    patient = patient_of(name)
    assert (patient.key, patient.etiology, patient.known) == (by_etiology, etiology, True)
    assert patient_of(name, "number").key == by_number


@pytest.mark.parametrize(
    "name",
    [
        "scan.jpeg",
        "person_bacteria_1.jpeg",
        "person1_fungus_2.jpeg",
        "IM-12.jpeg",
        "xIM-1-1.jpeg",
        "person١_virus_1.png",
    ],
)
def test_an_unknown_name_makes_the_image_its_own_patient(name: str) -> None:
    patient = patient_of(f"train/A/{name}")
    assert patient.key == f"image:train/A/{name}"
    assert not patient.known


def test_an_unknown_reading_names_the_choices() -> None:
    with pytest.raises(UsageError) as caught:
        patient_of("a.jpeg", "surname")
    assert "surname" in caught.value.message
    assert all(reading in str(caught.value.hint) for reading in READINGS)


@given(st.text(), st.sampled_from(READINGS))
def test_any_text_has_a_patient(text: str, reading: str) -> None:
    assert patient_of(text, reading).key


@given(st.from_regex(r"person[0-9]+_(bacteria|virus)_[0-9]+", fullmatch=True), st.sampled_from(READINGS))
def test_numbers_of_any_length_and_with_any_zeros_are_read(stem: str, reading: str) -> None:
    patient = patient_of(f"{stem}.jpeg", reading)
    assert patient.known
    assert patient_of(f"{stem.replace('person', 'person000')}.jpeg", reading).key == patient.key


def test_an_overlap_counts_the_same_patients_above_and_below() -> None:
    normals = [f"IM-{number:04d}-0001.jpeg" for number in range(20)]
    ill = [f"person{number}_virus_1.jpeg" for number in range(3)]
    overlap = patient_overlap([*normals, *ill], [*normals, *ill], "number", ("train", "test"))
    assert (len(overlap.shared), overlap.right_patients) == (3, 3)
    assert patient_overlap(normals, normals, "number", ("train", "test")).right_patients == 20
