"""The machine: processors, what they can do, memory, a graphics card."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cxr.doctor.findings import Finding, Level
from cxr.doctor.subject import Subject
from cxr.documents import parse_json
from cxr.extras import is_importable

#: Shown when they are there; TensorFlow's own packages are compiled with the first.
FEATURES: Final = ("avx", "avx2", "fma", "avx512f", "amx_tile", "asimd", "sve")
#: A training of cnn5 on 5,000 images holds about this much.
LEAST_MEMORY_GB: Final = 4.0
TENSORFLOW_S: Final = 120.0
#: A TensorFlow that finds cards.
WITH_CUDA: Final = 'pip uninstall tensorflow-cpu && pip install "tensorflow[and-cuda]"'
_START: Final = 'python -c "import tensorflow" (says why)'
_DEVICES = "import json, tensorflow as tf; print(json.dumps([d.name for d in tf.config.list_physical_devices('GPU')]))"
_QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")


def processors(subject: Subject, cpuinfo: Path = Path("/proc/cpuinfo")) -> Iterator[Finding]:
    """Cores that this process may use, and what of their instructions matters."""
    del subject
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").lower().splitlines()
    except OSError:
        lines = []
    flags = next((set(line.split()) for line in lines if line.startswith(("flags", "features"))), set())
    found = [name for name in FEATURES if name in flags]
    said = f"{cores} x {platform.machine()}" + (f", {' '.join(found)}" if found else "")
    facts = {"cores": cores, "features": found}
    if flags and platform.machine() in {"x86_64", "AMD64"} and "avx" not in flags:
        words = f"{said}: without AVX, TensorFlow's packages do not run"
        yield Finding(Level.PROBLEM, "processors", words, "train in the cloud: cxr cloud train custom", facts)
        return
    yield Finding(Level.OK, "processors", said, facts=facts)


def memory(subject: Subject, meminfo: Path = Path("/proc/meminfo")) -> Iterator[Finding]:
    """Memory of the machine, and what is free of it now."""
    del subject
    try:
        lines = [line.split() for line in meminfo.read_text(encoding="utf-8").splitlines()]
        kilobytes = {line[0].rstrip(":"): int(line[1]) for line in lines if len(line) > 1}
        total, free = (kilobytes[name] * 1024 / 1e9 for name in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError):
        yield Finding(Level.OK, "memory", "this system does not tell")
        return
    said = f"{total:.1f} GB, {free:.1f} GB of it available"
    facts = {"total_gb": round(total, 2), "available_gb": round(free, 2)}
    if free < LEAST_MEMORY_GB:
        words = f"{said}; a training takes about {LEAST_MEMORY_GB:g} GB"
        yield Finding(
            Level.NOTE, "memory", words, "close other programs, or train elsewhere: cxr cloud train custom", facts
        )
        return
    yield Finding(Level.OK, "memory", said, facts=facts)


def graphics(subject: Subject) -> Iterator[Finding]:
    """A card of NVIDIA's by its driver; whether TensorFlow sees it, only when asked for: loading it takes seconds."""
    program = shutil.which("nvidia-smi")
    cards = _lines([program, *_QUERY], 30.0) if program else []
    said = "; ".join(cards) if cards else "no card of NVIDIA's"
    facts: dict[str, object] = {"cards": cards or []}
    if cards is None:
        yield Finding(Level.PROBLEM, "graphics", f"{program} fails: the driver does not work", "nvidia-smi", facts)
        return
    if not subject.gpu:
        yield Finding(Level.OK, "graphics", said, facts=facts)
        return
    if not is_importable("tensorflow"):
        yield Finding(Level.NOTE, "graphics", f"{said}; TensorFlow is not installed", 'pip install "cxr[train]"', facts)
        return
    answer = _lines([sys.executable, "-c", _DEVICES], TENSORFLOW_S)
    if answer is None:
        yield Finding(Level.PROBLEM, "graphics", f"{said}; TensorFlow does not start", _START, facts)
        return
    try:
        devices = parse_json(answer[-1])
    except (IndexError, ValueError):
        yield Finding(Level.PROBLEM, "graphics", f"{said}; TensorFlow does not say what it sees", _START, facts)
        return
    facts["tensorflow_devices"] = devices
    if cards and not devices:
        words = f"{said}, which TensorFlow does not see (tensorflow-cpu never does)"
        yield Finding(Level.NOTE, "graphics", words, WITH_CUDA, facts)
        return
    yield Finding(Level.OK, "graphics", f"{said}; TensorFlow sees {len(devices)}", facts=facts)


def _lines(command: list[str], seconds: float) -> list[str] | None:
    """What a program prints, line by line; None when it fails or hangs."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines if done.returncode == 0 and lines else None
