"""Metrics that a training job prints: the regular expressions of its MetricDefinitions over its lines.

Source: API reference, MetricDefinition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cxr.cloud.aws.local.moto_state import now


@dataclass(slots=True)
class Metrics:
    """The last value of each metric."""

    patterns: Mapping[str, re.Pattern[str]]
    values: dict[str, tuple[float, datetime]] = field(default_factory=dict)

    def read(self, line: str) -> bool:
        """Look for metrics in a line; whether there was one. A match that is no number is none."""
        found = False
        for name, pattern in self.patterns.items():
            for match in pattern.finditer(line):
                try:
                    value = float(match.group(1) if pattern.groups else match.group(0))
                except (ValueError, TypeError):
                    continue
                self.values[name] = (value, now())
                found = True
        return found


def metrics_of(definitions: Sequence[Mapping[str, str]]) -> Metrics:
    """Metrics by their definitions. Raises re.error for an expression that is none."""
    return Metrics({one["Name"]: re.compile(one["Regex"]) for one in definitions})
