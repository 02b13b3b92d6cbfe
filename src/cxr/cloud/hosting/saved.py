"""Saved hosting plans: carried out only when they still say what would be done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from cxr.cloud.plans.documents import PlanSchema
from cxr.errors import CheckFailed, InputError
from cxr.files import write_text_atomically

SAVED = PlanSchema("cxr.cloud.host-plan", 1, "hosting plan", maximum_bytes=10_000_000)
ACTIONS = ("host", "remove")


class Plan(Protocol):
    """What is saved: a hosting, a removal, with a machine or without."""

    def as_json(self) -> dict[str, Any]:
        """All that must be the same when it is carried out."""


def write_saved(plan: Plan, path: Path) -> None:
    """Save a plan, in place of an earlier one if need be. Raises UsageError for a file that is something else."""
    SAVED.check_replaceable(path)
    document = {**SAVED.header, **plan.as_json()}
    write_text_atomically(path, json.dumps(document, indent=2) + "\n")


def read_saved(path: Path) -> dict[str, Any]:
    """A saved plan, checked for its form. Raises InputError when it is none."""
    document = SAVED.read(path, f"cxr cloud host PAGE --plan {path}")
    if document.get("action") not in ACTIONS:
        raise InputError(f"{path} was saved by another version of cxr", hint="make the plan anew")
    where = document.get("where")
    texts = isinstance(where, dict) and all(isinstance(where.get(key), str) for key in ("on", "bucket", "prefix"))
    if (
        not texts
        or not isinstance(document.get("location"), str)
        or (document["action"] == "host" and not isinstance(document.get("page"), str))
    ):
        raise InputError(f"{path} is not a whole hosting plan", hint="make the plan anew")
    return document


def check_same(saved: Mapping[str, Any], path: Path, plan: Plan) -> None:
    """Raises CheckFailed, naming what differs, unless `plan` (made now) is the saved one."""
    now = json.loads(json.dumps(plan.as_json()))
    differs = [key.replace("_", " ") for key in now if saved.get(key) != now[key]]
    if differs:
        raise CheckFailed(
            f"{path} no longer says what would be done: {', '.join(differs)} differ",
            hint=f"read a new plan first: cxr cloud host --plan {path}",
        )
