"""Scripted outcomes: which jobs are to end otherwise than they would, for tests.

`{"rules": [{"name": REGEX, "outcome": "fail", "reason": TEXT}, {"outcome": "interrupt", "after_s": 1.5, "times": 1}]}`.
`fail`: the job fails before it starts, with that FailureReason. `interrupt`: a managed spot training job loses its
instances so many seconds after each start of training, so many times (1), and starts again; other jobs have none.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FIELDS: dict[str, frozenset[str]] = {
    "fail": frozenset({"reason"}),
    "interrupt": frozenset({"after_s", "times"}),
}
_COMMON = frozenset({"name", "outcome"})
DEFAULT_REASON = "InternalServerError: this failure was asked for (/_aws_local/outcomes)."


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, checked; `document` is what it was made of."""

    name: re.Pattern[str]
    outcome: str
    document: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """Of `fail`: the FailureReason."""
        return str(self.document.get("reason", DEFAULT_REASON))

    @property
    def after_seconds(self) -> float:
        """Of `interrupt`: seconds of training until it comes."""
        return float(self.document.get("after_s", 0.0))

    @property
    def times(self) -> int:
        """Of `interrupt`: how often one job is interrupted."""
        return int(self.document.get("times", 1))


class Outcomes:
    """The rules in force on a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def change(self, document: object) -> None:
        """Put a document's rules in force in place of those before. Raises ValueError for what is wrong with it."""
        rules = _rules_of(document)
        with self._lock:
            self._rules = rules

    def document(self) -> dict[str, Any]:
        """The rules in force."""
        with self._lock:
            return {"rules": [dict(rule.document) for rule in self._rules]}

    def rule(self, outcome: str, job: str) -> Rule | None:
        """The first rule with that outcome for a job."""
        with self._lock:
            return next((one for one in self._rules if one.outcome == outcome and one.name.search(job)), None)


def _rules_of(document: object) -> list[Rule]:
    if not isinstance(document, dict) or set(document) - {"rules"} or not isinstance(document.get("rules", []), list):
        raise ValueError('an object {"rules": [...]} is needed')
    return [_rule(raw, f"rules[{number}]") for number, raw in enumerate(document.get("rules", []))]


def _rule(raw: object, where: str) -> Rule:
    if not isinstance(raw, dict) or raw.get("outcome") not in FIELDS:
        raise ValueError(f"{where}: an object with an outcome of {', '.join(FIELDS)} is needed")
    unknown = sorted(set(raw) - _COMMON - FIELDS[raw["outcome"]])
    if unknown:
        raise ValueError(f"{where}: {raw['outcome']} has no field {unknown[0]}")
    for name, kinds in (("reason", str), ("name", str), ("after_s", (int, float)), ("times", int)):
        if name in raw and (not isinstance(raw[name], kinds) or isinstance(raw[name], bool)):
            raise ValueError(f"{where}: {name} has a wrong value")
    try:
        return Rule(re.compile(raw.get("name", "")), raw["outcome"], raw)
    except re.error as error:
        raise ValueError(f"{where}: name is no regular expression: {error}") from error
