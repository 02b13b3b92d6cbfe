"""`cxr data import-dicom` as it is typed, in a process of its own."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

Run = Callable[..., "subprocess.CompletedProcess[str]"]
#: The program, killed in the moment in which the fortieth picture would get its name.
KILLED_AT_40 = """
import os, signal, sys
named = 0
def kill(event, arguments):
    global named
    if event == "os.rename" and str(arguments[1]).endswith(".png"):
        named += 1
        if named == 40:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
sys.argv[0] = "cxr"
from cxr.cli.main import main
main()
"""


def _put(path: Path, seed: int, **tags: object) -> None:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.Modality, made.PatientID, made.PatientName = "DX", f"SECRET-{seed}", "Zebrowski^Agathe"
    made.Rows, made.Columns, made.SamplesPerPixel = 20, 24, 1
    made.PhotometricInterpretation, made.PixelRepresentation = "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.PixelData = np.random.default_rng(seed).integers(0, 4096, (20, 24), dtype="<u2").tobytes()
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    """A working folder with 12 radiographs of 6 patients in `export/<split>/<label>/<name>/`."""
    for number in range(12):
        split, label = ("train", "test")[number % 2], ("NORMAL", "PNEUMONIA")[number // 2 % 2]
        path = tmp_path / "export" / split / label / "Zebrowski Agathe" / f"IM{number}"
        _put(path, number, PatientID=f"SECRET-{number % 6}", BurnedInAnnotation="NO")
    return tmp_path


def test_the_whole_way_from_dicom_to_a_manifest(hospital: Path, run_cxr: Run) -> None:
    dry = run_cxr("data", "import-dicom", "export", "--out", "xrays", "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    assert (json.loads(dry.stdout)["planned"], json.loads(dry.stdout)["written"]) == (12, 0)
    assert sorted(path.name for path in hospital.iterdir()) == ["export"]

    done = run_cxr("data", "import-dicom", "export", "--out", "xrays")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0].split() == ["split", "label", "images", "patients"]
    assert "research use, not a medical device" in done.stderr
    assert "made a salt: .cxr/dicom-salt" in done.stderr
    assert "YES in 0 images, NO in 12" in done.stderr
    assert "next: cxr data scan xrays --patient-key folder" in done.stderr
    salt = hospital / ".cxr" / "dicom-salt"
    assert stat.S_IMODE(salt.stat().st_mode) == 0o600
    assert (hospital / ".cxr" / ".gitignore").read_text() == "*\n"
    beside = [hospital / "xrays-dropped-tags.csv", hospital / "xrays-import.jsonl"]
    for path in [*(hospital / "xrays").rglob("*"), *beside]:
        assert "Zebrowski" not in str(path.relative_to(hospital))
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret in data for secret in (b"Zebrowski", b"SECRET", salt.read_bytes()))

    again = run_cxr("data", "import-dicom", "export", "--out", "xrays", "--json", "--quiet")
    document = json.loads(again.stdout)
    assert (again.stderr, document["written"], document["kept"], document["patients"]) == ("", 0, 12, 6)

    scanned = run_cxr("data", "scan", "xrays", "--patient-key", "folder", "--json")
    assert scanned.returncode == 0, scanned.stderr
    counts = json.loads(scanned.stdout)["counts"]
    assert {split: sum(labels.values()) for split, labels in counts.items()} == {"train": 6, "test": 6}
    assert json.loads(scanned.stdout)["problems"] == []
    rows = (hospital / "manifest.csv").read_text().splitlines()[1:]
    assert len({row.split(",")[3] for row in rows}) == 6


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_files_that_fail_are_told_with_exit_code_5_and_the_others_written(hospital: Path, run_cxr: Run) -> None:
    _put(hospital / "export/train/NORMAL/burned", 50, BurnedInAnnotation="YES")
    _put(hospital / "export/train/NORMAL/odd", 51, PatientName="Ärger^Ö", Modality="not a $code")
    _put(hospital / "export/train/NORMAL/cut", 52, PixelData=b"\0\0")
    done = run_cxr("data", "import-dicom", "export", "--out", "xrays", "--json")
    assert done.returncode == 5
    document = json.loads(done.stdout)
    assert (document["written"], document["failed"], document["burned_in"]["YES"]) == (12, 2, 1)
    assert {problem["path"]: problem["rule"] for problem in document["problems"]} == {
        "train/NORMAL/burned": "burned-in",
        "train/NORMAL/odd": "other-modality",
        "train/NORMAL/cut": "broken-pixels",
    }
    assert "check failed: 2 files were not taken, first: train/NORMAL/burned" in done.stderr
    # pydicom's remarks hold values.
    assert not any(words in done.stderr for words in ("$code", "rger", "Traceback", "Warning"))
    allowed = run_cxr("data", "import-dicom", "export", "--out", "xrays", "--allow-burned-in", "--json")
    assert (allowed.returncode, json.loads(allowed.stdout)["written"]) == (5, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--out", "x"], "there is no folder nowhere"),
        (["export", "--out", "export/png"], "lie in each other"),
        (["export", "--out", "x", "--salt-file", "x/salt"], "among the images"),
        (["export", "--out", "x", "--salt-file", "short"], "has 3 bytes"),
        (["export", "--out", "x", "--salt-file", "export/salt"], "among the DICOM files"),
        (["export", "--out", "x", "--salt-file", "salt", "--dropped-tags", "salt"], "would overwrite"),
        (["export", "--out", "short"], "is a file"),
        (["export"], "--out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_is_told(hospital: Path, run_cxr: Run, arguments: list[str], words: str) -> None:
    (hospital / "short").write_bytes(b"abc")
    (hospital / "salt").write_bytes(b"s" * 32)
    done = run_cxr("data", "import-dicom", *arguments)
    assert (done.returncode, words in done.stderr, done.stdout) == (2, True, ""), done.stderr
    assert not (hospital / "x").exists()
    assert (hospital / "salt").read_bytes() == b"s" * 32


@pytest.mark.slow
def test_images_under_a_lost_salt_are_not_mixed_with_new_ones(hospital: Path, run_cxr: Run) -> None:
    assert run_cxr("data", "import-dicom", "export", "--out", "xrays", "-q").returncode == 0
    (hospital / ".cxr" / "dicom-salt").rename(hospital / "kept")
    refused = run_cxr("data", "import-dicom", "export", "--out", "xrays")
    assert (refused.returncode, "no salt at .cxr/dicom-salt" in refused.stderr) == (2, True)
    assert not (hospital / ".cxr" / "dicom-salt").exists()
    found = run_cxr("data", "import-dicom", "export", "--out", "xrays", "--salt-file", "kept", "--json")
    assert json.loads(found.stdout)["kept"] == 12


@pytest.mark.slow
def test_a_second_salt_is_refused_and_what_is_not_taken_any_more_is_told(hospital: Path, run_cxr: Run) -> None:
    burned = hospital / "export/train/NORMAL/burned"
    _put(burned, 50, BurnedInAnnotation="YES")
    (hospital / ".cxr").mkdir()
    (hospital / ".cxr" / ".gitignore").write_text("mine\n")
    arguments = ["data", "import-dicom", "export", "--out", "xrays"]
    assert run_cxr(*arguments, "--allow-burned-in", "-q").returncode == 0
    assert (hospital / ".cxr" / ".gitignore").read_text() == "mine\n"

    (hospital / "other").write_bytes(b"o" * 32)
    (hospital / "other").chmod(0o640)
    refused = run_cxr(*arguments, "--salt-file", "other")
    assert (refused.returncode, "named with another salt" in refused.stderr) == (2, True), refused.stderr
    assert "others than you may read the salt other" in refused.stderr
    assert len(list((hospital / "xrays").rglob("*.png"))) == 13

    for dry in (["--dry-run"], []):
        told = run_cxr(*arguments, "--json", *dry)
        document = json.loads(told.stdout)
        assert (told.returncode, document["stale"], document["failed"]) == (5, 1, 1)
        (stale,) = [problem["path"] for problem in document["problems"] if problem["rule"] == "stale-picture"]
        assert f"1 picture in OUT is of no file taken now, first: {stale}" in told.stderr


def test_a_folder_of_which_nothing_is_taken_is_no_success(tmp_path: Path, run_cxr: Run) -> None:
    _put(tmp_path / "export/A/1", 1, Modality="CT")
    for dry in (["--dry-run"], []):
        done = run_cxr("data", "import-dicom", "export", "--out", "xrays", *dry)
        assert (done.returncode, "none of 1 DICOM files" in done.stderr) == (5, True), done.stderr
        assert "next: cxr data scan" not in done.stderr


def test_the_help_says_that_paths_may_hold_names(run_cxr: Run) -> None:
    shown = " ".join(run_cxr("data", "import-dicom", "--help").stdout.split())
    assert "paths of the source, which may hold names" in shown


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_leaves_no_half_picture(tmp_path: Path, run_cxr: Run) -> None:
    for number in range(120):
        _put(tmp_path / "export" / "AB"[number % 2] / f"{number}", number)
    (tmp_path / "salt").write_bytes(b"s" * 32)
    arguments = ["data", "import-dicom", "export", "--out", "xrays", "--salt-file", "salt"]
    killed = subprocess.run([sys.executable, "-c", KILLED_AT_40, *arguments, "-q"], cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    there = len(list((tmp_path / "xrays").rglob("[!.]*.png")))
    done = run_cxr(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    # A picture can have got its name without having got into the record: one per thread. It is written again.
    assert there - 8 <= document["kept"] <= there < 120
    assert document["kept"] + document["written"] == 120
    assert run_cxr(*(["fresh" if word == "xrays" else word for word in arguments])).returncode == 0
    read = {
        name: {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("xrays", "fresh")
    }
    assert read["xrays"] == read["fresh"]
