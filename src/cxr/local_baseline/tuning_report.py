"""What a trial of a tuning job tells the service: one JSON line an epoch, in the file that the service reads.

The lines are those of the package cloudml-hypertune 0.1: `timestamp` in seconds, `trial`, the metric's own tag with its
value as text, `global_step` as text, `checkpoint_path`; at most the last hundred.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from cxr.local_baseline.epochs import EpochResult, best_so_far

FILE_VARIABLE = "CLOUD_ML_HP_METRIC_FILE"
TRIAL_VARIABLE = "CLOUD_ML_TRIAL_ID"
METRICS = ("val_auc", "val_loss")
MOST_LINES = 100


class TuningReport:
    """Reports `metric` of the best epoch so far: of the model that the trial would leave if it ended now.

    So the last line, which the service judges a trial by, is the bundle's own figure, and a trial is not stopped early
    for one bad epoch. The best epoch is the one of the least validation loss, whatever the metric. The step is the
    epoch, counted over all stages.
    """

    def __init__(self, path: Path, trial: str, metric: str) -> None:
        self._path, self._trial, self._metric = path, trial, metric
        self._history: list[EpochResult] = []
        self._lines: list[str] = []

    def on_epoch(self, result: EpochResult) -> None:
        """Report an epoch (or, after a resume, one that an earlier process trained)."""
        self._history.append(result)
        entry = {
            "timestamp": time.time(),
            "trial": self._trial,
            self._metric: str(getattr(best_so_far(self._history), self._metric)),
            "global_step": str(len(self._history)),
            "checkpoint_path": "",
        }
        self._lines.append(json.dumps(entry, sort_keys=True) + "\n")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # In place, as the package does: a reader may hold the file open.
        if 1 < len(self._lines) <= MOST_LINES:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(self._lines[-1])
        else:
            self._path.write_text("".join(self._lines[-MOST_LINES:]), encoding="utf-8")
