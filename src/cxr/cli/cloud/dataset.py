"""`cxr cloud dataset`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, open_connection, open_journal, show_plan
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

if TYPE_CHECKING:
    from cxr.cloud.vertex.datasets import DatasetState


def dataset(
    manifest: ManifestPath = DEFAULT_MANIFEST,
    on: On = None,
    project: Project = None,
    region: Region = None,
    bucket: Bucket = None,
    prefix: Prefix = None,
    state_dir: StateDir = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Take a dataset without the images that could not be imported.")
    ] = False,
    yes: Yes = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make the service's dataset of an uploaded manifest, or find the one that is there. One in which images are
    missing is told, and ends with exit code 5.

    Example: cxr cloud dataset --manifest manifest.csv --yes
    """
    from cxr.cloud.provider import Feature, check_offered
    from cxr.cloud.providers import provider_of
    from cxr.cloud.uploading import check_uploaded

    out, flags = Out(json=json, quiet=quiet), CloudFlags(on, project, region, bucket, prefix, state_dir)
    # Asked before Google's SDK is loaded: a cloud without datasets needs none.
    check_offered(provider_of(flags.settings().on), Feature.DATASETS)
    from cxr.cloud.vertex.datasets import (
        check_complete,
        check_labels,
        ensure_dataset,
        expected_items,
        find_dataset,
    )
    from cxr.manifests.manifest_file import read_manifest

    read = read_manifest(manifest)
    connection = open_connection(flags.settings(), out)
    check_labels(connection, read)
    found = find_dataset(connection, read)
    if found and found.complete:
        state = found
    else:
        check_uploaded(connection, read)
        rows = [
            ("on", connection.place),
            ("under", connection.parent),
            ("images", f"{expected_items(read):,} (of equal bytes only the first is kept)"),
            ("cost", "nothing" if not connection.billed else "nothing to import; storage as in the bucket"),
        ]
        show_plan(out, "fill the dataset that is there" if found else "make a dataset and import the images", rows)
        out.confirm("Go on?", yes=yes)
        journal = open_journal(flags.settings())
        state = ensure_dataset(connection, journal, read, on_step=out.say, is_uploaded=True)
    _tell(out, state, made=found is None)
    if not allow_partial:
        check_complete(state)
    partial = "" if state.complete else " --allow-partial"
    out.hint(flags.command(f"cxr cloud train automl --manifest {shlex.quote(str(manifest))}{partial}"))


def _tell(out: Out, state: DatasetState, *, made: bool) -> None:
    for failure in state.partial_failures:
        out.warn(f"not imported: {failure}")
    out.table(("dataset", "images", "expected"), [(state.resource, state.items, state.expected_items)])
    out.result(
        "cloud.dataset",
        {
            "resource": state.resource,
            "items": state.items,
            "expected_items": state.expected_items,
            "made": made,
            "complete": state.complete,
            "partial_failures": list(state.partial_failures),
        },
    )
