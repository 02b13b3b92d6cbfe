"""`cxr cloud host`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.cloud.common import CloudFlags
from cxr.cli.options import Bucket, Json, On, Project, Quiet, Region, StateDir, Yes
from cxr.cli.out import Out

PageFolder = Annotated[
    Path | None, typer.Argument(metavar="PAGE", help="A folder made by `cxr web build`.", show_default=False)
]
PagePrefix = Annotated[str | None, typer.Option("--prefix", help='Folder in the bucket, "" for none [default: page].')]
Public = Annotated[bool, typer.Option("--public", help="Let everybody see it; asks for the bucket's name.")]
YesPublic = Annotated[
    str | None,
    typer.Option("--yes-public", metavar="BUCKET", help="With --yes: the bucket that may be made public."),
]
Remove = Annotated[bool, typer.Option("--remove", help="Undo it: the page's files, what made the bucket public.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]
PlanTo = Annotated[Path | None, typer.Option("--plan", metavar="FILE", help="Save the plan to FILE and stop.")]
Apply = Annotated[
    Path | None,
    typer.Option("--apply", metavar="FILE", help="Carry out exactly this saved plan; refused when no longer true."),
]


def host(
    page: PageFolder = None,
    public: Public = False,
    remove: Remove = False,
    dry_run: DryRun = False,
    plan: PlanTo = None,
    apply: Apply = None,
    on: On = None,
    project: Project = None,
    region: Region = None,
    bucket: Bucket = None,
    prefix: PagePrefix = None,
    state_dir: StateDir = None,
    yes: Yes = False,
    yes_public: YesPublic = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put a page on a bucket with its headers: private, or for everybody with --public. Research use, not a medical
    device.

    Example: cxr cloud host page --bucket my-page --public
    """
    from cxr.cli.cloud.host_steps import HostWishes, run_host

    run_host(
        Out(json=json, quiet=quiet),
        CloudFlags(on, project, region, bucket, prefix, state_dir),
        HostWishes(page, public, remove, dry_run, plan, apply, yes, yes_public),
    )
