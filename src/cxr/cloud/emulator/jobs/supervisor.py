"""The thread that starts jobs, notices how they end, cancels them, and takes them up again after a restart.

A job is waiting, running or done; one that is made of other jobs (its children) is managed instead of running, and
takes no slot. Each kind of job says what to launch and what its end means; only this file knows slots and attempts.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cxr.cloud.emulator.errors import ApiError, Code, RpcError, internal
from cxr.cloud.emulator.jobs import attempts, outcomes
from cxr.cloud.emulator.jobs.attempts import AttemptState, Launch, Outcome, attempt_folder
from cxr.cloud.emulator.jobs.children import are_being_cancelled, unfinished_children
from cxr.cloud.emulator.jobs.interruptions import Interruptions
from cxr.cloud.emulator.settings import EmulatorSettings
from cxr.cloud.emulator.state.database import Database, next_serial

TICK_SECONDS = 0.1
log = logging.getLogger(__name__)


class JobKind(Protocol):
    """What differs between kinds of jobs. `name` is the resource's name; each end is one database transaction."""

    def prepare(self, name: str, job_folder: Path, attempt_folder: Path) -> Launch:
        """Lay out an attempt's files and say what to run. An ApiError makes the job fail."""

    def started(self, connection: sqlite3.Connection, name: str) -> None:
        """The job runs."""

    def waiting(self, connection: sqlite3.Connection, name: str) -> None:
        """The job waits again (the server stops)."""

    def judge(self, name: str, attempt_folder: Path, outcome: Outcome) -> RpcError | None:
        """Whether an attempt that ended succeeded (None) or why it did not; outside of any transaction."""

    def succeeded(self, connection: sqlite3.Connection, name: str, attempt_folder: Path) -> None:
        """The job is done."""

    def failed(self, connection: sqlite3.Connection, name: str, error: RpcError) -> None:
        """The job has failed."""

    def cancelled(self, connection: sqlite3.Connection, name: str) -> None:
        """The job is cancelled."""


class Coordinator(Protocol):
    """A kind of job that is made of other jobs; it ends when it says so (`end_managed`), is cancelled or fails."""

    def prepare(self, name: str) -> None:
        """Do what must be done before, outside of any transaction. An ApiError makes the job fail."""

    def begin(self, connection: sqlite3.Connection, name: str) -> None:
        """Create the first children."""

    def failed(self, connection: sqlite3.Connection, name: str, error: RpcError) -> None:
        """The job has failed."""

    def cancelled(self, connection: sqlite3.Connection, name: str) -> None:
        """The job and all its children are cancelled."""


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    kind: str
    phase: str
    folder: Path
    attempt: int
    lost: int
    cancel_requested: bool


def add_job(connection: sqlite3.Connection, name: str, kind: str, folder: str) -> None:
    """Put a job into the queue, after its resource; the supervisor must be woken after the transaction."""
    connection.execute(
        "INSERT INTO jobs VALUES (?,?,?,'waiting',?,0,0,0)", (name, kind, next_serial(connection, "job"), folder)
    )
    outcomes.assign(connection, name)


def request_cancel(connection: sqlite3.Connection, name: str) -> None:
    """Ask for a job's end; the supervisor must be woken after the transaction."""
    connection.execute("UPDATE jobs SET cancel_requested=1 WHERE name=?", (name,))


def end_managed(connection: sqlite3.Connection, name: str) -> None:
    """A job of jobs is over; children that are not are cancelled."""
    connection.execute("UPDATE jobs SET phase='done' WHERE name=?", (name,))
    for child in unfinished_children(connection, name):
        request_cancel(connection, child)


def _is_to_end(connection: sqlite3.Connection, name: str) -> bool:
    return bool(connection.execute("SELECT cancel_requested FROM jobs WHERE name=?", (name,)).fetchone()[0])


