"""From a folder of images to the figures of its test split, in one command."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from small_folder import draw_kaggle_folder

RunCxr = Callable[..., subprocess.CompletedProcess[str]]
TRAIN = ("baseline", "train", "--recipe", "cnn5", "--epochs", "1", "--data", "chest_xray", "--evaluate")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with images that may only be read."""
    folder = tmp_path_factory.mktemp("one-command")
    draw_kaggle_folder(folder / "chest_xray")
    for path in [folder / "chest_xray", *(folder / "chest_xray").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return folder


def tree(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


@pytest.mark.slow
def test_a_folder_is_trained_on_and_judged_in_one_command_and_once(work: Path, run_cxr: RunCxr) -> None:
    before = tree(work / "chest_xray")
    ran = run_cxr(*TRAIN, "--json", cwd=work)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["schema"] == "cxr.baseline.train"
    judged = document["evaluation"]
    assert judged["schema"] == "cxr.baseline.evaluate"
    assert tree(work / "chest_xray") == before
    (manifest_path,) = work.glob(".cxr/data/chest_xray-*/manifest.csv")
    splits = [line.split(",") for line in manifest_path.read_text().splitlines()]
    column = splits[0].index("split")
    counted = {split: sum(row[column] == split for row in splits[1:]) for split in ("train", "validation", "test")}
    assert counted["test"] == 12  # left alone
    assert counted["train"] + counted["validation"] == 28  # val of the release is folded back
    again = run_cxr(*TRAIN, cwd=work)
    assert again.returncode == 0, again.stderr
    assert "nothing was trained" in again.stderr
    assert "sensitivity" in again.stdout
    assert "Research use, not a medical device" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "nowhere"), "there is no folder nowhere"),
        (("--data", "chest_xray", "--manifest", "manifest.csv"), "--data makes a manifest of its own"),
        (("--data", "untested", "--evaluate"), "has no test images"),
    ],
    ids=["no-folder", "both", "no-test"],
)
def test_what_cannot_be_is_said_before_anything_is_trained(
    work: Path, run_cxr: RunCxr, arguments: tuple[str, ...], words: str
) -> None:
    if not (work / "untested").is_dir():
        draw_kaggle_folder(work / "untested", {"train": 12})
    ran = run_cxr("baseline", "train", *arguments, cwd=work)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
