"""`cxr data split` and `cxr data diff` as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from cxr.manifests.manifest import ManifestHeader, new_manifest
from cxr.manifests.manifest_file import read_manifest, write_manifest


def _cxr(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cxr", "data", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with `manifest.csv`: 60 patients of two images each, a fifth of them in test."""
    rows = [
        {
            "path": f"{'test' if patient % 5 == 0 else 'train'}/{label}/p{patient}-{image}.jpeg",
            "label": label,
            "patient": f"p{patient}",
            "split": "test" if patient % 5 == 0 else "train",
            "sha256": f"{patient * 2 + image:064x}",
        }
        for patient in range(60)
        for label in ["NORMAL" if patient % 2 else "PNEUMONIA"]
        for image in range(2)
    ]
    write_manifest(new_manifest(pd.DataFrame(rows), ManifestHeader(root=str(tmp_path))), tmp_path / "manifest.csv")
    return tmp_path


def test_folds_are_shown_and_the_first_validates(folder: Path) -> None:
    done = _cxr("split", "--folds", 4, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["split_policy"] == {"name": "folds", "folds": 4, "seed": 7}
    assert made["folds"] == {str(fold): {"NORMAL": 12, "PNEUMONIA": 12} for fold in range(1, 5)}
    assert made["counts"]["validation"] == {"NORMAL": 12, "PNEUMONIA": 12}
    assert "fold 1 is the validation split" in done.stderr


def test_images_in_no_split_are_told_whoever_took_them_out(folder: Path) -> None:
    read = read_manifest(folder / "manifest.csv")
    frame = read.frame.copy()
    frame.loc[frame["patient"] == "p1", "split"] = ""
    write_manifest(new_manifest(frame, read.header), folder / "manifest.csv")
    by_hand = _cxr("split", "--out", "by-hand.csv", cwd=folder)
    assert "2 images are in no split now, and nothing uses them" in by_hand.stderr
    frame.loc[frame["patient"] == "p2", "patient"] = "p0"
    write_manifest(new_manifest(frame, read.header), folder / "manifest.csv")
    both = _cxr("split", "--out", "both.csv", cwd=folder)
    assert "4 images are in no split now, and nothing uses them" in both.stderr
    checked = _cxr("check", "--manifest", "both.csv", "--no-images", cwd=folder)
    assert "the patients or duplicates of 2 of them also occur in test" in " ".join(checked.stdout.split())


def test_resplit_says_what_is_given_up_and_cannot_be_undone_by_another_split(folder: Path) -> None:
    done = _cxr("split", "--resplit", "0.8/0.1/0.1", cwd=folder)
    assert done.returncode == 0
    assert "results on this split are not comparable" in done.stderr
    again = _cxr("split", cwd=folder)
    assert (again.returncode, "cxr data scan" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--resplit", "0.8/0.1/0.2"], "do not add up to 1"),
        (["--resplit", "a lot"], "is not three shares"),
        (["--resplit", "1.2/-0.1/-0.1"], "must be positive"),
        (["--resplit", "nan/0.5/0.5"], "must be positive"),
        (["--folds", "1"], "there must be 2 to 100"),
        (["--folds", "5", "--validation", "0.2"], "choose one of them"),
        (["--resplit", "0.8/0.1/0.1", "--keep-official"], "choose one of the two"),
        (["--validation", "1.5"], "must lie between 0 and 1"),
        (["--validation", "half"], "--validation"),
    ],
)
def test_a_wrong_flag_is_told_in_one_line_and_writes_nothing(folder: Path, flags: list[str], words: str) -> None:
    before = (folder / "manifest.csv").read_bytes()
    done = _cxr("split", *flags, cwd=folder)
    assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
    assert (folder / "manifest.csv").read_bytes() == before


