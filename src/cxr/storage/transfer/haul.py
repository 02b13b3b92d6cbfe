"""One command's transfers: their limits, their patience, their workers and how they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cxr.storage.limits import STALL_S, Limits, Pace
from cxr.storage.retrying import RETRY_S, OnOutage, Patience, Retrier
from cxr.storage.sessions import SessionRecords
from cxr.storage.transfer.crew import Crew, CrewOf
from cxr.storage.transfer.files import OnTally, silent
from cxr.storage.transfer.plan_file import Action, Count
from cxr.storage.transfer.workers import MOST, choose_workers


@dataclass(frozen=True, slots=True)
class HaulOptions:
    """`workers` None: chosen from the files' sizes. `max_rate` is in bytes a second; `retry_s` and `stall_s` in
    seconds; `sessions_dir` is where uploads of large files are remembered."""

    workers: int | None = None
    max_rate: float | None = None
    retry_s: float = RETRY_S
    stall_s: float = STALL_S
    sessions_dir: Path | None = None


@dataclass(slots=True)
class Haul:
    """What the store and the workers of one command share. Give `limits`, `retrier` and `sessions` to `open_store`."""

    options: HaulOptions = field(default_factory=HaulOptions)
    on_tally: OnTally = silent
    on_outage: OnOutage | None = None
    pace: Pace = field(init=False)
    retrier: Retrier = field(init=False)
    sessions: SessionRecords = field(init=False)

    def __post_init__(self) -> None:
        cancelled = threading.Event()
        self.pace = Pace(self.options.max_rate, cancelled)
        pace, patience = self.pace, Patience(retry_s=self.options.retry_s)
        self.retrier = Retrier(patience, cancelled, self.on_outage, lambda: pace.last_progress)
        self.sessions = SessionRecords(self.options.sessions_dir)
        self.sessions.sweep()

    @property
    def limits(self) -> Limits:
        """The limits of every connection."""
        return Limits(stall_s=self.options.stall_s, pace=self.pace)

    @property
    def width(self) -> int:
        """Connections that are kept open."""
        return self.options.workers or MOST

    def crew(self, total: Count) -> CrewOf[Action]:
        """Workers for files that are `total` together."""

        def make(action: Callable[[Action], object]) -> Crew[Action]:
            return Crew(
                action,
                workers=self.options.workers or choose_workers(total.files, total.size, self.options.max_rate),
                retrier=self.retrier,
                pace=self.pace,
                retry_s=self.options.retry_s,
                on_tally=self.on_tally,
            )

        return make
