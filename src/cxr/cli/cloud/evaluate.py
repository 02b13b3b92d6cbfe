"""`cxr cloud evaluate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, connection_of, hints_for, open_journal
from cxr.cli.cloud.train_options import MaxCost
from cxr.cli.completions import job_ids
from cxr.cli.options import Json, Quiet, StateDir, Yes
from cxr.cli.out import Out
from cxr.errors import UsageError


class Way(StrEnum):
    """How the model is asked for predictions."""

    BATCH = "batch"
    ONLINE = "online"


OutFolder = Annotated[
    Path | None, typer.Option("--out", help="Folder [default: runs/JOB-evaluation, or runs/JOB-predictions].")
]
Predict = Annotated[
    Way | None, typer.Option("--predict", help="Have the service score the manifest's test images: batch, or online.")
]
TrainedOn = Annotated[
    Path | None, typer.Option("--manifest", "-m", help="The manifest it was trained on, for --predict.")
]
Images = Annotated[
    Path | None,
    typer.Option("--images", help="Folder of the images for --predict online, if not where scanned."),
]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the endpoint of --predict online there, billed by the hour.")]
Remove = Annotated[bool, typer.Option("--remove-endpoint", help="Remove the job's endpoint and stop.")]
Again = Annotated[bool, typer.Option("--again", help="Predict anew even if the same batch has succeeded before.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a bundle that is at --out.")]
PlanOnly = Annotated[bool, typer.Option("--dry-run", help="Show what --predict would do and cost, and stop.")]


def evaluate(
    job: Annotated[
        str,
        typer.Argument(
            help="A finished AutoML job's id, or its beginning; see cxr cloud jobs.", autocompletion=job_ids
        ),
    ],
    folder: OutFolder = None,
    predict: Predict = None,
    manifest: TrainedOn = None,
    images: Images = None,
    keep: Keep = False,
    remove_endpoint: Remove = False,
    max_cost: MaxCost = None,
    again: Again = False,
    force: Force = False,
    dry_run: PlanOnly = False,
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
    from cxr.cli.cloud import evaluation_steps, predict_steps
    from cxr.cloud.jobs.asking import refresh
    from cxr.cloud.provider import Feature, check_offered

    out, flags = Out(json=json, quiet=quiet), CloudFlags(state_dir=state_dir)
    if predict is None and (keep or again or dry_run or max_cost is not None):
        raise UsageError("--keep, --again, --dry-run and --max-cost go with --predict", hint="--predict batch")
    if remove_endpoint and predict is not None:
        raise UsageError("--remove-endpoint removes and predicts nothing", hint="leave out --predict, or call it twice")
    if images is not None and predict is not Way.ONLINE:
        raise UsageError("--images goes with --predict online: batches read the bucket", hint="leave out --images")
    if predict is not None and manifest is None:
        raise UsageError("--predict scores a manifest's test images", hint="--manifest manifest.csv")
    settings = flags.settings()
    journal = open_journal(settings)
    found = journal.find(job)
    connection = connection_of(found, settings, out)
    with hints_for(flags):
        found = refresh(connection, journal, found)
        if remove_endpoint:
            check_offered(connection.provider, Feature.ENDPOINTS)
            predict_steps.remove_endpoint(out, flags, connection, journal, found, yes=yes)
        elif predict is None or manifest is None:
            target = folder or Path("runs") / f"{found.id}-evaluation"
            evaluation_steps.fetch_evaluation(out, connection, found, target)
        else:
            target = folder or Path("runs") / f"{found.id}-predictions"
            wishes = predict_steps.PredictWishes(
                predict.value, manifest, images, target, max_cost, keep, again, force, dry_run, yes
            )
            predict_steps.Predicting(out, flags, connection, journal, found, wishes).run()
