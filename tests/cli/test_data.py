"""`cxr data …` as it is typed, in a process of its own: data on stdout, words on stderr, the documented exit codes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _cxr(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cxr", "data", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def _picture(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, format="JPEG")
    return stream.getvalue()


def _folder(root: Path, labels: tuple[str, ...] = ("NORMAL", "PNEUMONIA"), each: int = 20) -> Path:
    """Train and test folders with `each` images a label, every one of another patient."""
    for index, (split, label) in enumerate((split, label) for split in ("train", "test") for label in labels):
        folder = root / "xrays" / split / label
        folder.mkdir(parents=True)
        for image in range(each):
            number = index * each + image
            (folder / f"person{number}_virus_{number}.jpeg").write_bytes(_picture(number))
    return root / "xrays"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a drawn sample of 60 images in `xrays`."""
    cwd = tmp_path_factory.mktemp("data-cli")
    done = _cxr("sample", "xrays", "--images", 60, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) | {"schema_version": 0} == {
        "schema": "cxr.data.sample",
        "schema_version": 0,
        "folder": "xrays",
        "images": 60,
        "seed": 7,
        "synthetic": True,
    }
    assert "SYNTHETIC" in done.stderr
    assert "cxr data scan xrays" in done.stderr
    return cwd


def test_the_whole_way_from_sample_to_import_file(sample: Path) -> None:
    scanned = _cxr("scan", "xrays", cwd=sample)
    assert scanned.returncode == 0, scanned.stderr
    assert scanned.stdout.split("\n")[0].split() == ["split", "NORMAL", "PNEUMONIA", "all"]
    assert "next: cxr data check" in scanned.stderr

    checked = _cxr("check", cwd=sample)
    assert (checked.returncode, "validation-split" in checked.stdout) == (0, True), checked.stderr
    assert "fix: make a grouped split: cxr data split" in checked.stdout
    assert "read by etiology+number: 0 of" in checked.stdout

    split = _cxr("split", "--validation", 0.2, "--json", cwd=sample)
    made = json.loads(split.stdout)
    assert made["split_policy"] == {"name": "grouped", "validation": 0.2, "seed": 7}
    assert made["folded_back"] == 4
    assert "folded back" in split.stderr
    again = json.loads(_cxr("split", "--validation", 0.2, "--json", "--quiet", cwd=sample).stdout)
    assert (again["hash"], again["folded_back"]) == (made["hash"], 0)

    for format in ("csv", "jsonl"):
        url = "gs://bucket/cxr/images"
        written = _cxr("import-file", "--images-url", url, "--format", format, "--no-verify", "--json", cwd=sample)
        assert written.returncode == 0, written.stderr
        assert json.loads(written.stdout)["rows"] == 60
        lines = (sample / f"import.{format}").read_text().splitlines()
        assert len(lines) == 60
        assert all("gs://bucket/cxr/images/t" in line or "gs://bucket/cxr/images/val" in line for line in lines)


def test_quiet_says_nothing_on_stderr_and_json_is_one_document(sample: Path) -> None:
    done = _cxr("scan", "xrays", "--out", "quiet.csv", "--json", "--quiet", cwd=sample)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert (document["schema"], document["images"], document["problems"]) == ("cxr.data.scan", 60, [])
    assert document["manifest"] == "quiet.csv"


