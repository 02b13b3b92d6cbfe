"""`pip install` inside a custom job: `python -m cxr.cloud.emulator.jobs.pip_shim SITE install …`.

Wheels and archives that are files are installed into SITE without their dependencies and without an index; a
requirement by name must be met by the host's Python already, as it would be by the container image. As pip does, it
leaves a wheel alone whose version SITE has, unless --force-reinstall is given.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

_EXTRAS = re.compile(r"\[[^\]]*\]$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: Options of `pip install` that take a value.
_FILES = {"-r", "--requirement"}
_WITH_VALUE = {"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target", "-c", "--constraint"}


def main(site: Path, arguments: Sequence[str]) -> int:
    """Run one pip command; the exit code is pip's."""
    if not arguments or arguments[0] != "install":
        print(f"the emulator's pip knows only `install`, not {' '.join(arguments)!r}", file=sys.stderr)
        return 1
    forced = "--force-reinstall" in arguments
    for requirement in _requirements(arguments[1:]):
        path = Path(_EXTRAS.sub("", requirement))
        if path.is_file() and not forced and _is_there(path, site):
            print(f"{path.name} is already installed with the same version")
            code = 0
        elif path.is_file():
            code = _install_file(path, site)
        elif "/" in requirement or requirement.endswith(".whl"):
            print(f"ERROR: there is no file {path}", file=sys.stderr)
            code = 1
        else:
            code = _check_host(requirement)
        if code:
            return code
    return 0


def _requirements(arguments: Sequence[str]) -> list[str]:
    requirements: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument in _FILES:
            requirements += _lines(Path(next(waiting, "")))
        elif argument in _WITH_VALUE:
            next(waiting, None)
        elif not argument.startswith("-"):
            requirements.append(argument)
    return requirements


def _lines(path: Path) -> list[str]:
    """The requirements of a file, whose paths are relative to the folder that pip runs in."""
    lines = (line.partition(" #")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def _is_there(path: Path, site: Path) -> bool:
    name, _, rest = path.name.partition("-")
    return path.suffix == ".whl" and (site / f"{name}-{rest.partition('-')[0]}.dist-info").is_dir()


def _install_file(path: Path, site: Path) -> int:
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--upgrade"]
        if path.suffix != ".whl":
            # A source archive is built with what this machine has: there is no index to fetch a build system from.
            command += ["--no-build-isolation", "--no-cache-dir"]
        quiet = ["--disable-pip-version-check", "--no-warn-script-location", "--root-user-action=ignore"]
        code = subprocess.run([*command, *quiet, "--target", str(site), str(path)], check=False).returncode
    elif path.name.endswith("-none-any.whl"):
        # Environments made by uv have no pip; a pure wheel is a zip file of what belongs into the site folder.
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(site)
        code = 0
    else:
        print(f"ERROR: {path.name} needs pip, which this Python does not have", file=sys.stderr)
        code = 1
    if code == 0:
        print(f"Successfully installed {path.name}")
    return code


def _check_host(requirement: str) -> int:
    found = _NAME.match(requirement)
    name = found.group(0) if found else requirement
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        print(f"ERROR: {name} is not installed on this machine, and the emulator has no package index", file=sys.stderr)
        return 1
    print(f"Requirement already satisfied: {requirement} (this machine has {name} {version})")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