def test_an_earlier_manifest_keeps_everybody_where_they_were(folder: Path) -> None:
    assert _cxr("split", "--validation", 0.25, "--out", "before.csv", cwd=folder).returncode == 0
    before = read_manifest(folder / "before.csv")
    unsplit = read_manifest(folder / "manifest.csv")
    new = pd.DataFrame([{"path": f"train/NORMAL/new{n}.jpeg", "patient": f"n{n}"} for n in range(40)])
    grown = pd.concat([unsplit.frame, new.assign(label="NORMAL", split="train")], ignore_index=True)
    write_manifest(new_manifest(grown, unsplit.header, folder / "grown.csv"), folder / "grown.csv")
    flags = ["--validation", 0.25, "--manifest", "grown.csv", "--previous", "before.csv", "--out", "after.csv"]
    done = _cxr("split", *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    changed = json.loads(_cxr("diff", "before.csv", "after.csv", "--json", cwd=folder).stdout)
    assert (len(changed["added"]), changed["changes"], changed["moves"]) == (40, [], [])
    counts = read_manifest(folder / "after.csv").header.counts["validation"]
    assert abs(counts["NORMAL"] - 0.25 * (before.header.counts["train"]["NORMAL"] + 12 + 40)) <= 2


@pytest.mark.slow
def test_diff_lists_what_changed_and_fails_only_when_asked(folder: Path) -> None:
    _cxr("split", "--out", "split.csv", cwd=folder)
    done = _cxr("diff", "manifest.csv", "split.csv", cwd=folder)
    assert done.returncode == 0
    assert "moved train -> validation" in done.stdout
    assert "header: split_policy: as found in the folders -> validation 0.1 of the training pool" in done.stdout
    assert _cxr("diff", "manifest.csv", "split.csv", "--must-be-same", cwd=folder).returncode == 5
    same = _cxr("diff", "split.csv", "split.csv", "--must-be-same", cwd=folder)
    assert (same.returncode, "the rows are the same" in same.stderr) == (0, True)
    missing = _cxr("diff", "split.csv", "none.csv", cwd=folder)
    assert (missing.returncode, "there is no manifest none.csv" in missing.stderr) == (2, True)


def test_a_name_that_would_overwrite_the_header_is_refused(folder: Path) -> None:
    for name in ("manifest.json", "manifest"):
        done = _cxr("split", "--out", name, cwd=folder)
        assert (done.returncode, "is no name for a manifest" in done.stderr) == (2, True)
    assert read_manifest(folder / "manifest.csv").header.images == 120


@pytest.mark.parametrize("name", ["manifest.csv", "./manifest.csv", "manifest.scan.csv"])
def test_an_import_file_does_not_overwrite_the_manifest(folder: Path, name: str) -> None:
    done = _cxr("import-file", "--images-url", "gs://b/i", "--no-verify", "--out", name, cwd=folder)
    assert (done.returncode, "would overwrite the manifest" in done.stderr) == (2, True), done.stderr
    assert read_manifest(folder / "manifest.csv").header.images == 120


@pytest.mark.slow
def test_a_rescan_tells_what_it_changes_and_does_not_undo_a_hands_work(tmp_path: Path) -> None:
    assert _cxr("sample", "syn", "--images", 60, "-q", cwd=tmp_path).returncode == 0
    assert _cxr("scan", "syn", "-q", cwd=tmp_path).returncode == 0
    assert _cxr("split", "--validation", 0.3, "-q", cwd=tmp_path).returncode == 0
    gone = next((tmp_path / "syn").rglob("train/NORMAL/*.jpeg"))
    gone.rename(gone.with_name("IM-9999-0001.jpeg"))
    done = _cxr("scan", "syn", "--patient-key", "number", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["split_kept"], told["new_images"], told["gone"], told["renamed"]) == (True, 0, 0, 1)
    assert "patients are told by number now, not by etiology+number" in done.stderr
    text = (tmp_path / "manifest.csv").read_text()
    (tmp_path / "manifest.csv").write_text(text.replace(",train,", ",,", 1))
    assert _cxr("check", "--reseal", "--no-images", "-q", cwd=tmp_path).returncode == 0
    edited = (tmp_path / "manifest.csv").read_bytes()
    refused = _cxr("scan", "syn", cwd=tmp_path)
    assert (refused.returncode, "was edited by hand" in refused.stderr, "--fresh" in refused.stderr) == (2, True, True)
    assert (tmp_path / "manifest.csv").read_bytes() == edited
    assert _cxr("scan", "syn", "--fresh", "-q", cwd=tmp_path).returncode == 0
