"""Runs a program as the only child of a small process: `watched_command.py RESULT STDIN PROGRAM ARGUMENTS…`.

Its usage is what os.wait4 tells: CPU seconds with the children that it has waited for, the peak of the largest process.
A process that had grown before would lend the program its own peak.
"""

from __future__ import annotations

import json
import os
import sys
import time

if __name__ == "__main__":
    result, stdin, *argv = sys.argv[1:]
    start = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    peak = usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    with open(result, "w", encoding="utf-8") as stream:  # noqa: PTH123  (pathlib would make this process larger)
        document = {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "base_kib": 0, "peak_kib": peak}
        json.dump(document, stream)
    sys.exit(os.waitstatus_to_exitcode(status) != 0)
