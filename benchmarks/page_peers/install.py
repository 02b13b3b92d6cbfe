"""The peers' npm packages, as the lock file beside this one has them, in a cache folder of the user."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from cxr.errors import CxrError
from cxr.webapp.static import find_node
from upload_peers.install import INSTALL_S, Absent, cache_folder

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", ".npmrc")


def installed_packages() -> Path:
    """The folder `node_modules`, installed by `npm ci` when it is not there yet. Raises Absent with the reason why it
    cannot be had (no Node, no network)."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = cache_folder() / f"page-peers-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not folder.is_dir():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name in FILES:
            shutil.copyfile(HERE / name, part / name)
        _npm_ci(part)
        part.rename(folder)
    return folder / "node_modules"


def _npm_ci(folder: Path) -> None:
    try:
        node = find_node()
    except CxrError as error:
        raise Absent(f"{error.message}: {error.hint}") from error
    beside = Path(node).parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    npm = [node, str(beside)] if beside.is_file() else ["npm"]
    environment = {**os.environ, "PATH": os.pathsep.join((str(Path(node).parent), os.environ.get("PATH", "")))}
    command = [*npm, "ci", "--ignore-scripts", "--fetch-retries=1"]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True,
            timeout=INSTALL_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"npm: {error}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line]
        raise Absent(lines[0] if lines else f"npm ended with {done.returncode}")
