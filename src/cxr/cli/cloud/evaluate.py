"""`cxr cloud evaluate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, connection_of, open_journal
from cxr.cli.options import Json, Quiet, StateDir, Yes
from cxr.cli.out import Out
from cxr.errors import UsageError


class Way(StrEnum):
    """How the model is asked for predictions."""

    BATCH = "batch"
    ONLINE = "online"


def evaluate(
    job: Annotated[str, typer.Argument(help="A finished AutoML job's id, or its beginning; see cxr cloud jobs.")],
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder [default: runs/JOB-evaluation, or runs/JOB-predictions].")
    ] = None,
    predict: Annotated[
        Way | None,
        typer.Option("--predict", help="Have the service score the manifest's test images: batch, or online."),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", "-m", help="The manifest it was trained on, for --predict.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the images for --predict online, if not where scanned.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the endpoint of --predict online there, billed by the hour.")
    ] = False,
    remove_endpoint: Annotated[
        bool, typer.Option("--remove-endpoint", help="Remove the job's endpoint and stop.")
    ] = False,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", min=0, help="Refuse what may cost more USD than this.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Predict anew even if the same batch has succeeded before.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is at --out.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what --predict would do and cost, and stop.")
    ] = False,
    state_dir: StateDir = None,
    yes: Yes = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch the service's own evaluation of a model, or have the service score the manifest's test images.

    The first is the service's figures as JSON and CSV. With --predict the answers become a bundle of predictions, which
    cxr compare judges beside all other models: the way for models that cannot be exported.

    Example: cxr cloud evaluate automl-1a2b3c --predict batch --manifest manifest.csv --max-cost 10
    """
    from cxr.cli.cloud.predict_steps import Predicting, PredictWishes
    from cxr.cli.cloud.predict_steps import remove_endpoint as remove
    from cxr.cloud.vertex.jobs import refresh

    out = Out(json=json, quiet=quiet)
    flags = CloudFlags(state_dir=state_dir)
    settings = flags.settings()
    if predict is None and (keep or again or dry_run or max_cost is not None):
        raise UsageError("--keep, --again, --dry-run and --max-cost go with --predict", hint="--predict batch")
    if predict is not None and manifest is None:
        raise UsageError("--predict scores a manifest's test images", hint="--manifest manifest.csv")
    journal = open_journal(settings)
    found = journal.find(job)
    connection = connection_of(found, settings, out)
    found = refresh(connection, journal, found)
    if remove_endpoint:
        remove(out, connection, journal, found, yes=yes)
    elif predict is None or manifest is None:
        from cxr.cli.cloud.evaluation_steps import fetch_evaluation

        fetch_evaluation(out, connection, found, folder or Path("runs") / f"{found.id}-evaluation")
    else:
        target = folder or Path("runs") / f"{found.id}-predictions"
        wishes = PredictWishes(predict.value, manifest, images, target, max_cost, keep, again, force, dry_run, yes)
        Predicting(out, flags, connection, journal, found, wishes).run()
