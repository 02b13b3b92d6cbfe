"""`cxr cloud export`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxr.cli.cloud.common import CloudFlags, connection_of, hints_for, open_journal, show_plan
from cxr.cli.completions import job_ids
from cxr.cli.options import Json, Quiet, StateDir
from cxr.cli.out import Out
from cxr.errors import Interrupted

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.exporting.bringing import Exported, ExportOptions
    from cxr.cloud.jobs.journal import Job

#: The folder of the state directory in which exports are remembered.
RECORDS = "exports"
FormatNames = Annotated[
    str,
    typer.Option(
        "--to", help="Formats of an AutoML model, with commas: tflite, tf-js, saved-model, edgetpu-tflite, core-ml."
    ),
]


@dataclass(frozen=True, slots=True)
class _Wishes:
    """The command line as given, to be given again."""

    to: str
    folder: Path | None
    manifest: Path | None
    again: bool
    force: bool

    def command(self, job: Job, flags: CloudFlags) -> str:
        """The command that goes on: it finds what was begun."""
        parts = [f"cxr cloud export {job.id} --to {shlex.quote(self.to)}"]
        parts += [f"--out {shlex.quote(str(self.folder))}"] if self.folder else []
        parts += [f"--manifest {shlex.quote(str(self.manifest))}"] if self.manifest else []
        parts += ["--force"] if self.force else []
        return flags.follow_up(" ".join(parts))


def export(
    job: Annotated[
        str, typer.Argument(help="A finished job's id, or its beginning; see cxr cloud jobs.", autocompletion=job_ids)
    ],
    to: FormatNames = "tflite,tf-js",
    folder: Annotated[Path | None, typer.Option("--out", help="Folder of the bundle [default: runs/JOB].")] = None,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", "-m", help="The manifest it was trained on, for a job started elsewhere."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Export anew, whatever is in the bucket already.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is at --out.")] = False,
    state_dir: StateDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Bring a finished job's model home as a bundle that can be compared.

    Exports that are in the bucket already are found again. Every format is loaded and scores one image before anything
    is at --out; Ctrl-C leaves what runs on the service, and the same command goes on.

    Example: cxr cloud export automl-1a2b3c --to tflite,tf-js,saved-model --out runs/automl
    """
    from cxr.cloud.exporting import export_job, parse_formats
    from cxr.cloud.jobs.asking import refresh
    from cxr.cloud.provider import Feature, check_offered

    out = Out(json=json, quiet=quiet)
    flags = CloudFlags(state_dir=state_dir)
    settings = flags.settings()
    wishes = _Wishes(to, folder, manifest, again, force)
    parse_formats(to.split(","))
    journal = open_journal(settings)
    found = journal.find(job)
    connection = connection_of(found, settings, out)
    target = folder or Path("runs") / found.id
    with hints_for(flags):
        found = refresh(connection, journal, found)
        out.say(f"{found.id}: {found.state}")
        if found.kind == "automl":
            check_offered(connection.provider, Feature.AUTOML_EXPORTS)
        show_plan(out, "export", _plan(found, connection, to.split(","), target))
        options = _options(wishes, settings.state_dir / RECORDS)
        try:
            with out.progress("exporting") as advance:
                exported = export_job(connection, found, target, options, on_progress=advance, say=out.say)
        except (KeyboardInterrupt, Interrupted):
            raise Interrupted(
                "what was begun on the service goes on; nothing is at --out yet", hint=wishes.command(found, flags)
            ) from None
    journal.update(found, exported_to=str(target))
    _tell(out, exported, target, manifest, connection.provider.name)


def _options(wishes: _Wishes, records: Path) -> ExportOptions:
    from cxr.cli.cloud.verifying import OneImageScorer
    from cxr.cloud.exporting import ExportOptions, parse_formats
    from cxr.manifests.manifest_file import read_manifest

    given = read_manifest(wishes.manifest).hash if wishes.manifest else ""
    formats = parse_formats(wishes.to.split(","))
    return ExportOptions(OneImageScorer(), records, formats, given, again=wishes.again, replace=wishes.force)


def _plan(job: Job, connection: Connection, formats: Sequence[str], target: Path) -> list[tuple[str, str]]:
    rows = [("job", job.id), ("on", connection.place)]
    if job.kind == "automl":
        rows += [
            ("formats", " ".join(formats)),
            ("leaves behind", f"files under {connection.base_url}/exports/{job.id}"),
        ]
    else:
        whose = "the best trial's model" if job.kind == "tune" else "its model"
        rows += [("from", f"{job.output_url}, {whose}" if job.output_url else "what the job wrote")]
    return [*rows, ("to", str(target)), ("cost", "nothing here" if not connection.billed else "the download's traffic")]


def _tell(out: Out, exported: Exported, target: Path, manifest: Path | None, cloud: str) -> None:
    info = exported.bundle.info
    size = sum(file.size for file in info.files)
    out.table(
        ("bundle", "scored as", "classes", "files", "bytes"),
        [(str(target), info.format, " ".join(info.classes), len(info.files), size)],
    )
    for one in exported.verified:
        out.say(f"checked {one.format}: {one.said}")
    if info.stand_in:
        out.warn("this model is the emulator's stand-in for AutoML, not Google's")
    out.say(f"cost: {_cost_in_words(info.cost or {}, cloud)}")
    out.hint(f"cxr compare {shlex.quote(str(target))} --manifest {shlex.quote(str(manifest or 'manifest.csv'))}")
    out.result(
        "cloud.export",
        {
            "bundle": str(target),
            "hash": exported.bundle.hash,
            "format": info.format,
            "classes": list(info.classes),
            "manifest_hash": info.manifest_hash,
            "stand_in": info.stand_in,
            "formats": {one.format: one.as_json() for one in exported.verified},
            "cost": info.cost,
        },
    )


def _cost_in_words(cost: Any, cloud: str) -> str:
    worst = f"at most {cost['worst_case_usd']:,.2f} USD planned" if cost.get("worst_case_usd") else "not planned here"
    hours = "" if cost.get("hours") is None else f"{cost['hours']:.3g} {cost['hours_are']}"
    if not cost.get("billed"):
        return f"nothing here ({hours or 'no hours reported'}; on {cloud} {worst})"
    bound = "at most " if cost.get("actual_is_at_most") else ""
    actual = "not known" if cost.get("actual_usd") is None else f"{bound}{cost['actual_usd']:,.2f} USD"
    return f"{actual} ({hours or 'no hours reported'}; {worst})"
