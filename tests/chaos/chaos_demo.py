"""A quick demo in a process of its own that is watched, killed and started again, and what must hold at its end."""

from __future__ import annotations

import json
import os
import random
import selectors
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from cxr.cli.demo_steps import STEPS
from cxr.cloud.emulator.process import stop
from cxr.cloud.jobs.journal import Journal
from cxr.webapp import static

#: How many times the demo is killed at random: `make test-slow` does it a few times, `make chaos` thirty.
SEEDS = int(os.environ.get("CXR_CHAOS_SEEDS", "3"))
#: In the environment of every process of a demo and of what it starts: which demo it is.
MARK = "CXR_CHAOS_FOLDER"
EMULATOR = Path(".cxr", "emulator")
#: No demo takes so long, however busy the machine is.
LONGEST_S = 500.0
#: What was told to end may take so long to be gone.
ENDING_S = 120.0
#: What a run may end with: done, or one of the program's own ends (cxr.errors).
DONE = 0
CLEAR_ENDS = frozenset({1, 3, 4, 6})


@dataclass(frozen=True)
class Ended:
    """How one run of the demo ended: its exit code (negative: a signal), what it said on both channels, and when it
    began each step, in seconds since its start."""

    code: int
    said: str
    began: dict[int, float] = field(default_factory=dict)

    @property
    def is_clear(self) -> bool:
        """Whether a failed run said so in one line with what to do next, and no traceback."""
        lines = [line for line in self.said.splitlines() if line.strip()]
        told = [line for line in lines[-2:] if line.startswith("  next: ")]
        return self.code in CLEAR_ENDS and bool(told) and not is_raw(self.said)


def is_raw(said: str) -> bool:
    """Whether Python's own words of an error are in what a user reads."""
    return "Traceback (most recent call last)" in said or "this is a bug in cxr" in said


class Demo:
    """`cxr demo --quick` in `folder`, as often as it takes. `environment` is added to that of its processes, `prefix`
    is a command that starts them."""

    def __init__(
        self, folder: Path, environment: dict[str, str] | None = None, prefix: Sequence[str] = (), *options: str
    ) -> None:
        self.folder = folder
        self._command = [*prefix, sys.executable, "-m", "cxr", "demo", "--quick", "--out", str(folder), *options]
        own = {key: value for key, value in os.environ.items() if not key.startswith("CXR_")}
        self.environment = {**own, MARK: str(folder), "PYTHONUNBUFFERED": "1", **(environment or {})}

    @property
    def emulator(self) -> Path:
        """The state folder of its emulator."""
        return self.folder / EMULATOR

    def start(self) -> subprocess.Popen[str]:
        """Begin it in a process group of its own; both channels are one."""
        return subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            cwd=self.folder.parent,
            start_new_session=True,
        )

    def run(self, on_step: Any = None) -> Ended:
        """One run to its end; `on_step` is called with the number of every step that begins."""
        process = self.start()
        began: dict[int, float] = {}
        start, said = time.monotonic(), []
        with _Guarded(process) as lines:
            for line in lines:
                said.append(line)
                step = _step_of(line)
                if step is not None:
                    began[step] = time.monotonic() - start
                    if on_step is not None:
                        on_step(step)
        return Ended(process.wait(), "".join(said), began)

    def processes(self) -> list[psutil.Process]:
        """Every living process of this demo: by what it inherited, or by its command line."""
        return [process for process in psutil.process_iter() if self._is_mine(process)]

    def left(self) -> list[str]:
        """What still runs of it in the end, after some time for what is ending."""
        deadline = time.monotonic() + ENDING_S
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return [str(process) for process in left]

    def stop_emulator(self, seen: Path | None = None) -> None:
        """What `cxr emulator stop` does; `seen` is where this process sees the demo's folder, if not there."""
        stop((seen or self.folder) / EMULATOR)

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                return False
            return process.environ().get(MARK) == str(self.folder) or str(self.folder) in " ".join(process.cmdline())
        except psutil.Error:
            return False


