"""`cxr data split`: who trains, who validates, who is tested."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.data.common import manifest_flag, print_counts, summary
from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.manifests.manifest import Manifest, SplitPolicy

DEFAULT_VALIDATION = 0.1


def split_command(
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    validation: Annotated[
        float | None,
        typer.Option("--validation", help=f"Share of the training images [default: {DEFAULT_VALIDATION}]."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option("--folds", metavar="K", help="K parts for cross-validation; fold 1 validates.")
    ] = None,
    resplit: Annotated[
        str | None,
        typer.Option(
            "--resplit", metavar="TRAIN/VAL/TEST", help="Everything anew, the official test, too: 0.8/0.1/0.1."
        ),
    ] = None,
    keep_official: Annotated[
        bool, typer.Option("--keep-official", help="Leave the test folder's images in test (the default).")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same split.")] = 7,
    previous: Annotated[
        Path | None,
        typer.Option("--previous", metavar="FILE", help="An earlier split manifest whose assignments stay."),
    ] = None,
    out_path: Annotated[
        Path | None, typer.Option("--out", "-o", help="The manifest to write [default: the same one].")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Divide the images by patient; test is left alone unless --resplit.

    Images of one patient, and duplicates, stay together; labels and etiologies are in all parts alike. A manifest that
    was split by the same policy keeps its assignments: only new images are dealt out.

    Example: cxr data split --validation 0.1 --seed 7
    """
    from cxr.manifests.manifest_file import check_name, read_manifest, write_manifest
    from cxr.manifests.splits.split import split

    out = Out(as_json, quiet)
    policy = _policy(validation, folds, resplit, keep_official=keep_official, seed=seed)
    target = out_path or manifest_path
    check_name(target)
    before = read_manifest(manifest_path)
    earlier = read_manifest(previous) if previous else before if before.header.split_policy == policy else None
    manifest = write_manifest(split(before, policy, earlier=earlier), target)
    print_counts(out, manifest)
    _print_folds(out, manifest)
    original = before.split("validation")
    folded = len(original) if before.header.split_policy.name == "official" and policy.name != "resplit" else 0
    unused = int((manifest.frame["split"] == "").sum())
    out.result("data.split", {**summary(manifest), "folded_back": folded, "unused": unused, "folds": _folds(manifest)})
    _say_what_it_means(out, policy, folded, unused)
    out.say(f"wrote {target} (hash {manifest.hash[:12]})")
    out.hint(f"cxr baseline train{manifest_flag(target)}")


def _policy(
    validation: float | None, folds: int | None, resplit: str | None, *, keep_official: bool, seed: int
) -> SplitPolicy:
    from cxr.manifests.manifest import SplitPolicy

    if resplit is not None and keep_official:
        raise UsageError("--resplit gives up the official test, --keep-official keeps it", hint="choose one of the two")
    given = [
        name
        for name, value in (("--validation", validation), ("--folds", folds), ("--resplit", resplit))
        if value is not None
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are different ways to split", hint="choose one of them")
    if folds is not None:
        return SplitPolicy("folds", folds=folds, seed=seed)
    if resplit is None:
        return SplitPolicy("grouped", validation=DEFAULT_VALIDATION if validation is None else validation, seed=seed)
    train, validation_share, test = _three_shares(resplit)
    if abs(train + validation_share + test - 1) > 1e-6:
        raise UsageError(f"the shares {resplit} do not add up to 1", hint="--resplit 0.8/0.1/0.1")
    return SplitPolicy("resplit", validation=validation_share, test=test, seed=seed)


def _three_shares(text: str) -> tuple[float, float, float]:
    try:
        train, validation, test = (float(part) for part in text.split("/"))
    except ValueError:
        raise UsageError(f"{text!r} is not three shares TRAIN/VALIDATION/TEST", hint="--resplit 0.8/0.1/0.1") from None
    if not (train > 0 and validation >= 0 and test >= 0):
        raise UsageError(
            f"the shares {text} must be positive (validation and test may be 0)", hint="--resplit 0.8/0.1/0.1"
        )
    return train, validation, test


def _folds(manifest: Manifest) -> dict[str, dict[str, int]]:
    rows = manifest.frame[manifest.frame["fold"] != ""]
    counts = rows.groupby(["fold", "label"]).size()
    folds = sorted(set(rows["fold"]), key=int)
    return {fold: {label: int(counts.get((fold, label), 0)) for label in manifest.classes} for fold in folds}


def _print_folds(out: Out, manifest: Manifest) -> None:
    folds = _folds(manifest)
    if folds:
        rows = [[int(fold), *counts.values(), sum(counts.values())] for fold, counts in folds.items()]
        out.table(["fold", *manifest.classes, "all"], rows)


def _say_what_it_means(out: Out, policy: SplitPolicy, folded: int, unused: int) -> None:
    if policy.name == "resplit":
        out.warn("the official test is given up: results on this split are not comparable with published ones")
    if policy.name == "folds":
        out.say("fold 1 is the validation split; the others train")
    if folded:
        out.say(f"the {folded:,} images of the original validation folder were folded back and split anew with train")
    if unused:
        tied = "cxr data check tells how many have patients or duplicates in test, which is left alone"
        out.say(f"{unused:,} images are in no split now, and nothing uses them; {tied}")
