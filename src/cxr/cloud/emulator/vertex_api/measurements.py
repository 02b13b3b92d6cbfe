"""What a trial measured: the JSON lines that cloudml-hypertune writes.

Each line: `{"timestamp", "trial", "<metric>": "0.97", "global_step": "3", "checkpoint_path"}`, numbers mostly as texts.
Source: https://github.com/GoogleCloudPlatform/cloudml-hypertune.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cxr.cloud.emulator.jobs.container import METRIC_FILE
from cxr.cloud.emulator.vertex_api.messages import JsonObject
from cxr.cloud.emulator.vertex_api.study import Study

MAX_STEP = 2**63 - 1


def measurements_in(attempt_folder: Path, metric: str, started: str, ended: str) -> list[JsonObject]:
    """The measurements of a metric, as they were reported; lines that are not one are passed over.

    None is from before the trial's start or after its end, whatever its time says (milliseconds, for one).
    """
    try:
        lines = (attempt_folder / METRIC_FILE).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    begun = datetime.fromisoformat(started).timestamp()
    longest = max(0.0, datetime.fromisoformat(ended).timestamp() - begun)
    return [found for line in lines if (found := _measurement(line, metric, begun, longest)) is not None]


def final_measurement(measurements: Sequence[JsonObject], study: Study) -> JsonObject | None:
    """The last one, or the best when the study says so; None when there is none."""
    if not measurements:
        return None
    if not study.take_best:
        return measurements[-1]
    sign = 1 if study.maximize else -1
    return max(measurements, key=lambda item: sign * float(item["metrics"][0]["value"]))


def _measurement(line: str, metric: str, begun: float, longest: float) -> JsonObject | None:
    try:
        entry = json.loads(line)
        value = float(entry[metric])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if not math.isfinite(value):
        return None
    elapsed = min(max(0.0, _number(entry.get("timestamp")) - begun), longest)
    step = min(max(0, int(_number(entry.get("global_step")))), MAX_STEP)
    return {
        "elapsedDuration": f"{elapsed:.6f}s",
        "stepCount": str(step),
        "metrics": [{"metricId": metric, "value": value}],
    }


def _number(raw: Any) -> float:
    try:
        number = float(raw)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) else 0.0
