"""Folds for cross-validation inside the training pool: whole groups, each with its own manifest.

A group is what must stay together: patients, and those that share an image (`manifests.groups`). The test split is in
no fold: its images get no split at all, and neither does a pool image whose group also occurs in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import Manifest, SplitPolicy, new_manifest
from cxr.manifests.patients.names import counter_of
from cxr.manifests.splits.assignment import Side, assign
from cxr.manifests.splits.groups import KEY_PREFIX, group_keys
from cxr.manifests.splits.split import MAX_FOLDS, POOL

#: Share of the images outside the held-out fold that choose epoch, temperature and threshold.
INNER_VALIDATION: Final = 0.1


@dataclass(frozen=True)
class Fold:
    """One fold, from 1 on. In its manifest the held-out images are the test split, `validation` is an inner part of
    the others, and the data's own test images have no split."""

    number: int
    manifest: Manifest


def make_folds(
    manifest: Manifest, *, folds: int, seed: int, blocks: bool = False, validation: float = INNER_VALIDATION
) -> tuple[Fold, ...]:
    """Divide the train and validation images of `manifest` into `folds` parts, each held out once.

    Without `blocks` groups are dealt out by a hash of `seed`, each fold getting its share of every label and etiology
    to within one group. With `blocks` a fold is a block of neighbouring patient numbers in each counter series:
    patients of one time, judged by a model of other times. The inner validation part is a share `validation` of the
    rest, grouped and stratified alike, and scattered in both cases.

    Raises UsageError for an impossible number or share, InputError when a label would be missing in a part, or when
    the patients have no counters.
    """
    if not 2 <= folds <= MAX_FOLDS:
        raise UsageError(f"{folds} folds: there must be 2 to {MAX_FOLDS}", hint="--folds 5")
    if not 0 < validation < 1:
        raise UsageError(
            f"the inner validation share is {validation:g}, but must lie between 0 and 1", hint="--inner-validation 0.1"
        )
    frame = manifest.frame
    groups = group_keys(frame)
    tested = set(groups[frame["split"] == "test"])
    pool = frame[frame["split"].isin(POOL) & ~groups.isin(tested)]
    if pool.empty:
        raise InputError("the manifest has no train images to divide", hint="cxr data scan DIR --fresh")
    keys = groups[pool.index]
    names = [str(number) for number in range(1, folds + 1)]
    side = _blocks(keys, folds) if blocks else assign(pool, keys, [Side(name, 1 / folds) for name in names], seed=seed)
    return tuple(_fold(manifest, pool, keys, side, name, validation, seed, folds) for name in names)


def _fold(
    manifest: Manifest,
    pool: pd.DataFrame,
    keys: pd.Series,
    side: pd.Series,
    name: str,
    validation: float,
    seed: int,
    folds: int,
) -> Fold:
    rest = pool[side != name]
    parts = (Side("validation", validation), Side("train", 1 - validation))
    # A seed of its own for each fold, so that not the same patients choose the epoch everywhere.
    inner = assign(rest, keys[rest.index], parts, seed=seed + int(name))
    split = pd.Series("", index=manifest.frame.index, dtype="object")
    split[pool.index] = "test"
    split[rest.index] = inner
    fold = pd.Series("", index=manifest.frame.index, dtype="object")
    fold[pool.index] = side
    frame = manifest.frame.assign(split=split, fold=fold)
    for part, words in (("test", "the held-out part"), ("validation", "the inner validation part"), ("train", "train")):
        absent = sorted(set(manifest.classes) - set(frame.loc[frame["split"] == part, "label"]))
        if absent:
            raise InputError(
                f"fold {name}: {words} would have no image of {absent[0]}: too few patients for {folds} folds",
                hint="make fewer folds: --folds 3",
            )
    header = replace(manifest.header, split_policy=SplitPolicy("folds", folds=folds, seed=seed))
    return Fold(int(name), new_manifest(frame, header, manifest.location))


def _blocks(keys: pd.Series, folds: int) -> pd.Series:
    """The fold of each row: every counter series cut, in the order of its numbers, into `folds` stretches of as many
    images, each group going where its middle lies."""
    sizes = keys.value_counts()
    counted = {key: found for key in sizes.index if (found := counter_of(key.removeprefix(KEY_PREFIX))) is not None}
    if len(counted) < len(sizes):
        without = sorted(key.removeprefix(KEY_PREFIX) for key in sizes.index if key not in counted)
        raise InputError(
            f"{len(without):,} of {len(sizes):,} patients have no number to put them in order, first {without[0]}",
            hint="leave --blocks out, or give numbered patients: cxr data scan --patients FILE",
        )
    chosen: dict[str, str] = {}
    for series in sorted({series for series, _ in counted.values()}):
        in_order = sorted((number, key) for key, (own, number) in counted.items() if own == series)
        chosen.update(_stretches([key for _, key in in_order], sizes, folds))
    return keys.map(chosen)


def _stretches(in_order: Sequence[str], sizes: pd.Series, folds: int) -> dict[str, str]:
    images = sizes[list(in_order)].to_numpy(dtype=np.float64)
    middles = (np.cumsum(images) - images / 2) / images.sum()
    numbers = np.minimum((middles * folds).astype(np.int64), folds - 1) + 1
    return {key: str(number) for key, number in zip(in_order, numbers, strict=True)}
