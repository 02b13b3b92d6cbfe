"""Whole groups to sides, in the order of a hash, so that each side has its share of every stratum."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from cxr.errors import UsageError

#: Shares that come from a command line add up to 1 within this.
TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Side:
    """One of the parts that images are divided into, and its share (0 to 1) of them."""

    name: str
    share: float


def checked_sides(sides: Sequence[Side]) -> tuple[Side, ...]:
    """The sides as they are. Raises UsageError when a share is outside [0, 1] or they do not add up to 1."""
    for side in sides:
        if not 0 <= side.share <= 1:
            raise UsageError(f"the {side.name} share is {side.share}, but must lie between 0 and 1")
    total = sum(side.share for side in sides)
    if abs(total - 1) > TOLERANCE:
        raise UsageError(f"the shares add up to {total:g}, not to 1")
    return tuple(sides)


def assign(
    pool: pd.DataFrame, groups: pd.Series, sides: Sequence[Side], *, seed: int, pinned: pd.Series | None = None
) -> pd.Series:
    """The name of a side for each row of `pool`.

    `groups` are the rows' group keys; `pinned` the sides that rows already have ("" for none). A group with a pinned
    row stays on that side (the one that most of its images have, then the last in the order of `sides`). The others
    are taken, stratum by stratum, in the order of sha256(seed, group), and go to the first side that each brings
    nearer to its share; the last side takes the rest. So a side misses its share of a stratum by less than one group
    when nothing is pinned, or when what is pinned was assigned like this and only new groups came since. A stratum is
    a group's commonest label and etiology.
    """
    free = _describe(pool, groups)
    held = _held(groups, pinned, [side.name for side in sides]) if pinned is not None else {}
    chosen: dict[str, str] = dict(held)
    for _, members in free.groupby("stratum", sort=True):
        _assign_stratum(dict(zip(members["key"], members["size"], strict=True)), sides, seed, held, chosen)
    return groups.map(chosen)


def _assign_stratum(
    sizes: Mapping[str, int], sides: Sequence[Side], seed: int, held: Mapping[str, str], chosen: dict[str, str]
) -> None:
    total = sum(sizes.values())
    waiting = sorted((key for key in sizes if key not in held), key=lambda key: _draw(seed, key))
    held_by_side: dict[str, int] = {}
    for key, size in sizes.items():
        if key in held:
            held_by_side[held[key]] = held_by_side.get(held[key], 0) + size
    taken, target = 0, 0.0
    for side in sides[:-1]:
        # Cumulated, so that what one side misses is not missed again by the next.
        target += side.share * total
        taken += held_by_side.get(side.name, 0)
        left = []
        for key in waiting:
            if side.share > 0 and abs(taken + sizes[key] - target) < abs(taken - target):
                chosen[key] = side.name
                taken += sizes[key]
            else:
                left.append(key)
        waiting = left
    chosen.update(dict.fromkeys(waiting, sides[-1].name))


def _describe(pool: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """One row per group: key, size, and its commonest (label, etiology) as text; equally common ones by name."""
    kinds = pool["label"].astype("object") + "\t" + pool["etiology"].astype("object")
    counted = pd.DataFrame({"key": groups, "stratum": kinds}).value_counts(sort=False).reset_index(name="images")
    counted = counted.sort_values(["key", "images", "stratum"], ascending=[True, False, True], kind="stable")
    described = counted.drop_duplicates("key")[["key", "stratum"]]
    return described.assign(size=counted.groupby("key", sort=True)["images"].sum().to_numpy())


def _held(groups: pd.Series, pinned: pd.Series, order: Sequence[str]) -> dict[str, str]:
    rank = {name: -number for number, name in enumerate(order)}
    known = pinned.isin(order)
    votes = pd.DataFrame({"key": groups[known], "side": pinned[known]})
    votes = votes.value_counts(sort=False).reset_index(name="images")
    votes["rank"] = votes["side"].map(rank)
    votes = votes.sort_values(["key", "images", "rank"], ascending=[True, False, True], kind="stable")
    first = votes.drop_duplicates("key")
    return dict(zip(first["key"], first["side"], strict=True))


def _draw(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{key}".encode()).digest()
