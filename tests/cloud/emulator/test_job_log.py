"""What a job prints, on a disk that has no room for it."""

from __future__ import annotations

import os
import queue
import sys
from pathlib import Path

import pytest

from cxr.cloud.emulator.jobs.replicas import LineLog, Replica

#: More than a pipe holds: whoever is not read waits.
PRINTS = "import sys\nfor n in range(4000): print('x' * 99)\nprint('the last word', file=sys.stderr)"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_job_goes_on_when_there_is_no_room_for_its_log() -> None:
    ended: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
    with Path("/dev/full").open("ab", buffering=0) as full:
        log = LineLog(full)
        replica = Replica(
            {"task": "one", "argv": [sys.executable, "-c", PRINTS], "cwd": ".", "environment": dict(os.environ)},
            log,
            ended,
        )
        assert replica.start()
        try:
            assert ended.get(timeout=240) == ("one", 1, 0)
        finally:
            replica.kill()
        replica.drain()
    assert log.last_stderr == {"one": "the last word"}
