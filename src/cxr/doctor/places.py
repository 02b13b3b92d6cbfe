"""The folders that cxr writes to: whether it may, and what space is left. What is tried leaves nothing."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cxr.doctor.findings import Finding, Level
from cxr.doctor.subject import Subject

#: Where Keras keeps backbones that were downloaded (`--weights imagenet`).
KERAS_HOME = ".keras"


def places(subject: Subject) -> Iterator[Finding]:
    """The working folder, the state and cache below it, temporary files, downloaded weights."""
    keras = subject.environment.get("KERAS_HOME")
    try:
        temporary: Path | None = Path(tempfile.gettempdir())
    except FileNotFoundError:
        temporary = None
        yield Finding(Level.PROBLEM, "temporary files", "there is no folder for them", "export TMPDIR=DIR")
    named = {
        "working folder": subject.folder,
        "state and cache": subject.folder / subject.state_dir,
        "temporary files": temporary,
        "weights": Path(keras) if keras else subject.home / KERAS_HOME,
    }
    for check, folder in named.items():
        if folder is not None:
            yield _place(check, folder, subject)


def _place(check: str, folder: Path, subject: Subject) -> Finding:
    """One folder, or the nearest above it that is there: what is not there yet would be made."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    facts: dict[str, object] = {"path": str(folder)}
    if not there.is_dir():
        return Finding(
            Level.PROBLEM, check, f"{there} is not a folder", f"rm {shlex.quote(str(there))} (or move it)", facts
        )
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        words = f"nothing can be written to {there}: {error.strerror or error}"
        return Finding(Level.PROBLEM, check, words, "work in a folder of your own, or --state-dir DIR", facts)
    free = subject.free_bytes(there)
    facts = {**facts, "free_bytes": free}
    said = f"{folder}, {free / 1e9:,.1f} GB free"
    if free < subject.min_free_gb * 1e9:
        words = f"{said}, less than {subject.min_free_gb:g} GB"
        return Finding(Level.PROBLEM, check, words, f"free some space: df -h {shlex.quote(str(there))}", facts)
    return Finding(Level.OK, check, said, facts=facts)
