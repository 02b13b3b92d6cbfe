"""Patients from file names, folders, tables and expressions: known patterns, the two readings, and any text at all."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanned import Listed

from cxr.errors import InputError, UsageError
from cxr.manifests.patients.keys import READINGS, SPECS, overlaps, patient_of, patient_reader
from cxr.manifests.scan.listing import scan_listing
from cxr.storage import ObjectInfo


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
        ("NORMAL-1049278-0001.jpeg", "mendeley-normal-1049278", "mendeley-1049278", ""),
        ("test/PNEUMONIA/BACTERIA-1008087-0001.jpeg", "mendeley-bacterial-1008087", "mendeley-1008087", "bacterial"),
        ("VIRUS-1019316-0002.jpeg", "mendeley-viral-1019316", "mendeley-1019316", "viral"),
    ],
)
def test_known_names_give_key_and_etiology(name: str, by_etiology: str, by_number: str, etiology: str) -> None:
    patient = patient_of(name)
    assert (patient.key, patient.etiology, patient.known) == (by_etiology, etiology, True)
    assert patient_of(name, "number").key == by_number
    assert patient_reader("number").read(name) == patient_of(name, "number")
    assert patient_reader("etiology+number").read(name) == patient


@pytest.mark.parametrize(
    "name",
    [
        "scan.jpeg",
        "person_bacteria_1.jpeg",
        "person1_fungus_2.jpeg",
        "IM-12.jpeg",
        "xIM-1-1.jpeg",
        "person١_virus_1.png",
        "NORMAL-1049278.jpeg",
        "COVID-1049278-0001.jpeg",
        "normal-1049278-0001.jpeg",
    ],
)
def test_an_unknown_name_makes_the_image_its_own_patient(name: str) -> None:
    patient = patient_of(f"train/A/{name}")
    assert patient.key == f"image:train/A/{name}"
    assert not patient.known


@pytest.mark.parametrize("spec", ["surname", "", "csv:", "regex:", "csv", "regex", "folder:x", "number "])
def test_an_unknown_spec_names_the_choices(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        patient_reader(spec)
    assert all(known in str(caught.value.hint) for known in SPECS)


def test_an_unknown_reading_names_the_choices() -> None:
    with pytest.raises(UsageError) as caught:
        patient_of("a.jpeg", "surname")
    assert "surname" in caught.value.message
    assert all(reading in str(caught.value.hint) for reading in READINGS)


@given(st.text(), st.sampled_from(READINGS))
def test_any_text_has_a_patient(text: str, reading: str) -> None:
    assert patient_of(text, reading).key


@given(
    st.from_regex(r"(train/|val/)?[a-z]?(person|IM-|BACTERIA-)[0-9٣]{0,4}[-_.a-z/]{0,4}[0-9]{0,3}\.?[a-z]*"),
    st.sampled_from([*READINGS, "folder", r"regex:([0-9]+)-([0-9]+)?", r"regex:(?P<patient>person.*?)_"]),
)
def test_any_reader_gives_any_path_a_key(path: str, spec: str) -> None:
    patient = patient_reader(spec).read(path)
    assert patient.key
    assert patient.known != patient.key.startswith("image:")


@given(st.from_regex(r"person[0-9]+_(bacteria|virus)_[0-9]+", fullmatch=True), st.sampled_from(READINGS))
def test_numbers_of_any_length_and_with_any_zeros_are_read(stem: str, reading: str) -> None:
    patient = patient_of(f"{stem}.jpeg", reading)
    assert patient.known
    assert patient_of(f"{stem.replace('person', 'person000')}.jpeg", reading).key == patient.key


def test_a_number_of_ten_thousand_digits_is_a_number() -> None:
    digits = "7" * 10_000
    assert patient_of(f"VIRUS-{digits}-1.jpeg", "number").key == f"mendeley-{digits}"


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("train/NORMAL/p7/1.png", "p7"),
        ("test/PNEUMONIA/p7/x.png", "p7"),
        ("NORMAL/p7/1.png", "p7"),
        ("NORMAL/site/p7/1.png", "site/p7"),
        ("Training/NORMAL/p7/study1/1.png", "p7/study1"),
        ("train/NORMAL/1.png", None),
        ("NORMAL/1.png", None),
        ("1.png", None),
        ("train/1.png", None),
    ],
)
def test_a_folder_below_the_label_is_a_patient(path: str, key: str | None) -> None:
    patient = patient_reader("folder").read(path)
    assert (patient.key, patient.known) == ((key, True) if key else (f"image:{path}", False))


def test_a_folder_reader_still_tells_the_etiology_by_the_name() -> None:
    assert patient_reader("folder").read("train/A/p7/person1_virus_2.png").etiology == "viral"


@pytest.mark.parametrize(
    ("expression", "path", "key"),
    [
        (r"(?P<patient>pat\d+)_(\d+)", "train/A/pat12_3.png", "pat12"),
        (r"pat(\d+)", "train/A/pat12_3.png", "12"),
        (r"(?P<id>p\d+)", "A/p3.png", "p3"),
        (r"/([A-Z]+)_(\d+)", "train/A/SITE_44.png", "SITE-44"),
        (r"/([A-Z]+)_(?P<view>\d)_(\d+)", "train/A/SITE_4_9.png", "SITE-9"),
        (r"nothing(\d+)", "train/A/pat12.png", None),
        (r"pat(\d*)", "train/A/pat.png", None),
        (r"(x)?pat", "train/A/pat.png", None),
        (r"(image:.)", "image:a.png", "patient:image:a"),
    ],
)
def test_an_expression_finds_the_patient(expression: str, path: str, key: str | None) -> None:
    reader = patient_reader(f"regex:{expression}")
    assert reader.spec == f"regex:{expression}"
    patient = reader.read(path)
    assert (patient.key, patient.known) == ((key, True) if key else (f"image:{path}", False))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("pat(", "at position 3"),
        ("[z-a](x)", "at position 1"),
        (r"pat\d+", "no group"),
        ("(a{99999999999999})", "too large"),
        ("(?P<a>x)(?P<b>y)", "no group that tells the patient"),
    ],
)
def test_a_bad_expression_is_a_usage_error_with_the_place(expression: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        patient_reader(f"regex:{expression}")


@given(st.text(max_size=12))
def test_any_expression_is_a_reader_or_a_usage_error(expression: str) -> None:
    with contextlib.suppress(UsageError):
        assert patient_reader(f"regex:{expression}").read("train/A/p1.png").key


def _table(folder: Path, text: str, name: str = "patients.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_tells_patients_by_path_and_by_bare_name(tmp_path: Path) -> None:
    table = _table(tmp_path, "age,path,patient\n3,train/A/1.png,p1\n4,./train/A/2.png,p1\n\n5,3.png,p3\n")
    reader = patient_reader(f"csv:{table}")
    keys = {path: reader.read(path) for path in ("train/A/1.png", "train/A/2.png", "test/B/3.png", "test/B/1.png")}
    assert [(patient.key, patient.known) for patient in keys.values()] == [
        ("p1", True),
        ("p1", True),
        ("p3", True),
        ("image:test/B/1.png", False),
    ]
    digest = hashlib.sha256(table.read_bytes()).hexdigest()[:12]
    assert reader.spec == f"csv:patients.csv#patient@{digest}"


def test_a_table_may_have_another_column_a_mark_of_byte_order_and_a_hash_in_its_name(tmp_path: Path) -> None:
    table = _table(tmp_path, '\ufefffile,subject\n"1.png","Doe, J"\n', name="a#b.csv")
    assert patient_reader(f"csv:{table}#subject").read("train/A/1.png").key == "Doe, J"
    with pytest.raises(InputError, match="no column 'patient'; its columns: file, subject"):
        patient_reader(f"csv:{table}")


def test_a_table_of_windows_has_its_paths_with_backslashes(tmp_path: Path) -> None:
    table = _table(tmp_path, "path,patient\n.\\train\\A\\1.png,p1\ntrain\\B\\1.png,p2\n")
    reader = patient_reader(f"csv:{table}")
    assert [reader.read(f"train/{label}/1.png").key for label in "AB"] == ["p1", "p2"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("csv:{table}", "it has 'xrays/B/2.png', where an image is 'B/2.png'"),
        (r"regex:patient(\d+)", r"the expression 'patient(\\d+)' finds a patient in no image's path, such as A/1.png"),
    ],
)
def test_a_key_that_fits_no_image_is_refused_and_one_that_fits_some_is_told(
    tmp_path: Path, spec: str, words: str
) -> None:
    table = _table(tmp_path, "path,patient\nxrays/A/0.png,p0\nxrays/B/2.png,p2\nA/9.png,p9\n")
    key = spec.format(table=table)
    names = ["A/1.png", "B/2.png"] if "regex" in spec else ["B/2.png", "C/2.png"]
    with pytest.raises(InputError) as caught:
        scan_listing(Listed(ObjectInfo(name, 10) for name in names), patient_key=key)
    assert words in caught.value.message
    more = [*names, "A/9.png", "A/patient9.png"]
    manifest = scan_listing(Listed(ObjectInfo(name, 10) for name in more), patient_key=key)
    assert [problem.message for problem in manifest.header.problems] == [
        f"the patient key {manifest.header.patient_key} tells no patient for 3 of 4 images; "
        "each of these images counts as a patient"
    ]


@pytest.mark.parametrize("spec", [*READINGS, "folder"])
def test_names_and_folders_may_tell_no_patient(spec: str) -> None:
    objects = [ObjectInfo(name, 10) for name in ("A/1.png", "B/2.png")]
    assert not scan_listing(Listed(objects), patient_key=spec).frame["patient"].duplicated().any()


def test_a_bare_name_that_two_images_have_is_refused(tmp_path: Path) -> None:
    table = _table(tmp_path, "file,patient\n1.png,p1\n")
    reader = patient_reader(f"csv:{table}")
    assert [reader.read("train/A/1.png").key for _ in range(2)] == ["p1", "p1"]
    with pytest.raises(InputError, match=r"row 2: '1.png' may be train/A/1.png or test/A/1.png"):
        reader.read("test/A/1.png")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column path or file; its columns: none"),
        ("path,patient\n\n", "has columns, but no row"),
        ("name,patient\n1.png,p\n", "no column path or file"),
        ("path,patient\n1.png,p1\n2.png,p1\n1.png,p2\n", "row 4: '1.png' has the patient 'p2', and 'p1' in row 2"),
        ("path,patient\na/1.png,\n", "row 2: patient is empty"),
        ("path,patient\n,p1\n", "row 2: path is empty"),
        ("path,patient\na/1.png\n", "row 2: 1 cells under 2 columns"),
        ('path,patient\na/1.png,"p\n1"\n', "row 3: patient has control characters"),
        ('path,patient\na/1.png,"p1\n', "row 2: not CSV"),
    ],
)
def test_a_bad_table_is_named_with_its_row(tmp_path: Path, text: str, words: str) -> None:
    table = _table(tmp_path, text)
    with pytest.raises(InputError) as caught:
        patient_reader(f"csv:{table}")
    assert words in caught.value.message
    assert str(table) in caught.value.message


def test_a_table_that_is_absent_a_folder_or_not_text_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        patient_reader(f"csv:{tmp_path / 'none.csv'}")
    with pytest.raises(InputError, match="cannot read"):
        patient_reader(f"csv:{tmp_path}")
    (tmp_path / "latin.csv").write_bytes(b"path,patient\na/1.png,M\xfcller\n")
    with pytest.raises(InputError, match="row 2: not UTF-8"):
        patient_reader(f"csv:{tmp_path / 'latin.csv'}")


@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_table_or_bad_input(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    table = tmp_path_factory.getbasetemp() / "fuzz.csv"
    for start in (b"", b"path,patient\n"):
        table.write_bytes(start + data)
        with contextlib.suppress(InputError):
            assert patient_reader(f"csv:{table}").read("1.png").key


def test_an_overlap_counts_the_same_patients_above_and_below() -> None:
    normals = [f"IM-{number:04d}-0001.jpeg" for number in range(20)]
    ill = [f"person{number}_virus_1.jpeg" for number in range(3)]
    (overlap,) = overlaps({"train": [*normals, *ill], "test": [*normals, *ill]}, "number")
    assert (len(overlap.shared), overlap.right_patients) == (3, 3)
    (overlap,) = overlaps({"train": normals, "test": normals}, "number")
    assert overlap.right_patients == 20


def test_overlaps_of_all_pairs_are_those_of_each_pair() -> None:
    paths = {
        "train": ["person1_virus_1.jpeg", "person2_bacteria_2.jpeg", "a.jpeg"],
        "validation": ["person1_virus_9.jpeg"],
        "test": ["person1_bacteria_1.jpeg", "b.jpeg"],
    }
    for reading, shared in (("number", [1, 1, 1]), ("etiology+number", [1, 0, 0])):
        found = overlaps(paths, reading)
        assert [(overlap.left, overlap.right) for overlap in found] == [
            ("train", "validation"),
            ("train", "test"),
            ("validation", "test"),
        ]
        assert [len(overlap.shared) for overlap in found] == shared
        for overlap in found:
            pair = {split: paths[split] for split in (overlap.left, overlap.right)}
            assert overlaps(pair, reading) == (overlap,)
