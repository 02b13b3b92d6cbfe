"""Which cxr, which Python, which system; and the packages, always needed and by extra."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata

from cxr.about import about
from cxr.doctor.findings import Finding, Level
from cxr.doctor.requirements import Package, satisfies, wanted
from cxr.doctor.subject import Subject

#: How many packages of an extra a line names; --json has all.
SHOWN = 4
REINSTALL = "pip install cxr (in a checkout: make install)"


def program(subject: Subject) -> Iterator[Finding]:
    """cxr itself, and whether this Python is one that it is made for."""
    del subject
    facts = about()
    said = f"cxr {facts['version']}" + (f" ({facts['commit'][:12]})" if facts["commit"] else "")
    yield Finding(Level.OK, "cxr", f"{said}, in {facts['location']}", facts=facts)
    python = f"Python {facts['python']} on {facts['platform']}"
    asked = _requires_python()
    if not satisfies(platform.python_version(), asked):
        words = f"{python}; cxr {facts['version']} is made for {asked}"
        yield Finding(Level.PROBLEM, "python", words, 'python3.12 -m venv .venv && .venv/bin/pip install "cxr"')
        return
    yield Finding(Level.OK, "python", python)


def packages(subject: Subject) -> Iterator[Finding]:
    """What is always needed, and each extra: whole, in part, not installed, or of versions that do not fit."""
    del subject
    try:
        found = wanted()
    except metadata.PackageNotFoundError:
        words = "cxr is on the path but not installed: what it needs cannot be told"
        yield Finding(Level.NOTE, "packages", words, REINSTALL)
        return
    for extra, asked in found.items():
        yield _finding(extra, asked)


def _finding(extra: str, asked: list[Package]) -> Finding:
    check = f"extra {extra}" if extra else "packages"
    install = f'pip install "cxr[{extra}]"' if extra else REINSTALL
    facts = {"extra": extra, "packages": [asdict(one) for one in asked]}
    absent = [one for one in asked if not one.installed]
    wrong = [one for one in asked if one.installed and not one.fits]
    if wrong:
        said = ", ".join(f"{one.name} {one.installed}, needed {one.required}" for one in wrong)
        pins = " ".join(f'"{one.name}{one.required}"' for one in wrong)
        return Finding(Level.PROBLEM, check, said, f"pip install {pins}", facts)
    if not absent:
        said = ", ".join(f"{one.name} {one.installed}" for one in asked[:SHOWN])
        said += f" and {len(asked) - SHOWN} more" if len(asked) > SHOWN else ""
        return Finding(Level.OK, check, said, facts=facts)
    level = Level.NOTE if extra else Level.PROBLEM
    if len(absent) == len(asked):
        return Finding(level, check, "not installed", install, facts)
    return Finding(level, check, f"in part: {', '.join(one.name for one in absent)} missing", install, facts)


def _requires_python() -> str:
    try:
        return str((metadata.metadata("cxr").get_all("Requires-Python") or [""])[0])
    except metadata.PackageNotFoundError:
        return ""
