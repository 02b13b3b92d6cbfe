"""`cxr cloud image`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.cloud.common import CloudFlags
from cxr.cli.cloud.train_options import Prices
from cxr.cli.options import Bucket, Json, On, Prefix, Project, Quiet, Region, StateDir, Yes
from cxr.cli.out import Out


def image(
    out_dir: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write the Dockerfile and the wheel to this folder.")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="Image to build on [default: the one that jobs run in].")
    ] = None,
    build: Annotated[bool, typer.Option("--build", help="Build it with Cloud Build; needs --repository.")] = False,
    repository: Annotated[
        str | None, typer.Option("--repository", help="Where it goes: REGION-docker.pkg.dev/PROJECT/REPOSITORY.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="The image's name.")] = "cxr-trainer",
    tag: Annotated[str | None, typer.Option("--tag", help="Its tag [default: made of what is in it].")] = None,
    machine: Annotated[
        str, typer.Option("--machine", help="e2-medium, e2-standard-2, e2-highcpu-8 or e2-highcpu-32.")
    ] = "e2-standard-2",
    timeout_minutes: Annotated[int, typer.Option("--timeout-minutes", help="The build is ended after this.")] = 45,
    follow: Annotated[
        str | None, typer.Option("--follow", metavar="BUILD", help="Follow a build that was started from here.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the build until it has ended.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop; needs no account.")] = False,
    prices: Prices = None,
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
    """Make a container image with the trainer in it, for projects whose jobs may not pull or install anything.

    Example: cxr cloud image --build --repository us-central1-docker.pkg.dev/my-project/cxr --yes
    """
    from cxr.cli.cloud.image_steps import ImageWishes, run_image

    run_image(
        Out(json=json, quiet=quiet),
        CloudFlags(on, project, region, bucket, prefix, state_dir, prices),
        ImageWishes(out_dir, base, build, repository, name, tag, machine, timeout_minutes, follow, wait, dry_run, yes),
    )
