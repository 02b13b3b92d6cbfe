"""Runs benchmarks, each in a process of its own; one that fails or takes too long is marked and keeps no other from
being run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from harness.machine import commit_of_tree, describe_machine, versions_of
from harness.record import Record, read_record, write_record
from harness.suite import Benchmark

#: From the polite end to the other one: a script writes down what it has.
GRACE_S = 20.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where scripts are and where their records (`NAME.json`) and what they print (`NAME.log`) are kept."""

    scripts: Path
    kept: Path

    def record_of(self, benchmark: Benchmark) -> Path:
        """The record's file."""
        return self.kept / f"{benchmark.script}.json"


def run_benchmarks(
    benchmarks: Iterable[Benchmark],
    place: Place,
    *,
    quick: bool = False,
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> list[Record]:
    """Run them one after another; `resume` leaves out what has ended well at this commit."""
    place.kept.mkdir(parents=True, exist_ok=True)
    records = []
    for benchmark in benchmarks:
        path = place.record_of(benchmark)
        earlier = _earlier(path) if resume else None
        if earlier is not None:
            say(f"{benchmark.script}: kept, of {earlier.started}")
            records.append(earlier)
            continue
        say(f"{benchmark.script} …")
        path.unlink(missing_ok=True)
        record = _run(benchmark, place, quick)
        write_record(record, path)
        missed = sum(result.met is False for result in record.results)
        say(
            f"  FAILED: {record.failure}; {path.with_suffix('.log')}"
            if record.failure
            else f"  {len(record.results)} results in {record.seconds:.0f} s, {missed} goals missed"
        )
        records.append(record)
    return records


def _earlier(path: Path) -> Record | None:
    with suppress(ValueError):
        record = read_record(path)
        if record is not None and not record.failure and record.commit == commit_of_tree():
            return record
    return None


def _run(benchmark: Benchmark, place: Place, quick: bool) -> Record:
    path = place.record_of(benchmark)
    command = [sys.executable, str(place.scripts / f"{benchmark.script}.py"), "--json", str(path)]
    command += ["--quick"] if quick else benchmark.arguments
    with path.with_suffix(".log").open("wb") as log, _started(command, log) as process:
        failure = _wait(process, benchmark.timeout_s)
    with suppress(ValueError):
        record = read_record(path)
        if record is not None:
            # Why it was stopped says more than that it was.
            return replace(record, failure=(failure if process.returncode else "") or record.failure)
    nothing = (quick, "", 0.0, 0.0, commit_of_tree(), describe_machine(), versions_of(()))
    return Record(benchmark.script, benchmark.arguments, *nothing, failure=failure or "it left no record")


@contextmanager
def _started(command: Sequence[str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with this block, and what it has started with it."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with _ctrl_c_waits():  # a process that nobody knows of yet would be left behind
            processes.append(
                # A group of its own, so that what a script has started ends with it.
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
            )
        yield processes[0]
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard and callable(before):
        before(signal.SIGINT, None)


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> str:
    """Why it did not end well; empty when it did."""
    try:
        code = process.wait(timeout_s)
        return f"exit code {code}" if code else ""
    except subprocess.TimeoutExpired:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        return f"it took longer than {timeout_s:g} s"
