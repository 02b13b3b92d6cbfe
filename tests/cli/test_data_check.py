"""`cxr data check` as it is typed: data on stdout, words on stderr, exit code 5 for errors (strictly: for warnings)."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


def test_sound_data_passes_also_strictly_and_says_the_floor(run_cxr: Run, folder: Path) -> None:
    done = run_cxr("data", "check", "--strict", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "shortcuts: how well the file alone tells PNEUMONIA (AUC)" in done.stdout
    assert "a model must beat this" in done.stdout
    assert "no errors" in done.stderr
    assert "\x1b[" not in done.stdout


def test_json_is_one_document_with_findings_and_shortcuts(run_cxr: Run, folder: Path) -> None:
    done = run_cxr("data", "check", "--json", "--quiet", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert (document["schema"], document["ok"], document["failed"]) == ("cxr.data.check", True, False)
    assert [one["name"] for one in document["shortcuts"]["shortcuts"]] == [
        "byte count",
        "aspect ratio",
        "32x32 thumbnail",
    ]
    assert all({"rule", "severity", "message", "fix", "examples"} <= set(one) for one in document["findings"])


def test_no_images_leaves_the_thumbnails_out_and_says_so(run_cxr: Run, folder: Path) -> None:
    done = run_cxr("data", "check", "--no-images", cwd=folder)
    assert done.returncode == 0
    assert "left out: 32x32 thumbnail: the images were not looked at" in done.stderr
    assert "32x32 thumbnail " not in done.stdout


def test_a_manifest_whose_images_are_elsewhere_is_checked_without_them(
    run_cxr: Run, folder: Path, tmp_path: Path
) -> None:
    (_copied(folder, tmp_path) / "xrays").unlink()
    done = run_cxr("data", "check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "is not here: they are not looked at" in done.stderr


def test_strict_fails_for_a_warning_that_is_no_error(run_cxr: Run, folder: Path, tmp_path: Path) -> None:
    _copied(folder, tmp_path)
    header = json.loads((tmp_path / "manifest.json").read_text())
    header["problems"] = [{"rule": "cmyk", "path": "x.jpeg", "message": "is CMYK", "severity": "warning"}]
    (tmp_path / "manifest.json").write_text(json.dumps(header))
    assert run_cxr("data", "check", "--no-images", cwd=tmp_path).returncode == 0
    strict = run_cxr("data", "check", "--no-images", "--strict", "--json", cwd=tmp_path)
    assert strict.returncode == 5
    assert (json.loads(strict.stdout)["ok"], json.loads(strict.stdout)["failed"]) == (True, True)
    assert "no errors, 1 warning" in strict.stderr


def _with_row(path: Path, change: Callable[[list[str]], None]) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    change(cells)
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n", encoding="utf-8")


def test_a_hand_edited_manifest_is_accepted_only_by_reseal_with_both_hashes(
    run_cxr: Run, folder: Path, tmp_path: Path
) -> None:
    manifest = _copied(folder, tmp_path) / "manifest.csv"
    old = json.loads((tmp_path / "manifest.json").read_text())["content_hash"]
    columns = manifest.read_text().splitlines()[0].split(",")
    _with_row(manifest, lambda cells: cells.__setitem__(columns.index("etiology"), "viral"))
    refused = run_cxr("data", "check", "--no-images", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--reseal" in refused.stderr
    accepted = run_cxr("data", "check", "--no-images", "--reseal", cwd=tmp_path)
    assert accepted.returncode == 0, accepted.stderr
    new = json.loads((tmp_path / "manifest.json").read_text())["content_hash"]
    assert f"resealed: hash {old[:12]} before, {new[:12]} now" in accepted.stderr
    assert "[resealed]" in accepted.stdout
    again = run_cxr("data", "check", "--no-images", "--reseal", cwd=tmp_path)
    assert "nothing to accept" in again.stderr


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


def test_a_task_is_checked_under_its_own_labels(run_cxr: Run, folder: Path) -> None:
    done = run_cxr("data", "check", "--no-images", "--task", "binary", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["counts"]["train"]) == {"NORMAL", "PNEUMONIA"}
    wrong = run_cxr("data", "check", "--task", "four-class", cwd=folder)
    assert wrong.returncode == 2
    assert "'four-class'" in wrong.stderr


def test_the_page_is_written_where_it_is_wanted(run_cxr: Run, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="the page needs the extra 'data'")
    page = tmp_path / "pages" / "check.html"
    done = run_cxr("data", "check", "--html", str(page), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"wrote {page}" in done.stderr
    assert "<img " in page.read_text(encoding="utf-8")


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
