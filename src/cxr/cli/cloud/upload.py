"""`cxr cloud upload`."""

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
from cxr.cli.options import (
    DEFAULT_MANIFEST,
    Bucket,
    Json,
    ManifestPath,
    On,
    Prefix,
    Project,
    Quiet,
    Region,
    StateDir,
    Yes,
)
from cxr.cli.out import Out

PlanPath = Annotated[Path | None, typer.Option("--plan", help="Save the plan to this file (JSON lines) and stop.")]
Apply = Annotated[
    Path | None, typer.Option("--apply", help="Carry out exactly this saved plan; refused when it is no longer true.")
]


def upload(
    manifest: ManifestPath = DEFAULT_MANIFEST,
    images: Annotated[Path | None, typer.Option("--images", help="Folder of the images, if not where scanned.")] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Another destination: gs://bucket/prefix, s3://bucket/prefix, a folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    plan: PlanPath = None,
    apply: Apply = None,
    delete_orphans: Annotated[
        bool, typer.Option("--delete-orphans", help="Delete objects below images/ that no image stands for.")
    ] = False,
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
    """Send the images and the manifest to the bucket; only what is new or changed.

    Example: cxr cloud upload --manifest manifest.csv --yes
    """
    from cxr.cli.cloud.upload_steps import UploadWishes, run_upload

    run_upload(
        Out(json=json, quiet=quiet),
        CloudFlags(on, project, region, bucket, prefix, state_dir),
        TransferFlags(workers, max_rate, retry_for, stall_timeout),
        UploadWishes(manifest, images, to, dry_run, plan, apply, delete_orphans, yes),
    )
