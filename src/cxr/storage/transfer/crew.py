"""The workers of a transfer: threads that take files from one stream, watched by the thread that called.

A file that overstays its deadline is given up: its thread is left behind (it is a daemon and can hold nothing up) and
another takes its place. Ctrl-C stops the taking of files and waits for those in flight no longer than `GRACE_S`.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol

from cxr.errors import CxrError, Fault, Interrupted, NotAllowed, Unreachable
from cxr.storage.limits import Pace
from cxr.storage.retrying import Retrier
from cxr.storage.transfer.files import Failure, Item, OnTally, Outcome, Tally, Task
from cxr.storage.transfer.workers import MOST_BYTES

#: How long after Ctrl-C the files in flight may still finish.
GRACE_S: Final = 1.0
_TICK_S: Final = 0.1
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: After so many refused files nothing more is tried, although some were sent.
REFUSALS: Final = 10
#: Seconds that any file may take, whatever its size and the retries.
ALLOWED_S: Final = 60.0
#: Bytes of one file that are in memory at most: a file in one request, or a piece of a larger one.
HELD_BYTES: Final = 8 << 20
#: The slowest link that a transfer is expected to work on, in bytes a second, shared by all workers.
SLOWEST_BYTES_S: Final = 32 << 10


@dataclass(eq=False, slots=True)
class _Flight:
    name: str
    size: int
    held: int
    deadline: float
    given_up: bool = False


@dataclass(slots=True)
class _Books:
    files: int = 0
    size: int = 0
    in_memory: int = 0
    failures: list[Failure] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    flights: set[_Flight] = field(default_factory=set)
    bug: BaseException | None = None
    alive: int = 0


class Crew(Generic[Item]):
    """Does `action` to every task, `workers` at a time. `stop` is set to end it: on Ctrl-C, and when all is in vain.

    `retry_s` is the patience of the store underneath, which the deadline of a file must leave room for.
    """

    def __init__(
        self,
        action: Callable[[Item], object],
        *,
        workers: int,
        retrier: Retrier,
        pace: Pace,
        retry_s: float,
        on_tally: OnTally,
    ) -> None:
        self._action = action
        self._workers = workers
        self._retrier = retrier
        self._pace = pace
        self._retry_s = retry_s
        self._on_tally = on_tally
        self._stop = threading.Event()
        self._room = threading.Condition()
        self._all_gone = threading.Event()
        self._books = _Books()
        self._tasks: Iterator[Task[Item]] = iter(())
        self._totals = (0, 0)

    def run(self, tasks: Iterator[Task[Item]], *, files: int, size: int) -> Outcome:
        """Do all tasks; `files` and `size` are what they will be together. Never raises for a file that fails."""
        self._tasks, self._totals = tasks, (files, size)
        began, interrupted = time.monotonic(), False
        try:
            # All are counted before the first begins: it may be done before the second is there.
            self._books.alive = min(self._workers, max(files, 1))
            self._start(self._books.alive)
            self._watch(until=None)
        except KeyboardInterrupt:
            interrupted = True
            self._end()
        self._on_tally(self._tally())
        with self._room:
            books = self._books
            if books.bug is not None:
                raise books.bug
            untried = [*books.untried, *(flight.name for flight in books.flights)]
            if self._stop.is_set():
                untried += [task.name for task in self._tasks]
            seconds = time.monotonic() - began
            return Outcome(self._tally(), tuple(books.failures), tuple(untried), interrupted, seconds)

    def _start(self, count: int) -> None:
        for _ in range(count):
            threading.Thread(target=self._work, name="transfer", daemon=True).start()

    def _watch(self, until: float | None) -> None:
        # Not woken by each file: at a thousand a second that would cost the workers their turn.
        while not self._all_gone.wait(_TICK_S):
            self._give_up_late_ones()
            self._on_tally(self._tally())
            if until is not None and time.monotonic() > until:
                return

    def _end(self) -> None:
        # A second Ctrl-C ends the grace, too.
        self._stop.set()
        with self._room:
            self._room.notify_all()
        with suppress(KeyboardInterrupt):
            self._watch(until=time.monotonic() + GRACE_S)
        self._pace.cancelled.set()

    def _give_up_late_ones(self) -> None:
        now = time.monotonic()
        with self._room:
            late_ones = [flight for flight in self._books.flights if now > flight.deadline]
            for flight in late_ones:
                self._give_up(flight)
        self._start(len(late_ones))  # in the places of those that are left behind

    def _give_up(self, flight: _Flight) -> None:
        flight.given_up = True
        self._books.flights.discard(flight)
        self._books.in_memory -= flight.held
        late = Unreachable(f"{flight.name}: given up, it went on for too long", hint="run the same command again")
        self._books.failures.append(Failure(flight.name, late))
        self._room.notify_all()

    def _work(self) -> None:
        flight = None
        try:
            while (begun := self._begin()) is not None:
                task, flight = begun
                error = self._try(task)
                if not self._finish(flight, error):
                    return  # given up: another has taken this one's place
        except BaseException as bug:  # noqa: BLE001  (it is raised again where the crew was called)
            self._books.bug = bug
            self._stop.set()
            if flight is not None and flight.given_up:
                return
        with self._room:
            self._books.alive -= 1
            self._room.notify_all()
            if not self._books.alive:
                self._all_gone.set()

    def _begin(self) -> tuple[Task[Item], _Flight] | None:
        with self._room:
            if self._stop.is_set():
                return None
            task = next(self._tasks, None)
            if task is None:
                return None
            held = min(task.size, HELD_BYTES)
            while self._books.in_memory and self._books.in_memory + held > MOST_BYTES and not self._stop.is_set():
                self._room.wait()
            if self._stop.is_set():
                self._books.untried.append(task.name)
                return None
            slowest = min(SLOWEST_BYTES_S, self._pace.rate or SLOWEST_BYTES_S)
            allowed = ALLOWED_S + self._retry_s + task.size * self._workers / slowest
            flight = _Flight(task.name, task.size, held, time.monotonic() + allowed)
            self._books.in_memory += held
            self._books.flights.add(flight)
        self._pace.begin()
        return task, flight

    def _try(self, task: Task[Item]) -> CxrError | None:
        try:
            self._action(task.item)
        except CxrError as error:
            return error
        except OSError as error:
            return Fault(f"{task.name}: {error.strerror or error}")
        finally:
            self._pace.end()
        return None

    def _finish(self, flight: _Flight, error: CxrError | None) -> bool:
        with self._room:
            if flight.given_up:
                return False
            self._books.in_memory -= flight.held
            self._books.flights.discard(flight)
            if error is None:
                self._books.files += 1
                self._books.size += flight.size
            elif isinstance(error, Interrupted):
                self._books.untried.append(flight.name)  # it was begun and is not done
            else:
                self._books.failures.append(Failure(flight.name, error))
                if self._retrier.gave_up:
                    self._pace.cancelled.set()  # the others need not wait for their next attempt
                if self._retrier.gave_up or self._is_in_vain(error):
                    self._stop.set()
            self._room.notify()
            return True

    def _is_in_vain(self, error: CxrError) -> bool:
        """Whether the other files would fail in the same way: no space; no permission for any of several files."""
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        refused = sum(isinstance(failure.error, NotAllowed) for failure in self._books.failures)
        return refused >= (REFUSALS if self._books.files else 1)

    def _tally(self) -> Tally:
        files, size = self._totals
        done = min(self._books.size + self._pace.in_flight(), size)
        moved, retries = self._pace.moved, self._retrier.retries
        return Tally(self._books.files, files, done, size, moved, retries, len(self._books.failures))


class CrewOf(Protocol[Item]):
    """Makes the workers for an action."""

    def __call__(self, action: Callable[[Item], object], /) -> Crew[Item]:
        """A crew that does `action`."""
