"""Saved launch plans: written as the plan's JSON document, applied only when it still says what would be launched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.cloud.plans.documents import PlanSchema
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.errors import CheckFailed, InputError, UsageError
from cxr.files import atomic_path

#: A plan is a page of text.
SAVED = PlanSchema("cxr.cloud.plan", 1, "launch plan", maximum_bytes=1_000_000)
_SAME_USD = 0.005


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan file, read and checked for its form. `inputs` are the paths that the plan was made from."""

    path: Path
    kind: JobKind
    where: Mapping[str, str]
    manifest_hash: str
    request: Mapping[str, Any]
    attempt: int
    worst_usd: float
    job: str
    inputs: Mapping[str, str]


def plan_document(plan: LaunchPlan, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What a plan file holds, without the schema that the writer adds."""
    return {**plan.as_json(), "inputs": dict(inputs)}


def write_plan(plan: LaunchPlan, inputs: Mapping[str, str], path: Path) -> None:
    """Save a plan, in place of an earlier one if need be. Raises UsageError for a file that is something else,
    NotAllowed or Fault when it cannot be written."""
    SAVED.check_replaceable(path)
    document = {**SAVED.header, **plan_document(plan, inputs)}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read_plan(path: Path, kind: JobKind) -> SavedPlan:
    """Read a plan file for a job of that kind. Raises InputError when it is none, UsageError for another kind."""
    document = SAVED.read(path, f"cxr cloud train {kind} --plan {path}")
    try:
        saved = SavedPlan(
            path=path,
            kind=JobKind(document["kind"]),
            where=_texts(document["where"]),
            manifest_hash=str(document["manifest_hash"]),
            request=dict(document["request"]),
            attempt=_count(document["attempt"]),
            worst_usd=_amount(document["cost"]["worst_usd"]),
            job=str(document["job"]),
            inputs=_texts(document.get("inputs", {})),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} is not a whole launch plan: {error!r}", hint="make the plan anew") from error
    if saved.kind is not kind:
        raise UsageError(
            f"{path} is the plan of a {saved.kind} job", hint=f"cxr cloud train {saved.kind} --apply {path}"
        )
    return saved


def check_same(saved: SavedPlan, plan: LaunchPlan) -> None:
    """Raises CheckFailed, naming what differs, unless `plan` (made now, from the same inputs) is the saved one."""
    differences = [*_differences(saved, plan)]
    if not differences and saved.job != plan.job_id:
        differences = [f"it was named {saved.job} and is {plan.job_id}"]
    if differences:
        raise CheckFailed(
            f"{saved.path} no longer says what would be launched: {'; '.join(differences)}",
            hint=f"read a new plan first: cxr cloud train {saved.kind} --plan {saved.path}",
        )


def _differences(saved: SavedPlan, plan: LaunchPlan) -> list[str]:
    found = []
    if saved.manifest_hash != plan.manifest_hash:
        found.append(f"the manifest was {saved.manifest_hash[:16]} and is {plan.manifest_hash[:16]}")
    where = plan.connection.identity()
    found += [
        f"{key} was {saved.where.get(key)} and is {where[key]}" for key in where if saved.where.get(key) != where[key]
    ]
    now = json.loads(json.dumps(dict(plan.request)))
    keys = [*now, *(key for key in saved.request if key not in now)]
    found += [
        f"{key.replace('_', ' ')} was {saved.request.get(key)} and is {now.get(key)}"
        for key in keys
        if saved.request.get(key) != now.get(key)
    ]
    if abs(saved.worst_usd - plan.cost.worst_usd) > _SAME_USD:
        found.append(f"it cost at most {saved.worst_usd:,.2f} USD and now {plan.cost.worst_usd:,.2f} USD")
    return found


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError("a table of texts is needed")
    return value


def _amount(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e300:
        raise ValueError("a cost must be a number")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("attempt must be a number from 1")
    return value
