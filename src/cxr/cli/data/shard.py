"""`cxr data shard`: TFRecord shards with an index."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out
from cxr.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from cxr.manifests.shards import ShardIndex


def shard_command(
    folder: Annotated[Path, typer.Option("--out", "-o", help="The folder to write shards into.", show_default=False)],
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    shard_mb: Annotated[float, typer.Option("--shard-mb", help="Size to aim at, in MB (10^6 bytes).")] = 100.0,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", help="A split to write; may be given several times [default: all that have images]."),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="View of the labels: binary or three-class.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same order.")] = 7,
    force: Annotated[bool, typer.Option("--force", help="Replace shards of another manifest or options.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Write nothing: read the shards in --out and check them all.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pack images into TFRecord shards with an index, for training from a bucket with several workers.

    A second run keeps the shards that are finished and writes the rest.

    Example: cxr data shard --out shards --shard-mb 100
    """
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.shards import INDEX_NAME, ShardOptions, plan_shards, write_shards
    from cxr.manifests.tasks import task_view

    out = Out(as_json, quiet)
    if verify:
        _verify(folder, out)
        return
    if not 0 < shard_mb < float("inf"):
        raise UsageError(f"a shard of {shard_mb:g} MB cannot be", hint="--shard-mb 100")
    manifest = task_view(read_manifest(manifest_path), task)
    root = manifest.root
    options = ShardOptions(max(1, round(shard_mb * 1e6)), tuple(split or ()), task, seed)
    plan = plan_shards(manifest, options)
    with out.progress("shard") as advance:
        run = write_shards(plan, root, folder, force=force, on_progress=advance)
    _print_shards(out, run.index)
    done = {"folder": str(folder), "written": len(run.written), "kept": len(run.kept)}
    out.result("data.shard", {**done, **run.index.to_json()})
    if unused := len(manifest.frame) - plan.records:
        out.say(f"{unused:,} images were left out: their split is not written, or they have none")
    kept = f", {len(run.kept):,} were there already" if run.kept else ""
    out.say(f"wrote {len(run.written):,} shards into {folder}{kept}; {folder / INDEX_NAME} tells all about them")
    out.hint(f"cxr data shard --out {folder} --verify")


def _print_shards(out: Out, index: ShardIndex) -> None:
    rows: list[list[object]] = []
    for split in index.splits:
        shards = index.of(split)
        by_class = [sum(shard.counts.get(name, 0) for shard in shards) for name in index.classes]
        size = f"{sum(shard.bytes for shard in shards) / 1e6:,.1f}"
        rows.append([split, len(shards), *by_class, sum(shard.records for shard in shards), size])
    out.table(["split", "shards", *index.classes, "images", "MB"], rows)


def _verify(folder: Path, out: Out) -> None:
    from cxr.manifests.shards import verify_shards

    with out.progress("verify") as advance:
        index, faults = verify_shards(folder, on_progress=advance)
    _print_shards(out, index)
    for fault in faults:
        out.text(f"error: {fault.file}: {fault.message}")
    found = [asdict(fault) for fault in faults]
    out.result("data.shard-verify", {"folder": str(folder), "ok": not faults, "faults": found})
    if faults:
        raise CheckFailed(
            f"{len(faults):,} of {len(index.shards):,} shards in {folder} are not what the index says, "
            f"first: {faults[0].file}",
            hint="write them again: the same `cxr data shard` command keeps the good ones",
        )
    out.say(f"all {len(index.shards):,} shards are as the index says")
