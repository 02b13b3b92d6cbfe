"""The scan of linked folders: each folder once, and under its own name where it has one."""

from __future__ import annotations

from pathlib import Path

import pytest
from manifest_pictures import make_folder, picture, put
from scanned import rules_of

from cxr.manifests.scan.folder import scan


def test_links_that_lead_to_themselves_are_reported(tmp_path: Path) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    (tmp_path / "A" / "loop.jpeg").symlink_to("loop.jpeg")
    (tmp_path / "circle").symlink_to("circle")
    rules = rules_of(scan(tmp_path).header.problems)
    assert rules["A/loop.jpeg"] == "unreadable"
    assert rules["circle"] == "unreadable"


SETS = ["train/A/1.jpeg", "train/B/2.jpeg", "test/A/3.jpeg", "test/B/4.jpeg"]


@pytest.mark.parametrize(
    ("real", "links", "rules"),
    [
        (SETS, {"all": "train"}, {"all": "outside-layout"}),
        (SETS, {"test/A/link": "../../train/A"}, {"test/A/link": "folder-twice"}),
        (SETS, {"train/A/link": "../../test"}, {"train/A/link": "folder-twice"}),
        (SETS, {"extra": "../elsewhere"}, {"extra": "outside-layout"}),
        (
            [f"archive/{path}" for path in SETS],
            {"train": "archive/train", "test": "archive/test", "val": "archive/test/A"},
            {"val": "folder-twice", "archive/test": "folder-twice", "archive/train": "folder-twice"},
        ),
        (
            [f"../elsewhere/{path}" for path in SETS],
            {"train": "../elsewhere/train", "test": "../elsewhere/test", "../elsewhere/test/A/0": "../../train/A"},
            {"test/A/0": "folder-twice"},
        ),
    ],
    ids=["alias", "train-in-test", "test-in-train", "strange-alias", "all-linked", "linked-twice"],
)
def test_a_link_never_takes_images_from_the_folder_that_they_are_in(
    tmp_path: Path, real: list[str], links: dict[str, str], rules: dict[str, str]
) -> None:
    root = tmp_path / "set"
    root.mkdir()
    put(tmp_path, "elsewhere/x/9.jpeg", picture(9))
    make_folder(root, real)
    for name, target in links.items():
        (root / name).symlink_to(target, target_is_directory=True)
    manifest = scan(root)
    counts = {split: sum(labels.values()) for split, labels in manifest.header.counts.items()}
    assert counts == {"train": 2, "test": 2}
    told = [problem for problem in manifest.header.problems if problem.rule != "unknown-patient"]
    assert rules_of(told) == rules


def test_a_folder_that_is_linked_under_two_names_is_taken_under_the_first(tmp_path: Path) -> None:
    make_folder(tmp_path / "elsewhere", ["1.jpeg", "2.jpeg"])
    make_folder(tmp_path / "set", ["test/B/3.jpeg", "train/B/4.jpeg"])
    for name in ("test/A", "train/A"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    manifest = scan(tmp_path / "set")
    assert manifest.header.counts == {"test": {"A": 2, "B": 1}, "train": {"B": 1}}
    assert rules_of(manifest.header.problems)["train/A"] == "folder-twice"
