"""docs/tutorial.md, typed: every command of it in a real shell, in an empty folder, on synthetic X-rays."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typed_lines import fenced_blocks

from cxr.cloud.emulator.process import stop

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
#: In the line before a block that no test can type; what it holds is still parsed (test_typed_lines.py).
NOT_TYPED = re.compile(r"<!-- not typed: (?P<why>.+) -->")
#: As few as can be: installing, Kaggle's account, a server that runs until Ctrl-C, Google's project.
MOST_NOT_TYPED = 4
#: A name in the text that stands for a file or folder which a command has made.
_PATH = re.compile(r"`(?P<path>\.?[\w-][\w./-]*(?:/|\.(?:csv|json|jsonl|html|tflite)))`")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, its shell blocks (with the reason why one is not typed, or None), the files that its prose names, and
    the lines that it shows as printed (blocks of text with a title)."""

    title: str
    blocks: tuple[tuple[str, str | None], ...]
    named: tuple[str, ...]
    shown: tuple[str, ...]


def sections() -> list[Section]:
    """The tutorial, section by section."""
    found = []
    for part in re.split(r"^(?=## )", TUTORIAL.read_text(encoding="utf-8"), flags=re.MULTILINE):
        lines = part.splitlines()
        blocks, inside, shown = [], set(), []
        for block in fenced_blocks(part):
            inside |= set(range(block.line, block.line + len(block.lines) + 2))
            reason = NOT_TYPED.fullmatch(lines[block.line - 2])
            if block.language == "sh":
                blocks.append(("\n".join(block.lines), reason["why"] if reason else None))
            elif block.words.startswith("title="):
                shown += block.lines
        prose = "\n".join(line for number, line in enumerate(lines, 1) if number not in inside)
        typed = any(why is None for _, why in blocks)
        named = tuple(match["path"] for match in _PATH.finditer(prose)) if typed else ()
        found.append(Section(lines[0], tuple(blocks), named, tuple(shown)))
    return found


def test_hardly_a_block_is_not_typed_and_each_says_why() -> None:
    reasons = [why for section in sections() for _, why in section.blocks if why]
    assert len(reasons) <= MOST_NOT_TYPED
    assert sum(why is None for section in sections() for _, why in section.blocks) >= 12
    assert not any("--on gcp" in text for section in sections() for text, why in section.blocks if why is None), (
        "a test must not reach a real cloud"
    )


def as_kaggle_packs_it(folder: Path) -> None:
    """Beside the images what comes with the download: a second copy of all, and a desktop's leftovers."""
    shutil.copytree(folder, folder.with_name("copy"))
    folder.with_name("copy").rename(folder / folder.name)
    for image in sorted((folder / "train" / "NORMAL").iterdir()):
        leftover = folder / "__MACOSX" / "train" / "NORMAL" / f"._{image.name}"
        leftover.parent.mkdir(parents=True, exist_ok=True)
        leftover.write_bytes(b"\x00\x05\x16\x07")
    (folder / "train" / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_of_the_tutorial_works_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "tutorial"
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CXR_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    try:
        for section in sections():
            printed: list[str] = []
            for text, why in section.blocks:
                if why is None:
                    printed += type_in(text, folder, environment).splitlines()
                if "cxr data sample" in text:
                    as_kaggle_packs_it(folder / "chest_xray")
            missing = [name for name in section.named if not (folder / name).exists()]
            assert missing == [], section.title
            assert [line for line in section.shown if line not in printed] == [], section.title
    finally:
        stop(folder / ".cxr" / "emulator")
    assert (folder / "manifest.csv").read_text().count("\n") == 161, "the second copy of the download was counted"


def type_in(text: str, folder: Path, environment: dict[str, str]) -> str:
    """Each command of a block in turn, and what they said; one that fails ends the test with it."""
    typed = subprocess.run(
        ["bash", "-eux", "-o", "pipefail", "-c", text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    print(typed.stdout)
    assert typed.returncode == 0, typed.stdout[-3000:]
    return typed.stdout