def test_a_sample_is_not_drawn_into_an_occupied_folder_unless_forced(sample: Path) -> None:
    refused = _cxr("sample", "xrays", "--images", 60, cwd=sample)
    assert refused.returncode == 2
    assert "not empty" in refused.stderr
    assert "--force" in refused.stderr
    assert _cxr("sample", "xrays", "--images", 60, "--force", "-q", cwd=sample).returncode == 0


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 6), (signal.SIGKILL, -9)], ids=["ctrl-c", "kill"])
def test_a_stopped_sample_leaves_no_process_and_no_half_image(tmp_path: Path, how: signal.Signals, code: int) -> None:
    command = [sys.executable, "-m", "cxr", "data", "sample", "xrays", "--images", "4000"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        while not list(tmp_path.rglob("*.jpeg")):
            assert running.poll() is None
            time.sleep(0.02)
        os.killpg(running.pid, how) if how == signal.SIGINT else running.kill()
        # The workers hold stderr too: it ends only when the last of them has.
        words = running.communicate(timeout=300)[1]
    assert running.returncode == code
    assert "Traceback" not in words
    assert ("interrupted: stopped by Ctrl-C" in words) == (code == 6)
    for path in tmp_path.rglob("*.jpeg"):
        with Image.open(path) as image:
            image.load()


def test_odd_files_are_told_but_do_not_stop_the_scan_and_check_fails_on_them(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (folder / "train" / "NORMAL" / "person900_virus_1.jpeg").write_text("not an image\n")
    (folder / "train" / "NORMAL" / "person901_virus_1.jpeg").write_bytes(_picture(901)[:700])
    (folder / "train" / "NORMAL" / ".DS_Store").write_bytes(b"x")
    scanned = _cxr("scan", folder, cwd=tmp_path)
    assert scanned.returncode == 0
    assert "error: train/NORMAL/person900_virus_1.jpeg: named .jpeg, but the bytes are no image" in scanned.stderr
    assert "error: train/NORMAL/person901_virus_1.jpeg: does not decode" in scanned.stderr
    assert "note: train/NORMAL/.DS_Store" in scanned.stderr

    checked = _cxr("check", "--json", cwd=tmp_path)
    assert checked.returncode == 5
    document = json.loads(checked.stdout)
    assert document["ok"] is False
    assert {finding["rule"] for finding in document["findings"] if finding["severity"] == "error"} == {
        "not-an-image",
        "broken-image",
    }
    assert checked.stderr.startswith("check failed: manifest.csv: 2 errors")
    assert "next:" in checked.stderr


def test_a_label_that_vertex_refuses_is_a_warning_of_the_check_and_refused_by_the_import_file(tmp_path: Path) -> None:
    folder = _folder(tmp_path, labels=("NORMAL", "2nd look"))
    assert _cxr("scan", folder, "-q", cwd=tmp_path).returncode == 0
    checked = _cxr("check", "--strict", cwd=tmp_path)
    assert checked.returncode == 5
    assert "'2nd look'" in checked.stdout
    assert "[vertex-label-spelling]" in checked.stdout
    assert _cxr("check", "--no-images", cwd=tmp_path).returncode == 0
    refused = _cxr("import-file", "--images-url", "gs://b/images", "--labels", "as-is", cwd=tmp_path)
    assert refused.returncode == 2
    assert "'2nd look'" in refused.stderr
    assert "label_2nd_look" in refused.stderr
    assert not (tmp_path / "import.csv").exists()


def _missing(root: Path) -> None:
    del root


def _empty(root: Path) -> None:
    (root / "xrays").mkdir()


def _one_label(root: Path) -> None:
    _folder(root, labels=("NORMAL",), each=2)


def _labels_by_case(root: Path) -> None:
    _folder(root, labels=("NORMAL", "Normal"), each=2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing, ["there is no folder xrays"]),
        (_empty, ["no usable image in xrays"]),
        (_one_label, ["one label, 'NORMAL'"]),
        (_labels_by_case, ["'NORMAL'", "'Normal'", "only in case"]),
    ],
    ids=["missing-folder", "empty-folder", "one-label", "labels-differing-in-case"],
)
def test_bad_input_is_two_lines_and_exit_code_2(tmp_path: Path, make, words: list[str]) -> None:
    make(tmp_path)
    done = _cxr("scan", "xrays", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    headline, hint = done.stderr.rstrip("\n").split("\n")
    assert headline.startswith("bad input: ")
    assert all(word in headline for word in words)
    assert hint.startswith("  next: ")
    assert not (tmp_path / "manifest.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("scan", ".", "--patient-key", "surname"), ["'surname'", "etiology+number, number"]),
        (("check", "--manifest", "nowhere.csv"), ["no manifest nowhere.csv", "cxr data scan"]),
        (("import-file", "--images-url", "gs://b", "--format", "xml"), ["'xml'", "csv, jsonl"]),
        (("sample", "new", "--images", "3"), ["too few", "--images 600"]),
    ],
    ids=["patient-key", "manifest", "format", "images"],
)
def test_a_wrong_argument_names_the_choices(tmp_path: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    done = _cxr(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words)
    assert "Traceback" not in done.stderr


def test_an_output_below_a_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = _cxr("scan", _folder(tmp_path, each=2), "--out", "file/manifest.csv", cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot write file/manifest.csv" in done.stderr


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which this user may make no file: for root, who may nearly everywhere, the kernel's /sys."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        folder = Path("/sys")
    try:
        (folder / ".probe").touch()
    except PermissionError:
        yield folder
    else:
        (folder / ".probe").unlink()
        pytest.skip("this user may write everywhere")


def test_no_permission_to_write_is_exit_code_3(tmp_path: Path, closed_folder: Path) -> None:
    done = _cxr("scan", _folder(tmp_path, each=2), "--out", closed_folder / "manifest.csv", cwd=tmp_path)
    assert done.returncode == 3
    assert f"not allowed: no permission to write {closed_folder}/manifest.csv" in done.stderr
    drawn = _cxr("sample", closed_folder / "new", "--images", 40, cwd=tmp_path)
    assert drawn.returncode == 3
    assert drawn.stderr.startswith("not allowed: ")
    assert "Traceback" not in drawn.stderr


def test_every_data_command_shows_an_example_in_its_help(tmp_path: Path) -> None:
    for command in ("scan", "check", "split", "sample", "import-file"):
        shown = _cxr(command, "--help", cwd=tmp_path)
        assert shown.returncode == 0
        assert "Example: cxr data " + command in shown.stdout
        assert "--json" in shown.stdout
