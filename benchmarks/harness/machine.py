"""What a result depends on beside the code: the machine, the versions, the commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Of these every record tells the version.
ALWAYS = ("numpy", "pandas")


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory in GB, system. No name and no path of this machine."""
    return {
        "processor": _first(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo")) or platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
    }


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Python's and those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in dict.fromkeys((*ALWAYS, *packages)):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit_of_tree() -> str:
    """The checkout's commit, shortened, with `+` and a digest of what differs from it; empty outside of a checkout."""
    try:
        commit, names, changes = (
            subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
            # What `make bench` itself writes does not make the code another.
            for words in (
                ("rev-parse", "--short=9", "HEAD"),
                ("status", "--porcelain", "--", "src", "benchmarks"),
                ("diff", "HEAD", "--", "src", "benchmarks"),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit}+{sha256((names + changes).encode()).hexdigest()[:6]}" if names else commit


def _first(pattern: str, path: Path) -> str:
    try:
        found = re.search(pattern, path.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""
