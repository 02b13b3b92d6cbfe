"""`cxr cloud …`: one file a command, and what they share beside them."""

from __future__ import annotations

import typer

from cxr.cli.cloud import (
    attach,
    check,
    clean,
    dataset,
    download,
    evaluate,
    export,
    host,
    image,
    jobs,
    logs,
    prices,
    train,
    trials,
    upload,
    wait,
)
from cxr.cli.cloud.kept_flags import PlacedGroup

app = typer.Typer(
    cls=PlacedGroup,
    help="Work on Google Cloud or Amazon (--on), or on what stands for them on this machine (the default)."
    "\n\nExample: cxr cloud check",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("check")(check.check)
app.command("upload")(upload.upload)
app.command("download")(download.download)
app.command("dataset")(dataset.dataset)
app.add_typer(train.app, name="train")
app.command("image")(image.image)
app.command("prices")(prices.prices)
app.command("trials")(trials.trials)
app.command("jobs")(jobs.jobs)
app.command("status")(jobs.status)
app.command("wait")(wait.wait)
app.command("logs")(logs.logs)
app.command("cancel")(jobs.cancel)
app.command("attach")(attach.attach)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("host")(host.host)
app.command("clean")(clean.clean)
