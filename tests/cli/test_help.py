"""Every command explains itself, with an example, and takes --json and --quiet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import typer
from typer.core import TyperGroup

from cxr.cli.default_group import DefaultGroup
from cxr.cli.main import app
from cxr.version import __version__


def _commands(group: TyperGroup, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, (*path, name))
        elif isinstance(group, DefaultGroup) and name == group.DEFAULT:
            yield path, command
        else:
            yield (*path, name), command


def _groups(group: TyperGroup, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], TyperGroup]]:
    """All groups but those that are a command themselves: their help is that command's."""
    if not isinstance(group, DefaultGroup):
        yield path, group
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _groups(command, (*path, name))


GROUPS = dict(_groups(typer.main.get_group(app), ()))
COMMANDS = dict(_commands(typer.main.get_group(app), ()))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_an_example_and_the_common_options(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert f"Example: cxr {' '.join(path)}" in " ".join((command.help or "").split())  # type: ignore[attr-defined]
    options = {name for parameter in command.params for name in parameter.opts}  # type: ignore[attr-defined]
    assert {"--json", "--quiet"} <= options
    assert all(getattr(p, "help", None) for p in command.params if p.name != "help")  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", GROUPS, ids=lambda path: " ".join(path) or "cxr")
def test_a_group_says_what_it_is_for_with_an_example(path: tuple[str, ...]) -> None:
    group = GROUPS[path]
    said = " ".join((group.help or "").split())
    assert f"Example: {' '.join(('cxr', *path))} " in said
    example = said.partition(f"Example: {' '.join(('cxr', *path))} ")[2].split()[0]
    assert example in group.commands
    assert all(command.help for command in group.commands.values())


def test_the_map_of_commands_is_complete() -> None:
    shown = {" ".join(path) for path in COMMANDS}
    assert shown >= {
        "demo", "doctor", "compare", "export",
        "data scan", "data check", "data split", "data sample", "data import-file",
        "data shard", "data import-dicom", "data diff",
        "cloud check", "cloud image", "emulator project",
        "cloud upload", "cloud dataset", "cloud train automl", "cloud train custom",
        "cloud jobs", "cloud status", "cloud wait", "cloud logs", "cloud cancel", "cloud export",
        "cloud attach", "cloud clean", "cloud host",
        "baseline train", "baseline evaluate", "baseline tune", "baseline explain", "baseline crossval",
        "baseline recipes", "baseline robustness",
        "emulator start", "emulator stop", "emulator status",
    }  # fmt: skip


#: Types `cxr --help`; at the end the last line of stderr has the calls of functions it took, and the modules it loaded.
COUNTED_HELP = """
import sys
calls = 0
def count(frame, event, argument):
    global calls
    calls += event in ("call", "c_call")
sys.argv = ["cxr", "--help"]
sys.setprofile(count)
try:
    from cxr.cli.main import main
    main()
finally:
    sys.setprofile(None)
    print(calls, len(sys.modules), file=sys.stderr)
"""


def test_help_does_no_more_work_than_its_budget() -> None:
    # Calls, not seconds: one machine took between 0.21 and 0.52 s of processor time for the same 356,079 of them. The
    # limit leaves them 20 %.
    def work() -> tuple[int, ...]:
        command, environment = [sys.executable, "-c", COUNTED_HELP], os.environ | {"COLUMNS": "80"}
        shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert "cxr demo" in shown.stdout
        return tuple(map(int, shown.stderr.splitlines()[-1].split()))

    work()  # compiles the modules
    calls, modules = work()
    assert 100_000 < calls < 430_000
    assert modules < 300


def test_python_dash_m_and_version() -> None:
    shown = subprocess.run([sys.executable, "-m", "cxr", "--version"], check=True, capture_output=True, text=True)
    assert shown.stdout.startswith("cxr ")


def test_the_version_as_json_says_what_a_report_of_a_bug_needs(typed: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = typed("--version", "--json")
    told = json.loads(out)
    assert (code, err, told["schema"], told["schema_version"]) == (0, "", "cxr.version", 1)
    assert told["version"] == __version__
    assert told["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert told["platform"]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=told["location"]
    )
    assert told["commit"] == (head.stdout.strip() if head.returncode == 0 else "")


def test_json_and_no_command_is_a_usage_error(typed: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = typed("--json")
    assert (code, out) == (2, "")
    assert "cxr --version --json" in err
