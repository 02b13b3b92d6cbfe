"""A program of the server's own (the stand-in for AutoML, its scorer), run to its end for a job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.cloud.aws.local.jobs.host_processes import HostCommand, HostProcesses
from cxr.cloud.aws.local.jobs.work import JobStoppedError, Work

HOST = "program"
POLL_SECONDS = 0.1
MOST_WORDS = 2000
KILLED = -9


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code and its last line on stderr."""

    returncode: int
    last_words: str


def run_program(work: Work, argv: Sequence[str], folder: Path) -> Ended:
    """Run a program in `folder`, where program.log gets what it prints. Raises JobStoppedError when its job is ended
    meanwhile; it is then killed at once, for it has nothing to save."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    last_words = ""
    with (folder / "program.log").open("a", encoding="utf-8") as log:
        processes = HostProcesses([HostCommand(HOST, argv, folder, environment)], folder / "wrapper.err")
        try:
            while True:
                line = processes.next_line(POLL_SECONDS)
                if line is not None:
                    text = str(line["text"])
                    log.write(text + "\n")
                    if line["stream"] == "stderr" and text.strip():
                        last_words = text.strip()[:MOST_WORDS]
                if work.is_ending():
                    raise JobStoppedError
        except EOFError:
            return Ended(processes.codes.get(HOST, KILLED), last_words)
        finally:
            processes.close()
