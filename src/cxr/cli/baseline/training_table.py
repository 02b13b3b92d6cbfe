"""What a training says while it runs: a table that grows by a line an epoch on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cxr.cli.out import Out

if TYPE_CHECKING:
    from cxr.local_baseline.recipes import EarlyStopping
    from cxr.local_baseline.training.epochs import EpochResult

#: Column -> its width; numbers stand to the right.
COLUMNS = {
    "stage": 10, "epoch": 7, "loss": 8, "val_loss": 9, "val_auc": 8, "val_acc": 8, "lr": 9, "seconds": 8, "": 6,
}  # fmt: skip
BEST_MARK = "best"


class TrainingTable:
    """Says each epoch through `out`. Marked is what would be the bundle's epoch if training ended now, by the `rules`
    of the stages (by what a stage trains)."""

    def __init__(self, out: Out, rules: Mapping[str, EarlyStopping]) -> None:
        self._out = out
        self._rules = rules
        self._history: list[EpochResult] = []
        self._since = time.monotonic()
        self._is_table = sys.stderr.isatty()
        self._headed = False
        #: Epochs that this process trained.
        self.epochs = 0

    def on_resume(self, history: tuple[EpochResult, ...]) -> None:
        """Epochs of an earlier process: counted, and said in one line."""
        self._history = list(history)
        last = history[-1]
        self._out.say(f"goes on after epoch {last.epoch} of {last.epochs} ({last.stage}) of an earlier run")
        self.begin()

    def begin(self) -> None:
        """The next epoch's time begins now (before it images were decoded, say)."""
        self._since = time.monotonic()

    def on_epoch(self, result: EpochResult) -> None:
        """One line."""
        from cxr.local_baseline.training.epochs import best_so_far

        self.epochs += 1
        self._history.append(result)
        is_best = best_so_far(self._history, self._rules) is result
        seconds = time.monotonic() - self._since
        self.begin()
        if not self._is_table:
            best = ", best so far" if is_best else ""
            rate = f"learning rate {result.learning_rate:.3g}"
            self._out.say(f"{result.line()} ({result.stage}, {rate}, {seconds:.1f} s{best})")
            return
        if not self._headed:
            self._headed = True
            self._out.say(_line(list(COLUMNS)))
        self._out.say(
            _line(
                [
                    result.stage,
                    f"{result.epoch}/{result.epochs}",
                    *(f"{value:.4f}" for value in (result.loss, result.val_loss, result.val_auc, result.val_accuracy)),
                    f"{result.learning_rate:.3g}",
                    f"{seconds:.1f}",
                    BEST_MARK if is_best else "",
                ]
            )
        )


def _line(cells: list[str]) -> str:
    first, *others = zip(cells, COLUMNS.values(), strict=True)
    return " ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]).rstrip()
