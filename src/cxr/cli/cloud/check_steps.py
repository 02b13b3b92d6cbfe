"""What `cxr cloud check` looks at: the manifest, and a saved launch plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cxr.cli.options import DEFAULT_MANIFEST
from cxr.documents import parse_json
from cxr.errors import CxrError, InputError, UsageError
from cxr.settings import Settings, Target

if TYPE_CHECKING:
    from cxr.cloud.plans.files import SavedPlan
    from cxr.cloud.plans.launch import JobKind
    from cxr.cloud.preflight import Finding, Subject

#: Options that go together with --plan: they say nothing about the job.
BESIDE_PLAN = frozenset({"plan", "kind", "prices", "state_dir", "json", "quiet"})


def with_manifest(subject: Subject, path: Path | None) -> tuple[Subject, list[Finding]]:
    """The subject with the manifest, if there is one; one that was named and cannot be read is a finding."""
    from cxr.cloud.preflight import Finding, Level
    from cxr.manifests.manifest_file import read_manifest

    shown = path or DEFAULT_MANIFEST
    subject = replace(subject, manifest_path=str(shown))
    if path is None and not shown.exists():
        return subject, []
    try:
        return replace(subject, manifest=read_manifest(shown)), []
    except CxrError as error:
        return subject, [Finding(Level.ERROR, "manifest", error.message, str(shown), error.hint or "")]


def planned_subject(path: Path, kind: str | None, settings: Settings) -> tuple[Settings, Subject, list[Finding]]:
    """The place and the subject of a saved launch plan. Raises InputError for a file that is none or is not whole,
    UsageError for the plan of another kind than `kind`."""
    from cxr.cloud.plans.files import read_plan
    from cxr.cloud.plans.launch import JobKind
    from cxr.cloud.preflight import Finding, Level, subject_of

    if kind is not None and kind not in set(JobKind):
        raise UsageError(f"there is no launch plan for {kind!r}", hint="leave --for out")
    saved = read_plan(path, JobKind(kind) if kind else _kind_of(path))
    try:
        subject = subject_of(saved, None)
        there = _settings_of(saved, settings)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} is not a whole launch plan: {error!r}", hint="make the plan anew") from error
    if subject is None:
        raise UsageError(f"{path} is the plan of a {saved.kind} job, which trains nothing", hint="leave --plan out")
    manifest = Path(saved.inputs["manifest"]) if "manifest" in saved.inputs else None
    subject, findings = with_manifest(subject, manifest)
    if subject.manifest is not None and subject.manifest.hash != saved.manifest_hash:
        words = f"it is another one than the plan's: {subject.manifest.hash[:16]}, not {saved.manifest_hash[:16]}"
        findings.append(Finding(Level.ERROR, "manifest", words, subject.manifest_path, "make the plan anew"))
    return there, subject, findings


def given_flags(ctx: typer.Context) -> set[str]:
    """The names of the parameters that stand on the command line."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def check_plan_alone(ctx: typer.Context) -> None:
    """Raises UsageError for options that a saved plan already answers."""
    others = sorted(given_flags(ctx) - BESIDE_PLAN)
    if others:
        flags = {parameter.name: parameter.opts[0] for parameter in ctx.command.params}
        raise UsageError(
            f"--plan checks a plan as it was saved, so {flags.get(others[0], others[0])} has no place beside it",
            hint="leave it out, or make a new plan with it",
        )


def _kind_of(path: Path) -> JobKind:
    from cxr.cloud.plans.launch import JobKind

    try:
        return JobKind(parse_json(path.read_bytes())["kind"])
    except (OSError, ValueError, KeyError, TypeError):
        return JobKind.CUSTOM  # whoever reads it next says what is wrong with it


def _settings_of(saved: SavedPlan, settings: Settings) -> Settings:
    where = saved.where
    return replace(
        settings,
        on=Target(where["on"]),
        project=where["project"],
        region=where["region"],
        bucket=where["bucket"],
        prefix=where["prefix"],
    )
