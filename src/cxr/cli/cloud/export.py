"""`cxr cloud export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, connection_of, open_journal, show_plan
from cxr.cli.options import Json, Quiet, StateDir
from cxr.cli.out import Out
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.journal import Job


def export(
    job: Annotated[str, typer.Argument(help="A finished job's id, or its beginning; see cxr cloud jobs.")],
    to: Annotated[str, typer.Option("--to", help="Formats of an AutoML model, with commas.")] = "tflite,tf-js",
    folder: Annotated[Path | None, typer.Option("--out", help="Folder of the bundle [default: runs/JOB].")] = None,
    state_dir: StateDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Bring a finished job's model home as a bundle that can be compared.

    Example: cxr cloud export automl-1a2b3c --to tflite,tf-js --out runs/automl
    """
    from cxr.cloud.exporting import export_job
    from cxr.cloud.vertex.jobs import refresh

    out = Out(json=json, quiet=quiet)
    settings = CloudFlags(state_dir=state_dir).settings()
    journal = open_journal(settings)
    found = journal.find(job)
    formats = [name.strip() for name in to.split(",") if name.strip()]
    if not formats:
        raise UsageError("no format is named", hint="--to tflite,tf-js")
    connection = connection_of(found, settings, out)
    found = refresh(connection, journal, found)
    out.say(f"{found.id}: {found.state}")
    target = folder or Path("runs") / found.id
    show_plan(out, "export", _plan(found, connection, formats, target))
    with out.progress("exporting") as advance:
        bundle = export_job(connection, found, target, formats=formats, on_progress=advance)
    journal.update(found, exported_to=str(target))
    info = bundle.info
    size = sum(file.size for file in info.files)
    out.table(
        ("bundle", "format", "classes", "files", "bytes"),
        [(str(target), info.format, " ".join(info.classes), len(info.files), size)],
    )
    if info.stand_in:
        out.warn("this model is the emulator's stand-in for AutoML, not Google's")
    out.hint(f"cxr compare {target} --manifest manifest.csv")
    out.result(
        "cloud.export", {"bundle": str(target), "hash": bundle.hash, "format": info.format, "stand_in": info.stand_in}
    )


def _plan(job: Job, connection: Connection, formats: Sequence[str], target: Path) -> list[tuple[str, str]]:
    rows = [("job", job.id), ("on", connection.place)]
    if job.kind == "automl":
        rows += [
            ("formats", " ".join(formats)),
            ("leaves behind", f"files under {connection.base_url}/exports/{job.id}"),
        ]
    else:
        rows += [("from", f"{job.output_url}/model")]
    return [*rows, ("to", str(target)), ("cost", "nothing here" if not connection.billed else "the download's traffic")]