class Supervisor:
    """One thread for all jobs of a server."""

    def __init__(
        self,
        settings: EmulatorSettings,
        database: Database,
        kinds: Mapping[str, JobKind],
        coordinators: Mapping[str, Coordinator] | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._kinds = kinds
        self._coordinators = coordinators or {}
        self._interruptions = Interruptions(database)
        self._wake = threading.Event()
        self._stopping = False
        self._wrappers: dict[str, subprocess.Popen[bytes]] = {}
        self._kill_at: dict[str, float] = {}
        self._free_slots = 0
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin; jobs that were running are looked for, waiting ones started."""
        self._thread.start()

    def wake(self) -> None:
        """A job was added or is to be cancelled."""
        self._wake.set()

    def stop(self) -> None:
        """End all running jobs; they wait for the next server, which starts them anew."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        for job in self._jobs("running"):
            self._safely(self._put_back, job)
        for wrapper in self._wrappers.values():
            wrapper.wait()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                busy = self._tick()
            except Exception:
                log.exception("supervising jobs failed")
                busy = True
            self._wake.wait(TICK_SECONDS if busy else None)

    def _tick(self) -> bool:
        for job in self._jobs("running"):
            self._safely(self._watch, job)
        for job in self._jobs("managed"):
            self._safely(self._manage, job)
        self._free_slots = self._settings.max_running_jobs - len(self._jobs("running"))
        for job in self._jobs("waiting"):
            self._safely(self._take_up, job)
        phases = "SELECT 1 FROM jobs WHERE phase IN ('waiting','running','managed') LIMIT 1"
        return self._database.read.execute(phases).fetchone() is not None

    def _safely(self, step: Callable[[_Job], None], job: _Job) -> None:
        """Do a step of one job; when that raises, this job fails and the others go on."""
        try:
            step(job)
        except sqlite3.OperationalError:
            log.exception("%s: the database cannot be used now", job.name)  # a full disk, say: tried again
        except Exception as error:
            log.exception("%s: supervising it failed", job.name)
            self._give_up(job, error)

    def _give_up(self, job: _Job, why: Exception) -> None:
        """FAILED; when not even that can be written down, at least out of the way of the others."""
        row = self._database.read.execute("SELECT phase, attempt FROM jobs WHERE name=?", (job.name,)).fetchone()
        if row is None or row["phase"] == "done":
            return  # it has ended, and what went wrong came after that
        with contextlib.suppress(OSError, ValueError):
            attempts.kill(attempt_folder(job.folder, row["attempt"]))
        try:
            self._end_failed(job, internal(why))
        except Exception:
            log.exception("%s: its end cannot be written down", job.name)
            with contextlib.suppress(sqlite3.Error), self._database.write() as connection:
                self._done(connection, job)

    def _put_back(self, job: _Job) -> None:
        attempts.kill(folder := attempt_folder(job.folder, job.attempt))
        if attempts.state_of(folder) is AttemptState.ENDED:
            return  # it was done in that moment: the next server reads how it ended
        with self._database.write() as connection:
            self._kinds[job.kind].waiting(connection, job.name)
            connection.execute("UPDATE jobs SET phase='waiting' WHERE name=?", (job.name,))
        attempts.tidy(folder)

    def _take_up(self, job: _Job) -> None:
        if job.cancel_requested:
            self._end_cancelled(job)
        elif self._stopping or self._is_held(job):
            return
        elif job.kind in self._coordinators:
            self._begin(job)
        elif self._free_slots > 0:
            self._free_slots -= 1
            self._launch(job)

    def _is_held(self, job: _Job) -> bool:
        """Whether a job must not start, because that was asked for; stock-outs end here."""
        script = outcomes.script_of(self._database.read, job.name)
        if script is None or job.attempt > 0:
            return False
        elapsed = time.time() - script.since
        if script.outcome == "stockout":
            if script.is_due(elapsed):
                self._end_failed(job, script.error)
            return True
        return script.outcome == "stuck" and (script.seconds is None or not script.is_due(elapsed))

    def _begin(self, job: _Job) -> None:
        coordinator = self._coordinators[job.kind]
        try:
            coordinator.prepare(job.name)
            with self._database.write() as connection:
                if _is_to_end(connection, job.name):
                    return  # cancelled meanwhile: the next look ends it
                connection.execute("UPDATE jobs SET phase='managed' WHERE name=?", (job.name,))
                outcomes.begin_now(connection, job.name)
                coordinator.begin(connection, job.name)
        except ApiError as refused:
            error = refused if isinstance(refused, RpcError) else RpcError(Code.INVALID_ARGUMENT, str(refused))
            self._end_failed(job, error)
        except Exception as bug:
            log.exception("%s could not be begun", job.name)
            self._end_failed(job, internal(bug))
        else:
            self._wake.set()
            log.info("%s: begun", job.name)

    def _manage(self, job: _Job) -> None:
        script = outcomes.script_of(self._database.read, job.name)
        if job.cancel_requested:
            children = unfinished_children(self._database.read, job.name)
            if not children:
                self._end_cancelled(job)
            elif not are_being_cancelled(self._database.read, children):
                with self._database.write() as connection:
                    for child in children:
                        request_cancel(connection, child)
        elif script is not None and script.outcome == "fail" and script.is_due(time.time() - script.since):
            self._end_failed(job, script.error)
        elif not unfinished_children(self._database.read, job.name):
            # The last child's end and the job's are one transaction, unless that could not be written down.
            self._end_failed(job, RpcError(Code.INTERNAL, "Internal error: its jobs ended without a result."))

    def _watch(self, job: _Job) -> None:
        folder = attempt_folder(job.folder, job.attempt)
        state = attempts.state_of(folder)
        if state in {AttemptState.STARTING, AttemptState.RUNNING}:
            if job.cancel_requested or (state is AttemptState.RUNNING and self._interruptions.is_due(job.name, folder)):
                self._wind_down(job, folder, state)
            elif state is AttemptState.STARTING and self._wrapper_has_ended(job.name):
                attempts.kill(folder)  # it ended before it had claimed the attempt: nobody will
            return
        mine = self._reap(job.name)
        self._kill_at.pop(job.name, None)
        attempts.kill_leftovers(folder)
        failure = self._interruptions.failure(job.name)
        if job.cancel_requested:
            self._end_cancelled(job)
        elif failure is not None:
            self._end_failed(job, failure)
        elif self._interruptions.was_preempted(folder):
            self._preempted(job)
        elif state is AttemptState.ENDED:
            self._end(job, folder)
        else:
            self._lost(job, counts=mine)
        attempts.tidy(folder)

    def _launch(self, job: _Job) -> None:
        attempt = job.attempt + 1
        folder = attempt_folder(job.folder, attempt)
        kind = self._kinds[job.kind]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            what = self._interruptions.scripted(job.name, kind.prepare(job.name, job.folder, folder))
        except ApiError as refused:
            error = refused if isinstance(refused, RpcError) else RpcError(Code.INVALID_ARGUMENT, str(refused))
            self._end_failed(job, error)
            return
        except Exception as bug:
            log.exception("%s could not be prepared", job.name)
            self._end_failed(job, internal(bug))
            return
        with self._database.write() as connection:
            if _is_to_end(connection, job.name):
                return  # cancelled while it was prepared: the next look ends it
            connection.execute("UPDATE jobs SET phase='running', attempt=? WHERE name=?", (attempt, job.name))
            kind.started(connection, job.name)
        self._wrappers[job.name] = attempts.launch(folder, what)
        log.info("%s: attempt %d started", job.name, attempt)

    def _wind_down(self, job: _Job, folder: Path, state: AttemptState) -> None:
        if state is AttemptState.STARTING:
            attempts.kill(folder)  # nothing runs yet that could be asked to end
        elif job.name not in self._kill_at:
            self._kill_at[job.name] = time.monotonic() + self._settings.cancel_grace_seconds
            attempts.terminate(folder)
        elif time.monotonic() >= self._kill_at[job.name]:
            attempts.kill(folder)

    def _preempted(self, job: _Job) -> None:
        """It starts again with the next attempt, unless that may not be or was too often."""
        error = self._interruptions.after_preemption(job.name)
        if error is not None:
            self._end_failed(job, error)
            return
        with self._database.write() as connection:
            outcomes.count_preemption(connection, job.name)
            self._kinds[job.kind].waiting(connection, job.name)
            connection.execute("UPDATE jobs SET phase='waiting' WHERE name=?", (job.name,))
        log.warning("%s: attempt %d was preempted", job.name, job.attempt)

    def _lost(self, job: _Job, *, counts: bool) -> None:
        # What an earlier server had started may have died with that server, or with the machine: not the job's fault.
        lost = job.lost + counts
        log.warning("%s: attempt %d died without a word", job.name, job.attempt)
        if lost >= self._settings.job_attempts:
            self._end_failed(job, RpcError(Code.INTERNAL, f"Internal error: the job's process died {lost} times."))
            return
        with self._database.write() as connection:
            connection.execute("UPDATE jobs SET phase='waiting', lost=? WHERE name=?", (lost, job.name))

    def _end(self, job: _Job, folder: Path) -> None:
        kind = self._kinds[job.kind]
        outcome = attempts.outcome_of(folder)
        try:
            error = kind.judge(job.name, folder, outcome)
        except Exception:
            log.exception("%s: its result cannot be used", job.name)
            error = RpcError(Code.INTERNAL, "Internal error: the job's result cannot be used; see server.log.")
        if error is not None:
            self._end_failed(job, error)
            return
        with self._database.write() as connection:
            kind.succeeded(connection, job.name, folder)
            self._done(connection, job)
        log.info("%s: succeeded", job.name)

    def _end_failed(self, job: _Job, error: RpcError) -> None:
        with self._database.write() as connection:
            self._ends_of(job).failed(connection, job.name, error)
            self._done(connection, job)
        log.warning("%s: failed: %s", job.name, error.message)

    def _end_cancelled(self, job: _Job) -> None:
        with self._database.write() as connection:
            self._ends_of(job).cancelled(connection, job.name)
            self._done(connection, job)
        log.info("%s: cancelled", job.name)

    def _done(self, connection: sqlite3.Connection, job: _Job) -> None:
        end_managed(connection, job.name)
        self._kill_at.pop(job.name, None)

    def _ends_of(self, job: _Job) -> JobKind | Coordinator:
        return self._coordinators.get(job.kind) or self._kinds[job.kind]

    def _wrapper_has_ended(self, name: str) -> bool:
        wrapper = self._wrappers.get(name)
        return wrapper is not None and wrapper.poll() is not None

    def _reap(self, name: str) -> bool:
        """Collect the wrapper, which would stay as a zombie; False when this server has not started one."""
        wrapper = self._wrappers.pop(name, None)
        if wrapper is not None:
            wrapper.wait()
        return wrapper is not None

    def _jobs(self, phase: str) -> list[_Job]:
        rows = self._database.read.execute("SELECT * FROM jobs WHERE phase=? ORDER BY serial", (phase,))
        return [
            _Job(
                name=row["name"],
                kind=row["kind"],
                phase=row["phase"],
                folder=self._settings.jobs_dir / row["folder"],
                attempt=row["attempt"],
                lost=row["lost"],
                cancel_requested=bool(row["cancel_requested"]),
            )
            for row in rows
        ]
