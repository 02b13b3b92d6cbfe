"""The shell completes commands and values: Typer's own completion, in a real bash and as zsh asks for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.cli.completions import compare_commands, export_commands, export_formats, job_ids, recipe_names, targets
from cxr.local_baseline.recipes.registry import RECIPES

#: The program under its own name, by which the shell's variable is called.
CXR = f"#!{sys.executable}\nimport sys\nsys.argv[0] = 'cxr'\nfrom cxr.cli.main import main\nmain()\n"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "cxr"
    path.parent.mkdir()
    path.write_text(CXR, encoding="utf-8")
    path.chmod(0o755)
    return path


def completed(program: Path, **variables: str) -> str:
    environment = os.environ | variables | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [str(program)], env=environment, cwd=program.parent, capture_output=True, text=True, timeout=300, check=True
    ).stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")
def test_bash_completes_a_command_and_a_value(program: Path) -> None:
    script = completed(program, _CXR_COMPLETE="source_bash")
    asked = (
        f"{script}\n"
        'COMP_WORDS=(cxr data sam); COMP_CWORD=2; _cxr_completion cxr; echo "${COMPREPLY[@]}"\n'
        'COMP_WORDS=(cxr compare li); COMP_CWORD=2; _cxr_completion cxr; echo "${COMPREPLY[@]}"\n'
        'COMP_WORDS=(cxr cloud upload --on aws); COMP_CWORD=4; _cxr_completion cxr; echo "${COMPREPLY[@]}"\n'
    )
    environment = os.environ | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    shown = subprocess.run(
        ["bash", "--norc", "-c", asked], env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    assert shown.stdout.splitlines() == ["sample", "lint", "aws-local aws"]


def test_zsh_is_offered_recipes_with_the_command_that_takes_them(program: Path) -> None:
    assert "compdef" in completed(program, _CXR_COMPLETE="source_zsh")
    asked = {"_CXR_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "cxr baseline train --recipe cnn"}
    offered = completed(program, **asked)
    assert [name for name in RECIPES if f'"{name}"' in offered] == [name for name in RECIPES if name.startswith("cnn")]


def test_values_are_completed_from_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert targets("") == ["emulator", "gcp", "aws-local", "aws"]
    assert recipe_names("flag") == ["flagship"]
    assert export_formats("tflite,onn") == ["tflite,onnx"]
    assert export_commands("ver") == ["verify"]
    assert compare_commands("") == ["import", "lint"]
    monkeypatch.chdir(tmp_path)
    assert job_ids("") == []
    (tmp_path / ".cxr").mkdir()
    journal = tmp_path / ".cxr" / "jobs.jsonl"
    needed = ("project", "region", "bucket", "prefix", "manifest_hash", "fingerprint")
    for number in (1, 2):
        job = {"id": f"custom-{number}", "kind": "custom", "on": "emulator", **dict.fromkeys(needed, "")}
        with journal.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(job) + "\n")
    assert job_ids("cus") == ["custom-2", "custom-1"]
    journal.write_text("no journal\nat all\n", encoding="utf-8")
    assert job_ids("") == []
