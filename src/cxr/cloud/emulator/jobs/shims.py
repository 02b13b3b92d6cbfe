"""What a container's image gives a program, without an image: python3 and pip, and an environment without the user's
own."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from pathlib import Path

#: Of the server's own environment, what a job inherits.
INHERITED = ("LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "SSL_CERT_FILE")
INHERITED_PREFIXES = ("TF_", "OMP_", "XLA_", "KERAS_", "CUDA_", "NVIDIA_")
PYTHON_NAMES = ("python3", "python")
PIP_NAMES = ("pip3", "pip")


def program_environment(shims: Path, work: Path) -> dict[str, str]:
    """The variables of a program that runs in `work` and finds the `shims` first: of this process's own, those in
    INHERITED and no credentials."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if (key in INHERITED or key.startswith(INHERITED_PREFIXES)) and key != "TF_CONFIG"
    }
    return {
        **inherited,
        "PATH": f"{shims.resolve()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(work.resolve()),
        "PYTHONUNBUFFERED": "1",
    }


def write_shims(shims: Path, site: Path) -> None:
    """Programs python3, python, pip3 and pip in `shims` that use this Python, with packages installed into `site`."""
    python, quoted_site = shlex.quote(sys.executable), shlex.quote(str(site.resolve()))
    pip = f"exec {python} -m cxr.cloud.emulator.jobs.pip_shim {quoted_site}"
    # The job's own packages go first, so that the trainer comes from the wheel in the bucket.
    run = f'PYTHONPATH={quoted_site}"${{PYTHONPATH:+:$PYTHONPATH}}"\nexport PYTHONPATH\nexec {python} "$@"'
    for name in PYTHON_NAMES:
        _script(shims / name, f'if [ "$1" = -m ] && [ "$2" = pip ]; then\n  shift 2\n  {pip} "$@"\nfi\n{run}\n')
    for name in PIP_NAMES:
        _script(shims / name, f'{pip} "$@"\n')


def _script(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
