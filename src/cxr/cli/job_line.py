"""The status line of a wait: drawn anew on a terminal, elsewhere a line only when something has changed."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cxr.cli.out import Out, printable

if TYPE_CHECKING:
    from cxr.cloud.jobs.journal import Job

_REDRAW_S: Final = 1.0


@contextmanager
def job_line(out: Out, jobs: Sequence[Job]) -> Iterator[JobLine]:
    """The line of these jobs; it is wiped at the end."""
    line = JobLine(out, jobs)
    try:
        yield line
    finally:
        line.wipe()


class JobLine:
    """What is known of the jobs that are waited for, as one line."""

    def __init__(self, out: Out, jobs: Sequence[Job]) -> None:
        self._out = out
        self._live = sys.stderr.isatty() and not out.quiet
        self._jobs = {job.id: job for job in jobs}
        self._trouble: dict[str, str] = {}
        self._said: dict[str, str] = {}

    def seen(self, job: Job) -> None:
        """An answer: told when it is news."""
        from cxr.cloud.jobs.progress import status_words, work_words

        self._jobs[job.id] = job
        back = self._trouble.pop(job.id, None) is not None
        # Epochs come every minute or so: news for the line, not for a log.
        work = work_words(job) if "epochs" not in job.progress else ""
        news = f"{job.state} {work}".strip()
        if self._said.get(job.id) != news or back:
            self._said[job.id] = news
            self.say(f"{job.id}: {status_words(job, datetime.now(UTC))}")
        self.draw()

    def trouble(self, job_id: str, text: str) -> None:
        """The service did not answer: told once for each outage."""
        if job_id not in self._trouble:
            self.say(f"{job_id}: the service does not answer, asking again ({text[:120]})")
        self._trouble[job_id] = text
        self.draw()

    def say(self, text: str) -> None:
        """Words above the line."""
        self.wipe()
        self._out.say(text)

    def sleep(self, seconds: float) -> None:
        """Wait, with the clock of the line going on."""
        end = time.monotonic() + seconds
        while self._live and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _REDRAW_S))
            self.draw()
        if not self._live:
            time.sleep(seconds)

    def draw(self) -> None:
        """Draw the line, cut at the terminal's width."""
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{printable(self._text())[:width]}\x1b[K", end="", file=sys.stderr, flush=True)

    def wipe(self) -> None:
        """Take the line away."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _text(self) -> str:
        from cxr.cloud.jobs.progress import status_words

        now = datetime.now(UTC)
        running = [job for job in self._jobs.values() if not job.finished]
        alone = len(running) == 1
        words = [
            f"{job.id}: {status_words(job, now, cost=alone)}{' (no answer)' if job.id in self._trouble else ''}"
            for job in running
        ]
        return "  |  ".join(words)
