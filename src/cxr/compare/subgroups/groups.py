"""Which images make a subgroup: etiology, patients' series and counter, image size, aspect ratio, duplicates.

Nothing here looks at a model: the groups of a manifest's split are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxr.compare.metrics import Bools, Floats
from cxr.manifests.manifest import Manifest
from cxr.manifests.patient_names import counter_of

#: Numbers are cut into thirds; fewer distinct values than that make no group.
PARTS = 3
PART_NAMES = ("low", "middle", "high")


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some of the split's images. `family` is what they are told apart by and `name` which of them, in words; `inside`
    bool [N] in the order of the manifest's rows. A group that has one class alone is judged against all images of the
    other classes: `completed` says so."""

    family: str
    name: str
    inside: Bools
    completed: bool = False


def groups_of(manifest: Manifest, split: str) -> tuple[Group, ...]:
    """All groups of `split` that are neither empty nor the whole, family by family. What the manifest does not know of
    (sizes of a listing, patients, etiologies) makes none."""
    rows = manifest.split(split)
    positive = (rows["label"] == manifest.positive_class).to_numpy()
    made = []
    for family in (_etiologies, _series, _counters, _sizes, _aspects):
        for group in family(rows):
            if group.inside.any() and not group.inside.all():
                made.append(_completed(group, positive))
    alone = _without_duplicates(manifest, rows)
    return (*made, *(() if alone.inside.all() else (alone,)))


def _completed(group: Group, positive: Bools) -> Group:
    """The group with all images of the side that it lacks."""
    inside = group.inside
    if positive[inside].all():
        return Group(group.family, group.name, np.asarray(inside | ~positive), completed=True)
    if not positive[inside].any():
        return Group(group.family, group.name, np.asarray(inside | positive), completed=True)
    return group


def _etiologies(rows: pd.DataFrame) -> Iterator[Group]:
    for etiology in sorted(set(rows["etiology"]) - {""}):
        yield Group("etiology", etiology, (rows["etiology"] == etiology).to_numpy())


def _counted(rows: pd.DataFrame) -> tuple[pd.Series, Floats]:
    """The series of each image's patient (`IM`, `person-viral`; "" where the key ends in no number) and the number
    (NaN)."""
    counted = [counter_of(key) or ("", np.nan) for key in rows["patient"]]
    series = pd.Series([name.rstrip("-") for name, _ in counted], index=rows.index)
    return series, np.array([number for _, number in counted], dtype=np.float64)


def _series(rows: pd.DataFrame) -> Iterator[Group]:
    series, _ = _counted(rows)
    for name in sorted(set(series) - {""}):
        yield Group("series of patients", name, (series == name).to_numpy())


def _counters(rows: pd.DataFrame) -> Iterator[Group]:
    """Thirds of each series, by the patients' numbers: numbers run on as images were collected, so that a third is a
    time."""
    series, numbers = _counted(rows)
    third = np.full(len(rows), -1)
    for name in set(series) - {""}:
        inside = (series == name).to_numpy()
        third[inside] = _thirds(numbers[inside])
    for part, name in enumerate(("first third", "middle third", "last third")):
        yield Group("patients' numbers", name, third == part)


def _sizes(rows: pd.DataFrame) -> Iterator[Group]:
    pixels = (rows["width"] * rows["height"]).to_numpy(dtype=np.float64)
    yield from _by_thirds("image size", pixels, lambda value: f"{value / 1e6:.2g} megapixels")


def _aspects(rows: pd.DataFrame) -> Iterator[Group]:
    width, height = (rows[name].to_numpy(dtype=np.float64) for name in ("width", "height"))
    known = height > 0
    ratio = np.divide(width, height, out=np.zeros(len(rows)), where=known)
    yield from _by_thirds("aspect ratio", ratio, lambda value: f"{value:.2f}")


def _by_thirds(family: str, values: Floats, say: Callable[[float], str]) -> Iterator[Group]:
    """Low, middle and high values, named by their range; nothing where a value is not known (0)."""
    if not (values > 0).all():
        return
    third = _thirds(values)
    for part, name in enumerate(PART_NAMES):
        inside = third == part
        if inside.any():
            low, high = say(float(values[inside].min())), say(float(values[inside].max()))
            yield Group(family, f"{name}: {low}" if low == high else f"{name}: {low} to {high}", inside)


def _thirds(values: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """0, 1 or 2 for each value, equal ones together; -1 for all where there are fewer than three distinct values."""
    if len(np.unique(values)) < PARTS:
        return np.full(len(values), -1, dtype=np.int64)
    # The rank of a value's first occurrence: ties fall into the lower part.
    rank = np.searchsorted(np.sort(values), values)
    return np.asarray(rank * PARTS // len(values), dtype=np.int64)


def _without_duplicates(manifest: Manifest, rows: pd.DataFrame) -> Group:
    """One image of each duplicate group (the first by path), none that train or validation has too."""
    group = rows["duplicate_group"]
    elsewhere = set(manifest.frame.loc[manifest.frame["split"].isin(("train", "validation")), "duplicate_group"])
    again = group.duplicated() & (group != "")
    learned = group.isin(elsewhere - {""})
    return Group("duplicates", "without duplicates", ~(again | learned).to_numpy())
