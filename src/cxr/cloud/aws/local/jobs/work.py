"""Jobs at work: so many at a time, the others wait in the order in which they came."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)


class JobFailedError(Exception):
    """A job ends as failed; the message is its FailureReason."""


class JobStoppedError(Exception):
    """A job was stopped before it had anything to show."""


@dataclass(frozen=True, slots=True)
class JobKey:
    """Which job: names are unique within a kind and a region."""

    kind: str
    region: str
    name: str


class Work(ABC):
    """One job. `stopping` is set when its user wants it ended, `abandoned` when the server ends; `done` at its end."""

    def __init__(self, key: JobKey) -> None:
        self.key = key
        self.stopping = threading.Event()
        self.abandoned = threading.Event()
        self.done = threading.Event()

    @abstractmethod
    def run(self) -> None:
        """Do it, to its end. Raises JobFailedError or JobStoppedError."""

    @abstractmethod
    def failed(self, reason: str) -> None:
        """Write down that it failed."""

    @abstractmethod
    def stopped(self) -> None:
        """Write down that it was stopped with nothing to show."""

    def is_ending(self) -> bool:
        """Whether nobody wants its result any more."""
        return self.stopping.is_set() or self.abandoned.is_set()

    def check_stop(self) -> None:
        """Raise JobStoppedError when it is to end."""
        if self.is_ending():
            raise JobStoppedError


class JobRunner:
    """Runs `slots` jobs at a time in threads; coordinators (of a tuning), which do no work themselves, at once."""

    def __init__(self, slots: int) -> None:
        self._condition = threading.Condition()
        self._waiting: deque[Work] = deque()
        self._active: dict[JobKey, Work] = {}
        self._threads: list[threading.Thread] = []
        self._closed = False
        for _ in range(slots):
            self._thread(self._serve)

    @property
    def running(self) -> int:
        """How many jobs have begun."""
        with self._condition:
            return len(self._active)

    @property
    def waiting(self) -> int:
        """How many have not."""
        with self._condition:
            return len(self._waiting)

    def submit(self, work: Work) -> None:
        """Run a job as soon as there is room."""
        with self._condition:
            self._waiting.append(work)
            self._condition.notify()

    def coordinate(self, work: Work) -> None:
        """Run a job that only waits for others."""
        with self._condition:
            self._active[work.key] = work
        self._thread(lambda: self._run(work))

    def stop(self, key: JobKey) -> bool:
        """Ask a job to end; one that waits has ended at once. False when there is none."""
        with self._condition:
            waiting = next((work for work in self._waiting if work.key == key), None)
            work = waiting or self._active.get(key)
            if work is None:
                return False
            work.stopping.set()
            if waiting is not None:
                self._waiting.remove(waiting)
        if waiting is not None:
            waiting.stopped()
            waiting.done.set()
        return True

    def close(self, seconds: float) -> None:
        """End all jobs at once, and wait for their threads for so long."""
        with self._condition:
            self._closed = True
            for work in [*self._waiting, *self._active.values()]:
                work.abandoned.set()
            self._waiting.clear()
            self._condition.notify_all()
        for thread in self._threads:
            thread.join(seconds)

    def _thread(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive() or not one.ident]
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            self._run(work)

    def _next(self) -> Work | None:
        with self._condition:
            while not self._waiting and not self._closed:
                self._condition.wait()
            if self._closed:
                return None
            work = self._waiting.popleft()
            self._active[work.key] = work
            return work

    def _run(self, work: Work) -> None:
        try:
            work.run()
        except JobFailedError as failure:
            work.failed(str(failure))
        except JobStoppedError:
            work.stopped()
        except Exception:
            if not work.abandoned.is_set():
                log.exception("%s: could not be run", work.key)
                work.failed("InternalServerError: We encountered an internal error; see the server's server.log.")
        finally:
            with self._condition:
                self._active.pop(work.key, None)
            work.done.set()
            log.info("%s %s: ended", work.key.kind, work.key.name)
