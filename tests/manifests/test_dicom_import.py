"""The DICOM import: what is renamed, repeated and left behind; nothing of a patient gets out."""

from __future__ import annotations

import csv
import hashlib
import hmac
import os
import shutil
import stat
from pathlib import Path

import pytest
from dicom_made import SALT, SECRET_ID, SECRET_NAME, dicom, plan_of, put_dicom, ramp
from PIL import Image
from pydicom import Dataset
from pydicom.uid import generate_uid
from scanned import rules_of

from cxr.errors import InputError, NotAllowed, UsageError
from cxr.manifests.dicom import (
    DICOM_RULES,
    Pseudonyms,
    check_places,
    plan_import,
    read_or_make_salt,
    run_import,
    write_dropped_tags,
)


def _all_bytes(folder: Path) -> bytes:
    return b"".join(
        path.relative_to(folder).as_posix().encode() + (path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    )


def test_an_import_writes_pictures_under_salted_keys_in_the_folders_of_split_and_label(tmp_path: Path) -> None:
    made = dicom()
    put_dicom(tmp_path / "in/train/NORMAL/Zebrowski Agathe/study/IM0001", made)  # no suffix: the magic bytes count
    put_dicom(tmp_path / "in/val/PNEUMONIA/b.dcm", dicom(PatientID="other"))
    result = run_import(plan_of(tmp_path / "in"), tmp_path / "out")
    assert result.problems == ()
    patient = hmac.new(SALT, b"patient\0" + SECRET_ID.encode(), hashlib.sha256).hexdigest()[:16]
    image = hmac.new(SALT, b"image\0" + made.SOPInstanceUID.encode(), hashlib.sha256).hexdigest()[:16]
    first, second = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.png"))
    assert first.as_posix() == f"train/NORMAL/{patient}/{image}.png"
    assert second.parts[:2] == ("validation", "PNEUMONIA")
    with Image.open(tmp_path / "out" / first) as picture:
        assert (picture.mode, picture.size, picture.info) == ("L", (24, 20), {})


def test_nothing_of_a_patient_gets_out(tmp_path: Path) -> None:
    made = dicom(
        ReferringPhysicianName="Quux^Karl",
        InstitutionName="St. Elsewhere",
        AccessionNumber="ACC-99-77",
        StudyDate="20230401",
        SOPInstanceUID="1.2.276.0.7230010.3.1.4.8323329.1",  # with the salt it decides all names: none by chance
    )
    made.private_block(0x0009, "HIDDEN CREATOR", create=True).add_new(1, "LO", "private words")
    put_dicom(tmp_path / "in/NORMAL" / SECRET_NAME / "x.dcm", made)
    plan = plan_of(tmp_path / "in")
    run_import(plan, tmp_path / "out/images")
    write_dropped_tags(plan.tags, tmp_path / "out/dropped-tags.csv")
    out = _all_bytes(tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 1
    for secret in (
        *SECRET_NAME.split("^"),
        SECRET_ID,
        "Quux",
        "Elsewhere",
        "ACC-99",
        "HIDDEN",
        "private words",
        "20230401",
        "20190203",
    ):
        assert secret.encode() not in out, secret
    assert SALT not in out
    assert made.SOPInstanceUID.encode() not in out


def test_the_table_of_dropped_tags_counts_files_at_any_depth_and_holds_no_value(tmp_path: Path) -> None:
    for number in range(3):
        made = dicom(AccessionNumber="7") if number else dicom()
        item = Dataset()
        item.ReferencedSOPInstanceUID = generate_uid()
        made.ReferencedStudySequence = [item]
        made.private_block(0x0009, "CREATOR", create=True).add_new(1, "LO", "words")
        put_dicom(tmp_path / f"in/NORMAL/{number}.dcm", made)
    put_dicom(tmp_path / "in/NORMAL/ct.dcm", Modality="CT", InstitutionName="of a file that is not taken")
    write_dropped_tags(plan_of(tmp_path / "in").tags, tmp_path / "dropped-tags.csv")
    with (tmp_path / "dropped-tags.csv").open() as stream:
        rows = {row["tag"]: row for row in csv.DictReader(stream)}
    assert rows["(0010,0010)"] == {"keyword": "PatientName", "tag": "(0010,0010)", "vr": "PN", "files": "3"}
    assert rows["(0008,0050)"]["files"] == "2"
    assert rows["(0008,1155)"] | {"files": "0"} == {
        "keyword": "ReferencedSOPInstanceUID", "tag": "(0008,1155)", "vr": "UI", "files": "0",
    }  # fmt: skip
    assert rows["(0009,1001)"]["keyword"] == ""
    assert "(0008,0080)" not in rows
    assert "(7FE0,0010)" not in rows
    assert list(rows) == sorted(rows)


def test_a_patient_has_one_key_and_unknown_patients_have_each_their_own(tmp_path: Path) -> None:
    put_dicom(tmp_path / "in/A/1", PatientID="p1 ")
    put_dicom(tmp_path / "in/B/2", PatientID="p1", Modality="CR")
    for number in range(3, 6):
        put_dicom(tmp_path / f"in/A/{number}", PatientID="" if number == 5 else None)
    plan = plan_of(tmp_path / "in")
    keys = {image.relative: image.patient for image in plan.images}
    assert keys["A/1"] == keys["B/2"]
    assert len(set(keys.values())) == 4
    other = plan_import(tmp_path / "in", Pseudonyms(b"another salt of thirty-two bytes"))
    assert {image.patient for image in other.images}.isdisjoint(keys.values())


def test_one_patient_for_all_is_told(tmp_path: Path) -> None:
    for number in range(10):
        put_dicom(tmp_path / f"in/A/{number}", PatientID="ANONYMOUS")
    assert [problem.rule for problem in plan_of(tmp_path / "in").problems] == ["one-patient"]


def test_the_same_image_twice_is_written_once_and_under_two_labels_is_told(tmp_path: Path) -> None:
    made = dicom()
    for name in ("A/1", "A/copy/2", "B/3", "B/4"):
        put_dicom(tmp_path / "in" / name, made)
    plan = plan_of(tmp_path / "in")
    assert [image.relative for image in plan.images] == ["A/1", "B/3"]
    assert rules_of(plan.problems) == {
        "A/copy/2": "repeated-instance",
        "B/3": "instance-in-two-places",
        "B/4": "repeated-instance",
    }


def test_another_picture_under_a_known_uid_is_an_error_and_not_lost_in_silence(tmp_path: Path) -> None:
    made = dicom()
    uid = made.SOPInstanceUID
    put_dicom(tmp_path / "in/A/1", made)
    put_dicom(tmp_path / "in/A/2", dicom(ramp(0, 900), SOPInstanceUID=uid))
    put_dicom(tmp_path / "in/B/3", dicom(ramp(0, 901), SOPInstanceUID=uid))
    plan = plan_of(tmp_path / "in")
    assert [image.relative for image in plan.images] == ["A/1"]
    assert rules_of(plan.problems) == {"A/2": "instance-differs", "B/3": "instance-differs"}
    assert DICOM_RULES["instance-differs"].severity == "error"


def _pictures(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))


@pytest.mark.parametrize("harm", ["flagged", "moved", "gone", "broken"])
def test_a_picture_whose_file_is_not_taken_any_more_is_an_error(tmp_path: Path, harm: str) -> None:
    put_dicom(tmp_path / "in/A/stays")
    made = dicom()
    source = put_dicom(tmp_path / "in/A/x", made)
    first = run_import(plan_of(tmp_path / "in"), tmp_path / "out")
    stale = next(image.target for image in first.written if image.relative == "A/x")
    source.unlink()
    if harm == "flagged":
        made.BurnedInAnnotation = "YES"
        put_dicom(source, made)
    elif harm == "moved":
        put_dicom(tmp_path / "in/B/x", made)
    elif harm == "broken":
        made.PixelData = b"\0\0"
        put_dicom(source, made)
    before = set(_pictures(tmp_path / "out"))
    result = run_import(plan_of(tmp_path / "in"), tmp_path / "out")
    assert [(one.path, one.severity) for one in result.problems if one.rule == "stale-picture"] == [(stale, "error")]
    assert before <= set(_pictures(tmp_path / "out"))


def test_a_changed_file_of_a_known_uid_is_rendered_anew(tmp_path: Path) -> None:
    made = dicom()
    source = put_dicom(tmp_path / "in/A/x", made)
    (before,) = run_import(plan_of(tmp_path / "in"), tmp_path / "out").written
    picture = tmp_path / "out" / before.target
    old = picture.read_bytes()
    put_dicom(source, dicom(ramp(0, 4095)[::-1], SOPInstanceUID=made.SOPInstanceUID))
    (again,) = run_import(plan_of(tmp_path / "in"), tmp_path / "out").written
    assert again.target == before.target
    assert picture.read_bytes() != old
    assert len(run_import(plan_of(tmp_path / "in"), tmp_path / "out").kept) == 1


def test_pictures_of_another_salt_or_without_a_record_are_not_added_to(tmp_path: Path) -> None:
    put_dicom(tmp_path / "in/A/x")
    run_import(plan_of(tmp_path / "in"), tmp_path / "out")
    before = _all_bytes(tmp_path)
    other = plan_import(tmp_path / "in", Pseudonyms(b"another salt of thirty-two bytes"))
    with pytest.raises(UsageError, match="another salt"):
        run_import(other, tmp_path / "out")
    assert _all_bytes(tmp_path) == before
    record = tmp_path / "out-import.jsonl"
    whole = record.read_text()
    record.unlink()
    with pytest.raises(UsageError, match="no record"):
        run_import(plan_of(tmp_path / "in"), tmp_path / "out")
    for text in ("", "[]", "{}", '{"schema_version": 9, "salt_check": ""}', "\0", "[" * 100_000):
        record.write_text(text)
        with pytest.raises(InputError):
            run_import(plan_of(tmp_path / "in"), tmp_path / "out")
    record.write_text(whole.splitlines()[0] + '\n{"target": "A/')  # killed while writing
    assert len(run_import(plan_of(tmp_path / "in"), tmp_path / "out").written) == 1
    assert record.read_text() == whole
    shutil.rmtree(tmp_path / "out")
    assert len(run_import(other, tmp_path / "out").written) == 1


def test_a_second_run_keeps_what_is_there_and_gives_the_same_bytes(tmp_path: Path) -> None:
    for number in range(4):
        put_dicom(tmp_path / f"in/A/{number}", dicom(ramp(number, 4000)))
    plan = plan_of(tmp_path / "in")
    first = run_import(plan, tmp_path / "out")
    before = _all_bytes(tmp_path / "out")
    pictures = [tmp_path / "out" / image.target for image in first.written]
    pictures[0].write_bytes(pictures[0].read_bytes()[:-20])  # torn by a power cut
    pictures[1].unlink()
    leftover = pictures[2].parent / f".{pictures[2].name}.abc.part"
    leftover.write_bytes(b"half")
    second = run_import(plan_of(tmp_path / "in"), tmp_path / "out")
    assert [tmp_path / "out" / image.target for image in second.written] == pictures[:2]
    assert len(second.kept) == 2
    assert _all_bytes(tmp_path / "out") == before


def test_an_out_that_is_a_file_and_folders_inside_each_other_are_refused(tmp_path: Path) -> None:
    put_dicom(tmp_path / "in/A/1")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        run_import(plan_of(tmp_path / "in"), tmp_path / "file")
    for source, out in (("in", "in/out"), ("in/A", "in"), ("in", "in")):
        with pytest.raises(UsageError, match="lie in each other"):
            check_places(tmp_path / source, tmp_path / out, tmp_path / "salt")
    for salt in ("out/x/salt", "in/salt", "out-import.jsonl", "out-dropped-tags.csv"):
        with pytest.raises(UsageError):
            check_places(tmp_path / "in", tmp_path / "out", tmp_path / salt)
    (tmp_path / "salt").write_bytes(SALT)
    (tmp_path / "hard-link").hardlink_to(tmp_path / "salt")
    (tmp_path / "link").symlink_to("salt")
    for table in ("salt", "x/../salt", "hard-link", "link", "in/A/1", "in/new", "out", "out/new", "out-import.jsonl"):
        with pytest.raises(UsageError, match="table of tags"):
            check_places(tmp_path / "in", tmp_path / "out", tmp_path / "salt", tmp_path / table)
    check_places(tmp_path / "in", tmp_path / "out", tmp_path / "salt", tmp_path / "tags.csv")


def test_a_salt_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets/salt"
    salt, made = read_or_make_salt(path)
    assert (len(salt), made, read_or_make_salt(path)) == (32, True, (salt, False))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    path.write_bytes(b"x" * 31)
    with pytest.raises(InputError, match="31 bytes"):
        read_or_make_salt(path)


def test_a_salt_without_permission_says_so(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = tmp_path / "salt"
    read_or_make_salt(path)
    path.chmod(0)
    with pytest.raises(NotAllowed):
        read_or_make_salt(path)
