"""Which images make a subgroup: etiology, patients' series and counter, image size, aspect ratio, duplicates.

Nothing here looks at a model: the groups of a manifest's split are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxr.compare.metrics.confusion import Bools, Floats
from cxr.manifests.manifest import Manifest
from cxr.manifests.patients.names import counter_of

#: Numbers are cut into thirds; fewer distinct values than that make no group.
PARTS = 3
PART_NAMES = ("low", "middle", "high")
ETIOLOGY, SERIES, NUMBERS = "etiology", "series of patients", "patients' numbers"
SIZE, ASPECT, DUPLICATES = "image size", "aspect ratio", "duplicates"
NO_NUMBERS = "no patient's key ends in a number"


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some of the split's images. `family` is what they are told apart by and `name` which of them, in words; `inside`
    bool [N] in the order of the manifest's rows. A group that has one class alone is judged against all images of the
    other classes: `completed` says so."""

    family: str
    name: str
    inside: Bools
    completed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The groups of a split, family by family, and for each family that made none the reason why."""

    made: tuple[Group, ...]
    left_out: Mapping[str, str]

    @property
    def note(self) -> str:
        """Which families made no group, in one sentence without its capital and full stop; "" where all did."""
        if not self.left_out:
            return ""
        reasons = "; ".join(f"{family} ({reason})" for family, reason in self.left_out.items())
        return f"no subgroups by {reasons}"


class _NoGroupsError(Exception):
    """Why a family makes no group here."""


def groups_of(manifest: Manifest, split: str, positive_class: str | None = None) -> Groups:
    """All groups of `split` that are neither empty nor the whole. What the manifest does not know of (sizes of a
    listing, patients, etiologies) makes none. `positive_class`: of the models (None: the manifest's own)."""
    rows = manifest.split(split)
    positive = (rows["label"] == (positive_class or manifest.positive_class)).to_numpy()
    made: list[Group] = []
    left_out: dict[str, str] = {}
    for family, groups in _FAMILIES.items():
        try:
            whole = [_completed(group, positive) for group in groups(manifest, rows) if group.inside.any()]
            parts = [group for group in whole if not group.inside.all()]
            if not parts:
                told = any(group.completed for group in whole)
                raise _NoGroupsError("it tells no more than the label" if told else "all images are alike in this")
            made += parts
        except _NoGroupsError as reason:
            left_out[family] = str(reason)
    return Groups(tuple(made), left_out)


def _completed(group: Group, positive: Bools) -> Group:
    """The group with all images of the side that it lacks."""
    inside = group.inside
    if positive[inside].all():
        return Group(group.family, group.name, np.asarray(inside | ~positive), completed=True)
    if not positive[inside].any():
        return Group(group.family, group.name, np.asarray(inside | positive), completed=True)
    return group


def _etiologies(_: Manifest, rows: pd.DataFrame) -> list[Group]:
    named = sorted(set(rows["etiology"]) - {""})
    if not named:
        raise _NoGroupsError("no image's name tells one")
    return [Group(ETIOLOGY, etiology, (rows["etiology"] == etiology).to_numpy()) for etiology in named]


def _counted(rows: pd.DataFrame) -> tuple[pd.Series, Floats]:
    """The series of each image's patient (`IM`, `person-viral`; "" where the key ends in no number) and the number
    (NaN)."""
    counted = [counter_of(key) or ("", np.nan) for key in rows["patient"]]
    series = pd.Series([name.rstrip("-") for name, _ in counted], index=rows.index)
    return series, np.array([number for _, number in counted], dtype=np.float64)


def _series(_: Manifest, rows: pd.DataFrame) -> list[Group]:
    series, _numbers = _counted(rows)
    named = sorted(set(series) - {""})
    if not named:
        raise _NoGroupsError(NO_NUMBERS)
    if len(named) == 1 and (series == named[0]).all():
        raise _NoGroupsError(f"all patients are of the series {named[0]}")
    return [Group(SERIES, name, (series == name).to_numpy()) for name in named]


def _counters(_: Manifest, rows: pd.DataFrame) -> list[Group]:
    """Thirds of each series, by the patients' numbers: numbers run on as images were collected, so that a third is a
    time."""
    series, numbers = _counted(rows)
    third = np.full(len(rows), -1)
    named = set(series) - {""}
    if not named:
        raise _NoGroupsError(NO_NUMBERS)
    for name in named:
        inside = (series == name).to_numpy()
        third[inside] = _thirds(numbers[inside])
    if (third == -1).all():
        raise _NoGroupsError(f"fewer than {PARTS} different ones in each series")
    parts = enumerate(("first third", "middle third", "last third"))
    return [Group(NUMBERS, name, third == part) for part, name in parts]


def _sizes(_: Manifest, rows: pd.DataFrame) -> list[Group]:
    pixels = (rows["width"] * rows["height"]).to_numpy(dtype=np.float64)
    return _by_thirds(SIZE, pixels, lambda value: f"{value / 1e6:.2g} megapixels")


def _aspects(_: Manifest, rows: pd.DataFrame) -> list[Group]:
    width, height = (rows[name].to_numpy(dtype=np.float64) for name in ("width", "height"))
    known = height > 0
    ratio = np.divide(width, height, out=np.zeros(len(rows)), where=known)
    return _by_thirds(ASPECT, ratio, lambda value: f"{value:.2f}")


def _by_thirds(family: str, values: Floats, say: Callable[[float], str]) -> list[Group]:
    """Low, middle and high values, named by their range; none where a value is not known (0)."""
    if not (values > 0).all():
        raise _NoGroupsError("that of some images is not known")
    different = len(np.unique(values))
    if different < PARTS:
        some = f"all images have the same, {say(float(values[0]))}" if different == 1 else "only two different ones"
        raise _NoGroupsError(some)
    third, made = _thirds(values), []
    for part, name in enumerate(PART_NAMES):
        inside = third == part
        if inside.any():
            low, high = say(float(values[inside].min())), say(float(values[inside].max()))
            made.append(Group(family, f"{name}: {low}" if low == high else f"{name}: {low} to {high}", inside))
    return made


def _thirds(values: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """0, 1 or 2 for each value, equal ones together; -1 for all where there are fewer than three distinct values."""
    if len(np.unique(values)) < PARTS:
        return np.full(len(values), -1, dtype=np.int64)
    # The rank of a value's first occurrence: ties fall into the lower part.
    rank = np.searchsorted(np.sort(values), values)
    return np.asarray(rank * PARTS // len(values), dtype=np.int64)


def _without_duplicates(manifest: Manifest, rows: pd.DataFrame) -> list[Group]:
    """One image of each duplicate group (the first by path), none that train or validation has too."""
    group = rows["duplicate_group"]
    elsewhere = set(manifest.frame.loc[manifest.frame["split"].isin(("train", "validation")), "duplicate_group"])
    again = group.duplicated() & (group != "")
    learned = group.isin(elsewhere - {""})
    alone = ~(again | learned).to_numpy()
    if alone.all():
        raise _NoGroupsError("no image is known to have one")
    return [Group(DUPLICATES, "without duplicates", alone)]


_FAMILIES: Mapping[str, Callable[[Manifest, pd.DataFrame], list[Group]]] = {
    ETIOLOGY: _etiologies,
    SERIES: _series,
    NUMBERS: _counters,
    SIZE: _sizes,
    ASPECT: _aspects,
    DUPLICATES: _without_duplicates,
}
