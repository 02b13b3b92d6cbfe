"""`cxr data diff`: what changed between two manifests."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out
from cxr.errors import CheckFailed

if TYPE_CHECKING:
    from cxr.manifests.diff import ManifestDiff

#: Lines of each kind before the rest is only counted.
SHOWN = 10


def diff_command(
    before: Annotated[Path, typer.Argument(metavar="A", help="The earlier manifest.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="The later manifest.")],
    show_all: Annotated[
        bool, typer.Option("--all", help=f"Print every line, not the first {SHOWN} of a kind.")
    ] = False,
    must_be_same: Annotated[
        bool, typer.Option("--must-be-same", help="Exit with 5 when a row differs (for scripts).")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List what changed: images added, removed, renamed, moved between splits, or with other values.

    Example: cxr data diff before.csv manifest.csv
    """
    from cxr.manifests.diff import diff_manifests
    from cxr.manifests.manifest_file import read_manifest

    out = Out(as_json, quiet)
    first, second = read_manifest(before), read_manifest(after)
    found = diff_manifests(first, second)
    _print(out, found, None if show_all else SHOWN)
    moves = [{"from": old, "to": new, "images": count} for (old, new), count in sorted(found.moves().items())]
    hashes = {"before": first.hash, "after": second.hash}
    out.result("data.diff", {"hashes": hashes, "same": found.is_empty, **asdict(found), "moves": moves})
    if found.is_empty:
        out.say(f"the rows are the same (hash {first.hash[:12]})")
    elif must_be_same:
        raise CheckFailed(f"{before} and {after} differ", hint=f"see: cxr data diff {before} {after} --all")


def _print(out: Out, found: ManifestDiff, shown: int | None) -> None:
    changed = len({change.path for change in found.changes})
    rows: list[list[object]] = [
        ["added", len(found.added)],
        ["removed", len(found.removed)],
        ["renamed", len(found.renamed)],
        ["changed", changed],
    ]
    rows += [[f"moved {old or 'unused'} -> {new or 'unused'}", n] for (old, new), n in sorted(found.moves().items())]
    out.table(["what", "images"], rows)
    for name, old, new in found.header:
        out.text(f"header: {name}: {old} -> {new}")
    kinds = (
        [f"+ {path}" for path in found.added],
        [f"- {path}" for path in found.removed],
        [f"> {old} -> {new}" for old, new in found.renamed],
        [f"~ {c.path}: {c.column}: {c.before or '(empty)'} -> {c.after or '(empty)'}" for c in found.changes],
    )
    for lines in kinds:
        for line in lines[:shown]:
            out.text(line)
        if shown is not None and len(lines) > shown:
            out.text(f"  … and {len(lines) - shown:,} more (--all)")