class _Guarded:
    """The lines of a process, which is killed with its group when it outstays its time or the test ends before it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __enter__(self) -> Lines:
        return Lines(self._process, LONGEST_S)

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Lines:
    """The lines that a process says, until it ends; `before` gives up at a moment."""

    def __init__(self, process: subprocess.Popen[str], seconds: float) -> None:
        assert process.stdout is not None
        self._stream: IO[str] = process.stdout
        self._deadline = time.monotonic() + seconds
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stream, selectors.EVENT_READ)
        self._rest = b""
        os.set_blocking(self._stream.fileno(), False)

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self.before(self._deadline)
        if line is None:
            raise TimeoutError("the demo did not end in its time")
        if not line:
            raise StopIteration
        return line

    def before(self, moment: float) -> str | None:
        """The next line; None when none came before `moment` (monotonic seconds), "" at the end."""
        while b"\n" not in self._rest:
            left = min(moment, self._deadline) - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                if time.monotonic() >= moment or left <= 0:
                    return None
                continue
            piece = os.read(self._stream.fileno(), 1 << 16)
            if not piece:
                whole, self._rest = self._rest, b""
                return whole.decode("utf-8", "replace")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("utf-8", "replace") + "\n"


def _step_of(line: str) -> int | None:
    if not line.startswith("["):
        return None
    number = line[1:].partition("/")[0]
    return int(number) if f"[{number}/{STEPS}]" in line and number.isdigit() else None


@dataclass(frozen=True)
class Kill:
    """When in a run (a step, and what part of the time that it takes undisturbed) somebody dies, and who."""

    step: int
    part: float
    victim: str

    def __str__(self) -> str:
        return f"{self.victim} at {self.part:.0%} of step {self.step}"


#: Who dies: the command; the command and all that it ever started, as when the machine goes down; the emulator alone;
#: any one of the processes.
VICTIMS = ("command", "everything", "emulator", "one")


def kills_of(seed: int) -> list[Kill]:
    """One to three kills, in the order of the steps; the same for the same seed."""
    chance = random.Random(seed)
    many = chance.randint(1, 3)
    steps = sorted(chance.randint(1, STEPS) for _ in range(many))
    return [Kill(step, chance.random(), chance.choice(VICTIMS)) for step in steps]


def killed_run(demo: Demo, kill: Kill, undisturbed: Ended, chance: random.Random) -> Ended | None:
    """Run the demo until it is time, kill, and see how the run ends; None when the command itself was killed.

    A step that ends before its time has come (it was done in an earlier run) brings the kill forward to its end.
    """
    process = demo.start()
    said: list[str] = []
    with _Guarded(process) as lines:
        for line in lines:
            said.append(line)
            if _step_of(line) == kill.step:
                break
        seconds = kill.part * _seconds_of(kill.step, undisturbed)
        moment = time.monotonic() + seconds
        while line := lines.before(moment):
            said.append(line)
            if _step_of(line) is not None:
                break
        doomed = _doomed(demo, process, kill.victim, chance)
        for one in doomed:
            with suppress(psutil.Error):
                one.suspend()  # none of them sees another one die
        for one in doomed:
            with suppress(psutil.Error):
                one.kill()
        if any(one.pid == process.pid for one in doomed):
            process.wait()
            return None
        said += list(lines)
    return Ended(process.wait(), "".join(said))


def _seconds_of(step: int, undisturbed: Ended) -> float:
    return undisturbed.began.get(step + 1, undisturbed.began[step] + 1.0) - undisturbed.began[step]


def _doomed(demo: Demo, process: subprocess.Popen[str], victim: str, chance: random.Random) -> list[psutil.Process]:
    mine = sorted(demo.processes(), key=lambda one: one.pid)
    if victim == "everything":
        return mine
    if victim == "emulator":
        return [one for one in mine if _is_emulator(one)]
    if victim == "one":
        return [chance.choice(mine)] if mine else []
    with suppress(psutil.Error):
        return [psutil.Process(process.pid), *_group(process.pid, mine)]
    return []


def _group(leader: int, mine: list[psutil.Process]) -> list[psutil.Process]:
    found = []
    for one in mine:
        with suppress(ProcessLookupError):
            if os.getpgid(one.pid) == leader and one.pid != leader:
                found.append(one)
    return found


def _is_emulator(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "cxr.cloud.emulator" in process.cmdline()
    return False


def figures(folder: Path) -> list[dict[str, Any]]:
    """What the comparison says of every model and floor, but for what differs from run to run (speed)."""
    document = json.loads((folder / "compare" / "results.json").read_text(encoding="utf-8"))
    kept = ("name", "kind", "trained_by", "stand_in", "metrics", "confusion", "operating_points")
    return [{key: row[key] for key in kept} for row in document["rows"]]


def check_ended_well(demo: Demo, ended: Ended, undisturbed: list[dict[str, Any]], seen: Path | None = None) -> None:
    """What holds after any demo that ended well, whatever happened on the way. `seen`: as in `stop_emulator`."""
    folder = seen or demo.folder
    assert ended.code == DONE, ended.said[-3000:]
    assert not is_raw(ended.said), ended.said[-3000:]
    assert not differences(undisturbed, figures(folder))
    assert (folder / "compare" / "report.html").stat().st_size > 0
    if (static.FOLDER / static.BUILD_FILE).is_file():
        assert (folder / "page" / "index.html").is_file()
    jobs = [job for job in Journal(folder / ".cxr" / "jobs.jsonl").jobs() if job.kind != "import"]
    assert sorted((str(job.kind), job.state) for job in jobs if job.succeeded) == [
        ("automl", "SUCCEEDED"),
        ("custom", "SUCCEEDED"),
    ]
    assert half_written(folder) == []
    demo.stop_emulator(seen)
    assert demo.left() == []


def check_nothing_billed_twice(demo: Demo) -> None:
    """The service has one job of each sort, and the journal knows it as its first attempt."""
    assert billed(demo) == {"customJobs": 1, "datasets": 1, "trainingPipelines": 1}
    jobs = [job for job in Journal(demo.folder / ".cxr" / "jobs.jsonl").jobs() if job.kind != "import"]
    assert sorted(str(job.kind) for job in jobs) == ["automl", "custom"]


def billed(demo: Demo) -> dict[str, int]:
    """How many of what costs money, or holds data, the service has, by its own books."""
    counted = {"customJobs": 0, "datasets": 0, "trainingPipelines": 0}
    with closing(sqlite3.connect(f"file:{demo.emulator / 'state.db'}?mode=ro", uri=True)) as database:
        for (collection,) in database.execute("SELECT collection FROM resources"):
            kind = collection.rpartition("/")[2]
            if kind in counted:
                counted[kind] += 1
    return counted


def half_written(folder: Path) -> list[str]:
    """Files and folders under a temporary name among the results (the state folder sweeps its own)."""
    names = (path.relative_to(folder) for path in folder.rglob("*"))
    return sorted(
        str(name)
        for name in names
        if name.parts[0] != ".cxr" and any(part.endswith((".part", ".tmp")) or part == "drawing" for part in name.parts)
    )


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two documents differ, each with its path; numbers are equal when they are the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        return [text for key in keys for text in differences(one.get(key), other.get(key), f"{where}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [text for at, (a, b) in pairs for text in differences(a, b, f"{where}/{at}")]
    return [] if one == other else [f"{where}: {one!r} is not {other!r}"]
