"""`cxr cloud …`: upload, download, dataset, train, jobs, evaluate, export."""

from __future__ import annotations

import typer

from cxr.cli.cloud import dataset, download, evaluate, export, jobs, prices, train, trials, upload

app = typer.Typer(
    help="Work on Google Cloud, or on its emulator on this machine (the default).",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("upload")(upload.upload)
app.command("download")(download.download)
app.command("dataset")(dataset.dataset)
app.add_typer(train.app, name="train")
app.command("prices")(prices.prices)
app.command("trials")(trials.trials)
app.command("jobs")(jobs.jobs)
app.command("status")(jobs.status)
app.command("wait")(jobs.wait)
app.command("logs")(jobs.logs)
app.command("cancel")(jobs.cancel)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
