"""What one transfer takes of its own process; only the standard library, as peers' interpreters import it, too.

A client is called as `-m upload_peers.client_… JOB RESULT`: two JSON files, the job to be read and the usage written.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Job = dict[str, Any]


def main(transfer: Callable[[Job], None]) -> None:
    """Measure one transfer: wall seconds, CPU seconds, memory before it and the peak; all imports are made already."""
    job, result = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    before, cpu, start = memory_kib("VmRSS"), cpu_seconds(), time.perf_counter()
    transfer(job)
    seconds, used = time.perf_counter() - start, cpu_seconds() - cpu
    document = {"seconds": seconds, "cpu": used, "base_kib": before, "peak_kib": memory_kib("VmHWM")}
    result.write_text(json.dumps(document))
    # Threads and event loops that a client leaves behind are not waited for.
    sys.stdout.flush()
    os._exit(0)


def cpu_seconds() -> float:
    """User and system seconds of this process, and of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def memory_kib(field: str) -> int:
    """VmRSS or VmHWM of this process. The peak of getrusage would count its parent's memory, too."""
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def lines_of(job: Job) -> Iterator[list[str]]:
    """Name, path, size, crc32c, md5 and sha256 of every file, in order of the names."""
    with Path(job["list"]).open(encoding="utf-8") as lines:
        for line in lines:
            yield line.rstrip("\n").split("\t")
