"""`cxr cloud download`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.cloud.common import CloudFlags
from cxr.cli.cloud.transfers import (
    DEFAULT_RETRY_S,
    DEFAULT_STALL_S,
    MaxRate,
    RetryFor,
    StallTimeout,
    TransferFlags,
    Workers,
)
from cxr.cli.options import Bucket, Json, On, Prefix, Project, Quiet, Region, StateDir, Yes
from cxr.cli.out import Out


def download(
    folder: Annotated[Path, typer.Argument(help="Folder to fill.")],
    source: Annotated[
        str | None, typer.Option("--from", help="Another source: gs://bucket/prefix, s3://bucket/prefix, a folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    workers: Workers = None,
    max_rate: MaxRate = None,
    retry_for: RetryFor = DEFAULT_RETRY_S,
    stall_timeout: StallTimeout = DEFAULT_STALL_S,
    on: On = None,
    project: Project = None,
    region: Region = None,
    bucket: Bucket = None,
    prefix: Prefix = None,
    state_dir: StateDir = None,
    yes: Yes = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Bring an uploaded manifest and its images to a folder; only what is not there yet.

    Example: cxr cloud download xrays-from-the-bucket
    """
    from cxr.cli.cloud.download_steps import DownloadWishes, run_download

    run_download(
        Out(json=json, quiet=quiet),
        CloudFlags(on, project, region, bucket, prefix, state_dir),
        TransferFlags(workers, max_rate, retry_for, stall_timeout),
        DownloadWishes(folder, source, dry_run, yes),
    )
