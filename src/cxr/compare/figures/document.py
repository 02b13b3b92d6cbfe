"""FIGURES.toml: what was published, as it was printed."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from cxr.compare.figures.stated import Stated, stated
from cxr.documents import parse_toml
from cxr.errors import InputError

EXAMPLE = "docs/figures.toml is an example"
#: More images than this in one class are not counted through.
MAX_SUPPORT = 1_000_000
#: Figures of the whole, and figures with one value for each class.
WHOLE_FIGURES = ("accuracy", "balanced_accuracy", "auc")
CLASS_FIGURES = ("precision", "recall", "f1")
#: Another name for a class's figure: (figure, of the positive class or of the other one).
OTHER_NAMES: Mapping[str, tuple[str, bool]] = {
    "sensitivity": ("recall", True),
    "specificity": ("recall", False),
    "ppv": ("precision", True),
    "npv": ("precision", False),
}

Figure = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `of` images, and how many that was said to be (None: not said)."""

    name: str
    value: Stated
    of: int
    count: int | None


@dataclass(frozen=True)
class Report:
    """A model's figures on one test set: images by class in order, each figure by (name, class or ""), and the
    confusion matrix where it was printed (truth in rows)."""

    name: str
    support: Mapping[str, int]
    positive: str
    figures: Mapping[Figure, Stated]
    confusion: tuple[tuple[int, ...], ...] | None


def read_figures(path: Path) -> list[Share | Report]:
    """The entries of a file, [[share]] before [[report]]. Raises InputError that names file, entry and key."""
    try:
        content = parse_toml(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}", hint=EXAMPLE) from error
    unknown = sorted(set(content) - {"share", "report"})
    if unknown or not content:
        what = f"{', '.join(unknown)} is unknown" if unknown else "it is empty"
        raise InputError(f"{path}: {what}: there are [[share]] and [[report]]", hint=EXAMPLE)
    return [
        *(_share(raw, _where(path, "share", raw, number)) for number, raw in _entries(content, "share", path)),
        *(_report(raw, _where(path, "report", raw, number)) for number, raw in _entries(content, "report", path)),
    ]


def _entries(content: Mapping[str, Any], kind: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    entries = content.get(kind, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: write [[{kind}]] with two brackets", hint=EXAMPLE)
    return list(enumerate(entries, start=1))


def _where(path: Path, kind: str, raw: Mapping[str, Any], number: int) -> str:
    return f"{path}, {kind} {raw['name']!r}" if isinstance(raw.get("name"), str) else f"{path}, {kind} {number}"


def _share(raw: Mapping[str, Any], where: str) -> Share:
    _check_keys(raw, {"name", "value", "of", "count"}, {"name", "value", "of"}, where)
    of = _count(raw["of"], f"{where}, of")
    count = _count(raw["count"], f"{where}, count") if "count" in raw else None
    return Share(str(raw["name"]), stated(raw["value"], f"{where}, value"), of, count)


def _report(raw: Mapping[str, Any], where: str) -> Report:
    known = {"name", "support", "positive", "confusion", *WHOLE_FIGURES, *CLASS_FIGURES, *OTHER_NAMES}
    _check_keys(raw, known, {"name", "support"}, where)
    support = raw["support"]
    if not isinstance(support, dict) or len(support) < 2:
        raise InputError(f"{where}: support names the images of each class", hint="support = { NORMAL = 234, … }")
    images = {name: _count(value, f"{where}, support of {name}") for name, value in support.items()}
    positive = raw.get("positive", list(images)[-1])
    if positive not in images:
        raise InputError(f"{where}: positive = {positive!r} is none of {', '.join(images)}")
    return Report(
        str(raw["name"]), images, positive, _figures(raw, images, positive, where), _confusion(raw, images, where)
    )


def _figures(raw: Mapping[str, Any], images: Mapping[str, int], positive: str, where: str) -> dict[Figure, Stated]:
    made: dict[Figure, Stated] = {
        (name, ""): stated(raw[name], f"{where}, {name}") for name in WHOLE_FIGURES if name in raw
    }
    for name in CLASS_FIGURES:
        if not isinstance(raw.get(name, {}), dict):
            raise InputError(f"{where}: {name} is one value a class", hint=f"{name} = {{ {positive} = 0.95 }}")
        for label, value in raw.get(name, {}).items():
            if label not in images:
                raise InputError(f"{where}: {name} of {label!r}: the classes are {', '.join(images)}")
            made[name, label] = stated(value, f"{where}, {name} of {label}")
    for other, (name, is_positive) in OTHER_NAMES.items():
        if other not in raw:
            continue
        if len(images) > 2:
            raise InputError(f"{where}: {other} is for two classes", hint=f"write {name} of each class")
        label = positive if is_positive else next(each for each in images if each != positive)
        if (name, label) in made:
            raise InputError(f"{where}: {other} is the {name} of {label}, which is there too", hint="keep one of them")
        made[name, label] = stated(raw[other], f"{where}, {other}")
    if len(images) > 2 and ("auc", "") in made:
        raise InputError(f"{where}: auc is for two classes")
    return made


def _confusion(raw: Mapping[str, Any], images: Mapping[str, int], where: str) -> tuple[tuple[int, ...], ...] | None:
    if "confusion" not in raw:
        return None
    rows, size = raw["confusion"], len(images)
    if (
        not isinstance(rows, list)
        or len(rows) != size
        or any(not isinstance(row, list) or len(row) != size for row in rows)
    ):
        raise InputError(f"{where}: confusion has {size} rows of {size} numbers")
    return tuple(tuple(_count(value, f"{where}, confusion", least=0) for value in row) for row in rows)


def _check_keys(raw: Mapping[str, Any], known: set[str], needed: set[str], where: str) -> None:
    unknown, absent = sorted(set(raw) - known), sorted(needed - set(raw))
    if unknown:
        raise InputError(f"{where}: {', '.join(unknown)} is unknown", hint=f"there are: {', '.join(sorted(known))}")
    if absent:
        raise InputError(f"{where}: {', '.join(absent)} is missing", hint=EXAMPLE)


def _count(value: Any, where: str, *, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_SUPPORT:
        raise InputError(f"{where}: {value!r} is no number of images ({least:,} to {MAX_SUPPORT:,})")
    return value
