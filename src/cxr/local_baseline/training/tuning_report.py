"""What a trial of a tuning job tells the service: one JSON line an epoch, in the file that the service reads.

The lines are those of the package cloudml-hypertune 0.1: `timestamp` in seconds, `trial`, the metric's own tag with its
value as text, `global_step` as text, `checkpoint_path`; at most the last hundred.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cxr.local_baseline.recipes import EarlyStopping
from cxr.local_baseline.training.epochs import EpochResult, best_so_far
from cxr.local_baseline.training.failures import only_said

FILE_VARIABLE = "CLOUD_ML_HP_METRIC_FILE"
TRIAL_VARIABLE = "CLOUD_ML_TRIAL_ID"
METRICS = ("val_auc", "val_loss")
MOST_LINES = 100


class TuningReport:
    """Reports `metric` of the best epoch so far: of the model that the trial would leave if it ended now.

    So the last line, which the service judges a trial by, is the bundle's own figure, and a trial is not stopped early
    for one bad epoch. The best epoch is the one that the rules of the stages (`rules`, by what a stage trains) take for
    it, by the validation loss, whatever the metric. The step is the epoch, counted over all stages. A file that cannot
    be written does not end the training: `say` hears of it, and the next epoch writes all lines again.
    """

    def __init__(
        self, path: Path, trial: str, metric: str, rules: Mapping[str, EarlyStopping], say: Callable[[str], None]
    ) -> None:
        self._path, self._trial, self._metric, self._rules, self._say = path, trial, metric, rules, say
        self._history: list[EpochResult] = []
        self._lines: list[str] = []
        self._written = 0

    def on_epoch(self, result: EpochResult) -> None:
        """Report an epoch (or, after a resume, one that an earlier process trained)."""
        self._history.append(result)
        entry = {
            "timestamp": time.time(),
            "trial": self._trial,
            self._metric: str(getattr(best_so_far(self._history, self._rules), self._metric)),
            "global_step": str(len(self._history)),
            "checkpoint_path": "",
        }
        self._lines.append(json.dumps(entry, sort_keys=True) + "\n")
        with only_said(self._say, "the tuning service was not told of the epoch"):
            self._write()

    def _write(self) -> None:
        written, self._written = self._written, 0
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # In place, as the package does: a reader may hold the file open.
        if 0 < written == len(self._lines) - 1 < MOST_LINES:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(self._lines[-1])
        else:
            self._path.write_text("".join(self._lines[-MOST_LINES:]), encoding="utf-8")
        self._written = len(self._lines)
