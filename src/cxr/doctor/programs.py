"""Programs beside Python: a browser and Node, which run exported models where they will run in the end."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Final

from cxr.doctor.findings import Finding, Level
from cxr.doctor.subject import Subject
from cxr.errors import MissingPackage
from cxr.extras import is_importable

#: How long a program may take to tell its version.
PATIENCE_S: Final = 30.0
#: The oldest Node that runs the built scripts (webapp/package.json).
OLDEST_NODE: Final = 20


def browser(subject: Subject) -> Iterator[Finding]:
    """A Chromium, and Playwright to steer it."""
    del subject
    from cxr.webapp.browser import INSTALL, find_chromium

    path = find_chromium()
    takes = "only `cxr export verify` takes one"
    if path is None:
        yield Finding(Level.NOTE, "browser", "no Chromium found; exports are not verified in a browser", INSTALL)
        return
    said = version_of(path)
    facts = {"path": path, "version": said or ""}
    if said is None:
        yield Finding(Level.PROBLEM, "browser", f"{path} does not tell its version; {takes}", INSTALL, facts)
    elif not is_importable("playwright"):
        words = f"{said} at {path}, with no Playwright to steer it"
        yield Finding(Level.NOTE, "browser", words, 'pip install "cxr[browser]"', facts)
    else:
        yield Finding(Level.OK, "browser", f"{said} at {path}", facts=facts)


def node(subject: Subject) -> Iterator[Finding]:
    """Node, of the extra `export` or the machine's own."""
    del subject
    from cxr.webapp.static import find_node

    install = 'pip install "cxr[export]"'
    try:
        path = find_node()
    except MissingPackage:
        yield Finding(Level.NOTE, "node", "no Node found; TensorFlow.js files are not scored here", install)
        return
    said = version_of(path)
    facts = {"path": path, "version": said or ""}
    number = re.search(r"\d+", said or "")
    if number is None:
        yield Finding(Level.PROBLEM, "node", f"{path} does not tell its version", install, facts)
    elif int(number.group()) < OLDEST_NODE:
        words = f"Node {said} at {path} is too old: {OLDEST_NODE} or later is needed"
        yield Finding(Level.PROBLEM, "node", words, install, facts)
    else:
        yield Finding(Level.OK, "node", f"Node {said} at {path}", facts=facts)


def version_of(path: str) -> str | None:
    """What a program says to --version, its first line; None when it says nothing, fails or hangs."""
    command = [path, "--version"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None
