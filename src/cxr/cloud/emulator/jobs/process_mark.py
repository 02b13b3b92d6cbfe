"""Which process it is: an id alone may have gone to another one since."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

#: In /proc/PID/stat, counted behind the name in brackets: the clock ticks from the machine's start to the process's.
#: See proc_pid_stat(5), field 22.
_START_TICKS = 19
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def mark_of(pid: int) -> str:
    """What tells a living process from any other that has or had its id, also after the machine's clock was set.

    Linux computes the moment at which a process began from the wall clock as it is now, so that moment moves when the
    clock is set; the ticks since the machine's start do not. Raises psutil.NoSuchProcess.
    """
    if sys.platform != "linux":
        return f"{psutil.Process(pid).create_time():.0f}"
    try:
        said = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    return f"{_BOOT_ID.read_text(encoding='ascii').strip()}/{said.rpartition(')')[2].split()[_START_TICKS]}"
