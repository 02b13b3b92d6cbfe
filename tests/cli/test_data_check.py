"""`cxr data check` as it is typed: data on stdout, words on stderr, exit code 5 for errors (strictly: for warnings)."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr.cli.data.check import check_command
from cxr.errors import CheckFailed, CxrError, InputError, UsageError

Run = Callable[..., subprocess.CompletedProcess[str]]

SIZES = {"train": 60, "val": 26, "test": 26}


def _draw(root: Path) -> Path:
    """A folder in the Kaggle layout: every image of another patient, large enough splits, sizes that tell nothing."""
    number = 0
    for split, count in SIZES.items():
        for label in ("NORMAL", "PNEUMONIA"):
            folder = root / "xrays" / split / label
            folder.mkdir(parents=True)
            for _ in range(count):
                number += 1
                name = f"IM-{number:04}-0001.jpeg" if label == "NORMAL" else f"person{number}_virus_{number}.jpeg"
                pixels = np.random.default_rng(number).integers(0, 256, (40, 48), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / name, quality=90)
    return root / "xrays"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with drawn images and their manifest."""
    cwd = tmp_path_factory.mktemp("check-cli")
    _draw(cwd)
    scanned = subprocess.run(
        [sys.executable, "-m", "cxr", "data", "scan", "xrays", "-q"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert scanned.returncode == 0, scanned.stderr
    return cwd


def _copied(folder: Path, target: Path) -> Path:
    """The manifest alone, its images reached by a link."""
    (target / "xrays").symlink_to(folder / "xrays")
    for name in ("manifest.csv", "manifest.json"):
        (target / name).write_bytes((folder / name).read_bytes())
    return target


@dataclass
class Done:
    """What `cxr data check` did: the error that would be its exit code, and what it printed."""

    error: CxrError | None
    stdout: str
    stderr: str


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command called as Typer calls it, in this process: starting one takes longer than most of what is tested."""

    def run(manifest: Path, **options: Any) -> Done:
        error = None
        try:
            check_command(manifest, **options)
        except CxrError as raised:
            error = raised
        return Done(error, *capsys.readouterr())

    return run


def test_sound_data_passes_also_strictly_says_the_floor_and_gives_a_page(
    run_cxr: Run, folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("jinja2", reason="the page needs the extra 'data'")
    page = tmp_path / "pages" / "check.html"
    done = run_cxr("data", "check", "--strict", "--html", str(page), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "shortcuts: how well the file alone tells PNEUMONIA (AUC)" in done.stdout
    assert "a model must beat this" in done.stdout
    assert "no errors" in done.stderr
    assert "\x1b[" not in done.stdout
    assert f"wrote {page}" in done.stderr
    assert "<img " in page.read_text(encoding="utf-8")


def test_json_is_one_document_with_findings_and_shortcuts_also_of_a_task(
    check: Callable[..., Done], folder: Path
) -> None:
    done = check(folder / "manifest.csv", task="binary", as_json=True, quiet=True)
    assert (done.error, done.stderr) == (None, "")
    document = json.loads(done.stdout)
    assert (document["schema"], document["ok"], document["failed"]) == ("cxr.data.check", True, False)
    assert [one["name"] for one in document["shortcuts"]["shortcuts"]] == [
        "byte count",
        "aspect ratio",
        "32x32 thumbnail",
    ]
    fields = {"rule", "severity", "message", "fix", "examples", "accepted"}
    assert all(fields <= set(one) for one in document["findings"])
    assert set(document["counts"]["train"]) == {"NORMAL", "PNEUMONIA"}
    wrong = check(folder / "manifest.csv", task="four-class")
    assert isinstance(wrong.error, UsageError)
    assert "'four-class'" in wrong.error.message


def test_what_is_not_looked_at_is_left_out_and_that_is_said(
    check: Callable[..., Done], folder: Path, tmp_path: Path
) -> None:
    (_copied(folder, tmp_path) / "xrays").unlink()
    for manifest, options, words in (
        (folder / "manifest.csv", {"images": False}, ""),
        (tmp_path / "manifest.csv", {}, "is not here: they are not looked at"),
    ):
        done = check(manifest, **options)
        assert done.error is None
        assert words in done.stderr
        assert "left out: 32x32 thumbnail: the images were not looked at" in done.stderr
        assert "32x32 thumbnail " not in done.stdout


def test_strict_fails_for_a_warning_unless_it_is_accepted(
    check: Callable[..., Done], folder: Path, tmp_path: Path
) -> None:
    manifest = _copied(folder, tmp_path) / "manifest.csv"
    header = json.loads((tmp_path / "manifest.json").read_text())
    header["problems"] = [{"rule": "cmyk", "path": "x.jpeg", "message": "is CMYK", "severity": "warning"}]
    (tmp_path / "manifest.json").write_text(json.dumps(header))
    assert check(manifest, images=False).error is None
    strict = check(manifest, images=False, strict=True, as_json=True)
    assert isinstance(strict.error, CheckFailed)
    assert (json.loads(strict.stdout)["ok"], json.loads(strict.stdout)["failed"]) == (True, True)
    assert "no errors, 1 warning" in strict.error.message
    assert str(strict.error.hint).endswith("or, if it is as it should be: --accept cmyk")

    told = check(manifest, images=False, strict=True, accept=["cmyk"])
    assert told.error is None
    assert "is CMYK [cmyk, accepted]" in told.stdout
    assert "1 accepted" in told.stderr
    document = json.loads(check(manifest, images=False, strict=True, accept=["cmyk"], as_json=True).stdout)
    assert not document["failed"]
    assert [one["accepted"] for one in document["findings"] if one["rule"] == "cmyk"] == [True]


def test_accept_takes_several_rules_and_only_those_that_are_no_error(run_cxr: Run, folder: Path) -> None:
    done = run_cxr("data", "check", "--accept", "cmyk", "--accept", "bytes-in-two-splits", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'bytes-in-two-splits' is an error" in done.stderr
    assert "choose from: animated, cmyk" in done.stderr


def _with_row(path: Path, change: Callable[[list[str]], None]) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    change(cells)
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n", encoding="utf-8")


def test_a_hand_edited_manifest_is_accepted_only_by_reseal_with_both_hashes(
    check: Callable[..., Done], folder: Path, tmp_path: Path
) -> None:
    manifest = _copied(folder, tmp_path) / "manifest.csv"
    old = json.loads((tmp_path / "manifest.json").read_text())["content_hash"]
    columns = manifest.read_text().splitlines()[0].split(",")
    _with_row(manifest, lambda cells: cells.__setitem__(columns.index("etiology"), "viral"))
    refused = check(manifest, images=False)
    assert isinstance(refused.error, InputError)
    assert "--reseal" in str(refused.error.hint)
    accepted = check(manifest, images=False, reseal=True)
    assert accepted.error is None
    new = json.loads((tmp_path / "manifest.json").read_text())["content_hash"]
    assert f"resealed: hash {old[:12]} before, {new[:12]} now" in accepted.stderr
    assert "[resealed]" in accepted.stdout
    assert "nothing to accept" in check(manifest, images=False, reseal=True).stderr


def test_a_leak_is_exit_code_5_with_what_to_do(run_cxr: Run, folder: Path, tmp_path: Path) -> None:
    manifest = _copied(folder, tmp_path) / "manifest.csv"
    lines = manifest.read_text().splitlines()
    columns = lines[0].split(",")
    patients = {
        line.split(",")[columns.index("split")]: line.split(",")[columns.index("patient")] for line in lines[1:]
    }
    _with_row(manifest, lambda cells: cells.__setitem__(columns.index("patient"), patients["train"]))
    done = run_cxr("data", "check", "--reseal", "--no-images", cwd=tmp_path)
    assert done.returncode == 5
    assert "error:   1 patient in train and also in test" in done.stdout
    assert "fix: make a grouped split: cxr data split" in done.stdout
    assert "next: make a grouped split: cxr data split" in done.stderr


@pytest.mark.parametrize("kept", ["manifest.csv", "manifest.json", "manifest.scan.csv", "linked/manifest.csv"])
def test_the_page_never_takes_the_place_of_the_manifest(
    check: Callable[..., Done], folder: Path, tmp_path: Path, kept: str
) -> None:
    _copied(folder, tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path)
    (tmp_path / "manifest.scan.csv").write_bytes((folder / "manifest.scan.csv").read_bytes())
    before = (tmp_path / kept).read_bytes()
    refused = check(tmp_path / "manifest.csv", html=tmp_path / kept, images=False)
    assert isinstance(refused.error, UsageError)
    assert "would overwrite the manifest" in refused.error.message
    assert (tmp_path / kept).read_bytes() == before


def _on_a_terminal(folder: Path, **environment: str) -> str:
    """What a terminal of 80 columns gets to see on stdout."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "cxr", "data", "check", "--no-images"]
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
    env = kept | {"TERM": "xterm", "COLUMNS": "80"} | environment
    with subprocess.Popen(command, cwd=folder, stdout=slave, stderr=subprocess.DEVNULL, env=env) as running:
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # how Linux says that the other end is shut
                break
            if not piece:
                break
            shown += piece
    os.close(master)
    assert running.returncode == 0
    return shown.decode("utf-8")


def test_a_terminal_gets_colours_and_lines_that_fit_unless_it_wants_none(folder: Path) -> None:
    coloured = _on_a_terminal(folder)
    assert "\x1b[1;36mnote:" in coloured
    plain = _on_a_terminal(folder, NO_COLOR="1")
    assert "\x1b[" not in plain
    assert "note:" in plain
    rules = {"[shortcut-floor]", "[published-counts]"}
    assert all(len(line.rstrip()) <= 80 or any(rule in line for rule in rules) for line in plain.splitlines())


def _without(package: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command where `package` cannot be imported."""
    code = f"import sys; sys.modules[{package!r}] = None; from cxr.__main__ import main; main()"
    command = [sys.executable, "-c", code, "data", "check", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_without_scikit_learn_only_the_thumbnails_are_left_out(folder: Path) -> None:
    done = _without("sklearn", folder)
    assert done.returncode == 0, done.stderr
    assert 'left out: 32x32 thumbnail: needs the package scikit-learn, pip install "cxr[data]"' in done.stderr
    assert "byte count" in done.stdout


def test_without_jinja2_the_page_is_refused_before_anything_is_read(folder: Path, tmp_path: Path) -> None:
    done = _without("jinja2", folder, "--html", str(tmp_path / "page.html"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert 'pip install "cxr[data]"' in done.stderr
    assert not (tmp_path / "page.html").exists()
