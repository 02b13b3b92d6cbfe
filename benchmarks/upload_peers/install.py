"""Peers are installed into a cache folder of the user: never into the project, never with root's rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

INSTALL_S = 600


class Absent(Exception):  # noqa: N818  (the reason why a peer is not measured)
    """A peer that cannot be had or cannot be pointed at a local server."""


def cache_folder() -> Path:
    """Where peers are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cxr-benchmarks"


def peer_python(package: str) -> str:
    """The interpreter of a virtual environment of the peers' own, with `package` in it."""
    folder = cache_folder() / "venv"
    python = folder / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(folder)])
    if _fails([str(python), "-m", "pip", "show", "--quiet", package]):
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package])
    return str(python)


def package_version(python: str, package: str) -> str:
    """`gcsfs 2026.1`."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return f"{package} {_run([python, '-c', code]).strip()}"


def rclone() -> str:
    """rclone: the installed one, or the distribution's package unpacked."""
    return distribution_program("rclone", "rclone")


def distribution_program(name: str, package: str) -> str:
    """A program: the installed one, or that of the distribution's package (Debian, Ubuntu), unpacked beside the other
    peers. Raises Absent."""
    found = shutil.which(name)
    if found:
        return found
    folder = cache_folder() / package
    program = folder / "usr" / "bin" / name
    if not program.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            raise Absent(f"{name} is not installed, and there is no apt-get to fetch it")
        folder.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "download", package], folder)
        for archive in folder.glob(f"{package}_*.deb"):
            _run(["dpkg", "-x", str(archive), str(folder)])
            archive.unlink()
    if _fails_to_start([str(program)]):
        raise Absent(f"{name} of the package {package} does not start here")
    return str(program)


def gcloud() -> str:
    """gcloud, where it is installed (its installer is no package that could be cached)."""
    found = shutil.which("gcloud")
    if not found:
        raise Absent("gcloud is not installed")
    return found


def gsutil() -> str:
    """gsutil cannot be measured here: whatever its endpoint, it talks TLS."""
    raise Absent("it talks nothing but TLS, the server here plain http")


def s5cmd() -> str:
    """s5cmd: the installed one, or the program in its package."""
    found = shutil.which("s5cmd")
    if found:
        return found
    peer_python("s5cmd")
    programs = [path for path in (cache_folder() / "venv").rglob("s5cmd") if path.is_file()]
    # The package's own command is a script around the program.
    natives = [path for path in programs if path.open("rb").read(2) != b"#!"]
    if not natives:
        raise Absent("its package holds no program for this machine")
    return str(natives[0])


def first_line(command: list[str]) -> str:
    """What a program says of its version."""
    return next(iter(_run(command).splitlines()), "")


def _run(command: list[str], folder: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise Absent(f"{Path(command[0]).name}: {lines[-1] if lines else done.returncode}")
    return done.stdout


def _fails_to_start(command: list[str]) -> bool:
    """Whether libraries are missing: 126 and 127 are the loader's and the shell's codes."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=INSTALL_S)
    except OSError:
        return True
    return done.returncode in {126, 127}


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, timeout=INSTALL_S).returncode != 0
