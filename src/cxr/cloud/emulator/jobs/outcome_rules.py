"""Scripted outcomes, as documents: which jobs are to end otherwise than they would, and how.

A rule names resources and what happens to them. docs/emulator.md describes the fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cxr.cloud.emulator.errors import Code

#: Outcome -> the fields that it has beyond those of every rule.
FIELDS: dict[str, frozenset[str]] = {
    "fail": frozenset({"seconds", "code", "message"}),
    "preempt": frozenset({"seconds", "count", "replica", "checkpoints"}),
    "stockout": frozenset({"seconds"}),
    "stuck": frozenset({"seconds"}),
    "import-failures": frozenset({"rows", "code", "message"}),
}
_COMMON = frozenset({"resource", "display_name", "labels", "times", "outcome"})
_JOBS = ("fail", "stockout", "stuck")
#: Resource -> the outcomes that it can have.
RESOURCES: dict[str, tuple[str, ...]] = {
    "customJobs": (*_JOBS, "preempt"),
    "trainingPipelines": _JOBS,
    "hyperparameterTuningJobs": _JOBS,
    "batchPredictionJobs": _JOBS,
    "datasets": ("fail", "import-failures"),
}
DEFAULT_MESSAGE = "This failure was asked for (/_emulator/outcomes)."


class OutcomeError(ValueError):
    """A document that cannot be understood; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, checked. `document` is what it was made of."""

    resource: str
    outcome: str
    document: Mapping[str, Any]
    display_name: re.Pattern[str] | None = None
    labels: Mapping[str, str] | None = None
    times: int | None = None

    def fits(self, collection: str, body: Mapping[str, Any]) -> bool:
        """Whether the rule is for this resource."""
        if collection != self.resource:
            return False
        if self.display_name is not None and not self.display_name.search(str(body.get("displayName", ""))):
            return False
        labels = body.get("labels", {})
        return all(labels.get(key) == value for key, value in (self.labels or {}).items())


def rules_of(document: object) -> list[Rule]:
    """The rules of `{"rules": [...]}`. Raises OutcomeError for an unknown field or a wrong value."""
    fields = _object(document, "the document", frozenset({"rules"}))
    raw = fields.get("rules", [])
    if not isinstance(raw, list):
        raise OutcomeError("rules: a list is needed")
    return [rule_of(item, f"rules[{index}]") for index, item in enumerate(raw)]


def rule_of(raw: object, where: str) -> Rule:
    """One rule. Raises OutcomeError."""
    outcome = raw.get("outcome") if isinstance(raw, dict) else None
    if isinstance(raw, dict) and (not isinstance(outcome, str) or outcome not in FIELDS):
        raise OutcomeError(f"{where}.outcome: one of {', '.join(FIELDS)} is needed, not {outcome!r}")
    outcome = str(outcome)
    fields = _object(raw, where, _COMMON | FIELDS.get(outcome, frozenset()))
    resource = fields.get("resource")
    if not isinstance(resource, str) or resource not in RESOURCES:
        raise OutcomeError(f"{where}.resource: one of {', '.join(RESOURCES)} is needed, not {resource!r}")
    if outcome not in RESOURCES[resource]:
        raise OutcomeError(f"{where}.outcome: {resource} can only {', '.join(RESOURCES[resource])}, not {outcome}")
    _check_values(fields, where)
    return Rule(
        resource=resource,
        outcome=outcome,
        document=dict(fields),
        display_name=_pattern(fields.get("display_name"), f"{where}.display_name"),
        labels=_labels(fields, where),
        times=_whole(fields, "times", where, least=1),
    )


def _check_values(fields: Mapping[str, Any], where: str) -> None:
    seconds = fields.get("seconds")
    if seconds is not None and (
        isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e300
    ):
        raise OutcomeError(f"{where}.seconds: a number that is not negative is needed, not {seconds!r}")
    code = fields.get("code")
    if code is not None and (not isinstance(code, str) or code not in Code.__members__):
        raise OutcomeError(f"{where}.code: one of {', '.join(Code.__members__)} is needed, not {code!r}")
    for name in ("message", "replica"):
        if fields.get(name) is not None and not isinstance(fields[name], str):
            raise OutcomeError(f"{where}.{name}: a text is needed, not {fields[name]!r}")
    for name in ("count", "checkpoints"):
        _whole(fields, name, where, least=1)
    if fields["outcome"] == "import-failures":
        rows = fields.get("rows")
        if not isinstance(rows, list) or not rows:
            raise OutcomeError(f"{where}.rows: a list of regular expressions is needed")
        for index, row in enumerate(rows):
            if _pattern(row, f"{where}.rows[{index}]") is None:
                raise OutcomeError(f"{where}.rows[{index}]: a text is needed, not {row!r}")


def _object(raw: object, where: str, known: frozenset[str]) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise OutcomeError(f"{where}: a JSON object is needed")
    unknown = sorted(set(raw) - known)
    if unknown:
        raise OutcomeError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}")
    return raw


def _whole(fields: Mapping[str, Any], name: str, where: str, *, least: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OutcomeError(f"{where}.{name}: a whole number from {least} on is needed, not {value!r}")
    return value


def _labels(fields: Mapping[str, Any], where: str) -> Mapping[str, str] | None:
    labels = fields.get("labels")
    if labels is None:
        return None
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise OutcomeError(f"{where}.labels: an object of texts is needed, not {labels!r}")
    return labels


def _pattern(text: object, where: str) -> re.Pattern[str] | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise OutcomeError(f"{where}: a text is needed, not {text!r}")
    try:
        return re.compile(text)
    except re.error as error:
        raise OutcomeError(f"{where}: not a regular expression: {error}") from None
