"""`cxr doctor`: what would stop cxr on this machine and in this folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.about import RESEARCH_USE
from cxr.cli.findings_table import Row, show_findings
from cxr.cli.options import Json, Quiet, StateDir
from cxr.cli.out import Out
from cxr.errors import CheckFailed, CxrError
from cxr.settings import load_settings

if TYPE_CHECKING:
    from cxr.doctor import Finding, Subject


def doctor(
    online: Annotated[
        bool, typer.Option("--online", help="Ask the cloud of the settings, too; nothing is asked without.")
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="Load TensorFlow and see which graphics cards it finds.")] = False,
    min_free_gb: Annotated[
        float, typer.Option("--min-free-gb", min=0, help="What a disk should have left, in GB.")
    ] = 2.0,
    state_dir: StateDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at versions, extras, credentials, programs, disks, clock, settings and journal; exit code 5 for a problem.

    Nothing is changed, nothing leaves this machine (unless --online), and no secret is shown: of credentials it is only
    told whether they are there, and where. Every finding that can be mended comes with the command that mends it.

    Example: cxr doctor --json
    """
    from cxr.doctor import Level, examine

    out = Out(json=json, quiet=quiet)
    findings = examine(_subject(online, gpu, min_free_gb, state_dir))
    rows = [Row(one.level, one.check, one.words, one.fix) for one in findings]
    show_findings(out, f"cxr doctor ({RESEARCH_USE.lower()})", rows, next_column="fix")
    problems, notes = (_counted(findings, level) for level in (Level.PROBLEM, Level.NOTE))
    counts = {"problems": len(problems), "notes": len(notes), "ok": not problems}
    out.result("doctor", {"findings": [asdict(one) for one in findings], **counts})
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise CheckFailed(f"{problems[0].check}: {problems[0].words}{more}", hint=problems[0].fix or None)
    out.say("nothing stands in the way" + (f"; {len(notes)} notes" if notes else ""))


def _subject(online: bool, gpu: bool, min_free_gb: float, state_dir: Path | None) -> Subject:
    from cxr.doctor import Subject

    try:
        settings, error, fix = load_settings({"state_dir": state_dir}), "", ""
    except CxrError as refused:
        settings, error, fix = None, refused.message, refused.hint or ""
    return Subject(settings, error, fix, online=online, gpu=gpu, min_free_gb=min_free_gb)


def _counted(findings: list[Finding], level: str) -> list[Finding]:
    return [finding for finding in findings if finding.level == level]
