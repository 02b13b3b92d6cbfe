"""What a scan can find wrong with a file: one table of rules, each with a severity and what to do about it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final, Literal

from cxr.manifests.manifest import Problem


@dataclass(frozen=True, slots=True)
class ScanRule:
    """A rule of the scan. A file that meets an error rule is left out of the manifest."""

    id: str
    severity: Literal["error", "warning"]
    fix: str


SCAN_RULES: Final = {
    rule.id: rule
    for rule in (
        ScanRule("empty-file", "error", "copy the file again or delete it, then scan again"),
        ScanRule("not-an-image", "error", "delete the file or give it its right suffix, then scan again"),
        ScanRule("broken-image", "error", "copy the file again or delete it, then scan again"),
        ScanRule("dicom-file", "error", "convert DICOM to PNG first, then scan again"),
        ScanRule("too-large", "error", "make the image smaller or delete it, then scan again"),
        ScanRule("unreadable", "error", "give yourself permission to read it, then scan again"),
        ScanRule("bad-name", "error", "rename the file in plain UTF-8 without control characters, then scan again"),
        ScanRule("no-label", "error", "move the image into its label's folder, then scan again"),
        ScanRule("outside-layout", "warning", "nothing to do, unless its images were meant to be part of the data"),
        ScanRule("folder-twice", "warning", "nothing to do: a link leads to a folder that was scanned already"),
        ScanRule("wrong-suffix", "warning", "rename the file to the format it has"),
        ScanRule("other-file", "warning", "nothing to do: only images are scanned"),
        ScanRule("junk", "warning", "nothing to do: it is a leftover of a desktop or an archiver"),
        ScanRule("unknown-patient", "warning", "check that no patient has several of these images"),
    )
}


def problem(rule: str, path: str, message: str) -> Problem:
    """A Problem under one of SCAN_RULES, its path made printable (a name need not be UTF-8)."""
    return Problem(rule, printable(path), message, SCAN_RULES[rule].severity)


def printable(text: str) -> str:
    """`text` with undecodable bytes and control characters shown as escapes."""
    clean = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in clean)
