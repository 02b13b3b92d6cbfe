"""Who trains, who validates, who is tested: whole patients, by a policy that the manifest's header keeps.

Four policies (see `SplitPolicy`): `official` is what the folders say; `grouped` makes a validation split out of the
training pool, `folds` parts of it for cross-validation, both leaving test alone; `resplit` makes everything anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pandas as pd

from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import Manifest, SplitPolicy, new_manifest
from cxr.manifests.splits.assignment import Side, assign, checked_sides
from cxr.manifests.splits.groups import group_keys

#: The original splits that a policy which leaves test alone may divide anew.
POOL: Final = ("train", "validation")
MAX_FOLDS: Final = 100
#: The fold that is the validation split as long as nobody rotates them.
VALIDATION_FOLD: Final = "1"


def split(manifest: Manifest, policy: SplitPolicy, *, earlier: Manifest | None = None) -> Manifest:
    """Divide the images by `policy`.

    Groups are the connected components of a shared patient or duplicate group; see `assign` for how they are dealt
    out. Under `grouped` and `folds` test rows are left alone, and pool images whose group also occurs in test get no
    split. The result depends on the rows, not on their order. With `earlier`, a manifest under the same policy, every
    image that it has (by path, else by its bytes) stays on its side, or in no split, and only new ones are dealt out:
    data may grow without moving anybody. (Where new images join two groups of different sides, all go to the side that
    has more of them.)

    Raises UsageError for an impossible policy, InputError when there is nothing to split or, without `earlier`, a
    label would be missing on a side.
    """
    sides = _sides(policy)
    if manifest.header.split_policy.name == "resplit" and policy.name != "resplit":
        raise UsageError(
            "this manifest was split anew as a whole, its official test is gone",
            hint="scan again to have it back: cxr data scan DIR --fresh",
        )
    frame = manifest.frame.copy()
    groups = group_keys(frame)
    in_pool = pd.Series(data=True, index=frame.index) if policy.name == "resplit" else frame["split"].isin(POOL)
    if not in_pool.any():
        raise InputError("the manifest has no train images to split", hint="cxr data scan DIR --fresh")
    known = _earlier_sides(frame, earlier, policy) if earlier else None
    if known is not None:
        held_out = in_pool & (known == "")
        frame.loc[held_out, "split"] = ""
        in_pool &= ~held_out
    leaking = in_pool & groups.isin(set(groups[~in_pool & (frame["split"] == "test")]))
    pool = frame[in_pool & ~leaking]
    pinned = None if known is None else known[pool.index].fillna("")
    side = assign(pool, groups[pool.index], sides, seed=policy.seed or 0, pinned=pinned)
    frame["fold"] = ""
    frame.loc[leaking, "split"] = ""
    if policy.name == "folds":
        frame.loc[pool.index, "fold"] = side
        side = (side == VALIDATION_FOLD).map({True: "validation", False: "train"})
    frame.loc[pool.index, "split"] = side
    if earlier is None:
        _check_sides(frame[in_pool], policy, sides)
    return new_manifest(frame, replace(manifest.header, split_policy=policy), manifest.location)


def make_validation(
    manifest: Manifest, *, validation: float = 0.1, seed: int = 7, earlier: Manifest | None = None
) -> Manifest:
    """A validation split of whole patients, a share `validation` (0 < validation < 1) of the training pool."""
    return split(manifest, SplitPolicy("grouped", validation=validation, seed=seed), earlier=earlier)


def keep_assignments(manifest: Manifest, earlier: Manifest) -> Manifest:
    """`manifest`, a new scan, under the policy of `earlier` and with its assignments; see `split`."""
    policy = earlier.header.split_policy
    return manifest if policy.name == "official" else split(manifest, policy, earlier=earlier)


def _sides(policy: SplitPolicy) -> tuple[Side, ...]:
    if policy.name == "folds":
        count = policy.folds or 0
        if not 2 <= count <= MAX_FOLDS:
            raise UsageError(f"{count} folds: there must be 2 to {MAX_FOLDS}", hint="--folds 5")
        return tuple(Side(str(number), 1 / count) for number in range(1, count + 1))
    validation, test = policy.validation or 0.0, policy.test or 0.0
    if policy.name == "grouped":
        if not 0 < validation < 1:
            raise UsageError(
                f"the validation share is {validation}, but must lie between 0 and 1", hint="--validation 0.1"
            )
        return (Side("validation", validation), Side("train", 1 - validation))
    if policy.name == "resplit":
        sides = (Side("test", test), Side("validation", validation), Side("train", 1 - validation - test))
        return checked_sides(sides)
    raise UsageError("the official split is what the folders say; there is nothing to make")


def _earlier_sides(frame: pd.DataFrame, earlier: Manifest, policy: SplitPolicy) -> pd.Series:
    """The side of each image in `earlier`, "" for none; missing where `earlier` does not have it."""
    if earlier.header.split_policy != policy:
        raise UsageError(
            f"the earlier manifest was split by another policy ({describe(earlier.header.split_policy)})",
            hint="give the same shares and seed, or leave the earlier manifest out",
        )
    before = earlier.frame
    sides = before["fold"] if policy.name == "folds" else before["split"]
    if policy.name == "folds":
        # Test rows have no fold, and are no concern of the policy.
        sides = sides[before["split"].isin([*POOL, ""])]
    by_path = dict(zip(before["path"][sides.index], sides, strict=True))
    by_bytes = pd.DataFrame({"bytes": _contents(before)[sides.index], "side": sides}).drop_duplicates()
    # Bytes that are on two sides (they cannot be, unless by hand) tell nothing.
    by_bytes = by_bytes[(by_bytes["bytes"] != "") & ~by_bytes["bytes"].duplicated(keep=False)]
    renamed = _contents(frame).map(dict(zip(by_bytes["bytes"], by_bytes["side"], strict=True)))
    return frame["path"].map(by_path).astype("object").fillna(renamed.astype("object"))


def _contents(frame: pd.DataFrame) -> pd.Series:
    return frame["sha256"].where(frame["sha256"] != "", frame["md5"])


def _check_sides(pool: pd.DataFrame, policy: SplitPolicy, sides: tuple[Side, ...]) -> None:
    column = "fold" if policy.name == "folds" else "split"
    labels = sorted(set(pool["label"]))
    present = set(zip(pool[column], pool["label"], strict=True))
    for side in sides:
        for label in labels:
            if side.share > 0 and (side.name, label) not in present:
                name = f"fold {side.name}" if column == "fold" else f"a {side.name} split"
                raise InputError(
                    f"{name} without {label!r}: too few patients for a share of {side.share:g}",
                    hint=_ANOTHER[policy.name],
                )


_ANOTHER: Final = {
    "grouped": "choose another share, for example: cxr data split --validation 0.3",
    "folds": "make fewer folds, for example: cxr data split --folds 3",
    "resplit": "choose other shares, for example: cxr data split --resplit 0.6/0.2/0.2",
}


def describe(policy: SplitPolicy) -> str:
    """A policy in words."""
    if policy.name == "grouped":
        return f"validation {policy.validation:g} of the training pool, seed {policy.seed}"
    if policy.name == "folds":
        return f"{policy.folds} folds of the training pool, seed {policy.seed}"
    if policy.name == "resplit":
        validation, test = policy.validation or 0, policy.test or 0
        return (
            f"train/validation/test {1 - validation - test:g}/{validation:g}/{test:g} of everything, seed {policy.seed}"
        )
    return "as found in the folders"
