"""A saved clean-up: JSON lines, first a header, then one line for each leftover, its objects in lines of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cxr.cloud.cleaning.leftovers import CleanPlan, Leftover, Sort
from cxr.documents import parse_json
from cxr.errors import InputError, UsageError
from cxr.files import atomic_path
from cxr.storage import ObjectInfo

SCHEMA, SCHEMA_VERSION = "cxr.cloud.clean-plan", 1
MAXIMUM_HEADER_BYTES = 1_000_000


def write_clean_plan(plan: CleanPlan, path: Path) -> None:
    """Save a plan. Raises what `check_replaceable` raises."""
    check_replaceable(path)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for line in _lines(plan):
            stream.write(json.dumps(line) + "\n")


def check_replaceable(path: Path) -> None:
    """Raises UsageError for a file that is there and is not a saved clean-up itself."""
    if path.exists() and not _is_clean_plan(path):
        raise UsageError(f"{path} is there and is no saved clean-up", hint="choose another name for the list")


def _is_clean_plan(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            header = parse_json(stream.readline(MAXIMUM_HEADER_BYTES))
    except (OSError, ValueError):
        return False
    return isinstance(header, dict) and header.get("schema") == SCHEMA


def read_clean_plan(path: Path) -> CleanPlan:
    """Read a saved plan. Raises InputError when it is none, or not whole."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        entries = [parse_json(line) for line in lines]
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the plan {path}: {error}") from error
    header = entries[0] if entries and isinstance(entries[0], dict) else {}
    if header.get("schema") != SCHEMA or header.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path} is not a saved clean-up", hint=f"save one: cxr cloud clean --all --plan {path}")
    try:
        leftovers = tuple(_leftovers(entries[1:]))
        if len(leftovers) != header["leftovers"]:
            raise ValueError(f"{len(leftovers)} of {header['leftovers']} leftovers are there")
        return CleanPlan(dict(header["where"]), str(header["scope"]), leftovers, tuple(header["notes"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} is not a whole clean-up plan: {error!r}", hint="make the plan anew") from error


def summary_of(one: Leftover) -> dict[str, Any]:
    """A leftover as JSON, without its objects."""
    return {
        "sort": str(one.sort),
        "name": one.name,
        "run": one.run,
        "manifest": one.manifest,
        "detail": one.detail,
        "kept": one.kept,
        "size": one.size,
        "usd_per_month": one.usd_per_month,
        "basis": one.basis,
        "deployed": list(one.deployed),
        "objects": len(one.objects),
        "partial": one.partial,
    }


def _lines(plan: CleanPlan) -> Iterator[dict[str, Any]]:
    yield {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "where": plan.where,
        "scope": plan.scope,
        "notes": list(plan.notes),
        "leftovers": len(plan.leftovers),
    }
    for one in plan.leftovers:
        yield summary_of(one)
        for info in one.objects:
            yield {"object": info.name, "version": info.version, "size": info.size}


def _leftovers(entries: list[dict[str, Any]]) -> Iterator[Leftover]:
    current: Leftover | None = None
    objects: list[ObjectInfo] = []
    expected = 0
    for entry in [*entries, None]:
        if entry is not None and "object" in entry:
            objects.append(ObjectInfo(str(entry["object"]), int(entry["size"]), version=str(entry["version"])))
            continue
        if current is not None:
            if len(objects) != expected:
                raise ValueError(f"{len(objects)} of {expected} objects of {current.name} are there")
            yield replace(current, objects=tuple(objects))
        if entry is None:
            return
        objects, expected = [], int(entry["objects"])
        price = entry["usd_per_month"]
        current = Leftover(
            Sort(entry["sort"]),
            str(entry["name"]),
            str(entry["run"]),
            str(entry["manifest"]),
            str(entry["detail"]),
            str(entry["kept"]),
            int(entry["size"]),
            None if price is None else float(price),
            str(entry["basis"]),
            tuple(str(one) for one in entry["deployed"]),
            partial=bool(entry["partial"]),
        )
