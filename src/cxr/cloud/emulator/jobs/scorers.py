"""Scoring programs that stay: one for each deployed model, started when first asked.

A program ends when its stdin does, so it ends with this server however that ends. It may also leave by itself when
nobody asks; the next question starts it anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxr.documents import parse_json

END_SECONDS = 2.0


class ScorerError(Exception):
    """A program did not answer; the message is its last word."""


@dataclass(slots=True)
class _Scorer:
    process: subprocess.Popen[bytes]
    log: Path
    kept: bytes = b""


@dataclass(slots=True)
class _Place:
    lock: threading.Lock = field(default_factory=threading.Lock)
    scorer: _Scorer | None = None
    is_closed: bool = False


class ScorerPool:
    """The programs of one server, by the deployed model that each answers for."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_dir: Path,
        *,
        idle_seconds: float,
        answer_seconds: float,
    ) -> None:
        self._command = [*command, "--serve", "--idle-exit-seconds", f"{idle_seconds:g}"]
        self._environment = dict(environment)
        self._log_dir = log_dir
        self._answer_seconds = answer_seconds
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._stopped = False

    def ask(self, key: str, model: Path, instances: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        """The answers to instances, in their order. Raises ScorerError; the next call starts a new program.

        Each answer has its seconds, and so has the wait for the program while it answers others.
        """
        with self._lock:
            place = self._places.setdefault(key, _Place())
        with self._held(place):
            for is_last in (place.scorer is None, True):
                try:
                    if place.scorer is None:
                        place.scorer = self._start(key, place, model)
                    return [self._answer(place.scorer, instance) for instance in instances]
                except (OSError, EOFError, ValueError) as error:  # gone, or not talking in lines of JSON
                    ended, place.scorer = place.scorer, None
                    words = _end(ended) if ended is not None else str(error)
                    # One that was there before may have left for want of questions: it is started once more.
                    if is_last or isinstance(error, TimeoutError):
                        raise ScorerError(words or str(error)) from None
        raise AssertionError("unreachable")

    def end(self, key: str) -> None:
        """End a program; what it is working on is answered first."""
        with self._lock:
            place = self._places.pop(key, None)
        if place is not None:
            place.is_closed = True
            with contextlib.suppress(ScorerError), self._held(place):
                pass  # it is idle now
            scorer, place.scorer = place.scorer, None
            if scorer is not None:
                _end(scorer)

    def stop(self) -> None:
        """End all programs at once, and start none any more."""
        with self._lock:
            self._stopped = True
            places, self._places = list(self._places.values()), {}
        for place in places:
            place.is_closed = True
            scorer = place.scorer
            if scorer is not None:
                _kill(scorer.process)

    @contextmanager
    def _held(self, place: _Place) -> Iterator[None]:
        if not place.lock.acquire(timeout=self._answer_seconds):
            raise ScorerError(f"it is busy, and was for {self._answer_seconds:g} seconds")
        try:
            yield
        finally:
            place.lock.release()

    def _start(self, key: str, place: _Place, model: Path) -> _Scorer:
        if self._stopped or place.is_closed:
            raise ScorerError("the server stops" if self._stopped else "the model was undeployed")
        self._log_dir.mkdir(parents=True, exist_ok=True)
        log = self._log_dir / log_name(key)
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [*self._command, "--model", str(model.resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                bufsize=0,
                start_new_session=True,
            )
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return _Scorer(process, log)

    def _answer(self, scorer: _Scorer, instance: Mapping[str, str]) -> dict[str, Any]:
        stdin, stdout = scorer.process.stdin, scorer.process.stdout
        assert stdin is not None
        assert stdout is not None
        unsent = memoryview(json.dumps(instance).encode() + b"\n")
        deadline = time.monotonic() + self._answer_seconds
        while unsent or b"\n" not in scorer.kept:
            patience = max(0.0, deadline - time.monotonic())
            readable, writable, _ = select.select([stdout], [stdin] if unsent else [], [], patience)
            if not readable and not writable:
                raise TimeoutError(f"no answer within {self._answer_seconds:g} seconds")
            if writable:
                unsent = unsent[os.write(stdin.fileno(), unsent) :]
            if readable:
                piece = os.read(stdout.fileno(), 1 << 16)
                if not piece:
                    raise EOFError("the program has ended")
                scorer.kept += piece
        line, _, scorer.kept = scorer.kept.partition(b"\n")
        answer: dict[str, Any] = parse_json(line)
        return answer


def log_name(key: str) -> str:
    """The file of what a program writes to stderr; a key is a resource's name and no file's."""
    return f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.log"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # its session is its own
    process.wait()


def _end(scorer: _Scorer) -> str:
    """End a program and give the last line that it wrote to stderr."""
    process = scorer.process
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(OSError):  # what was not written yet cannot be any more
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    _kill(process)
    lines = scorer.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
