"""What a scan can find wrong with a file: one table of rules, each with a severity and what to do about it.

A file is left out (error) when no decoder makes an image of it, or when nobody can say which image or whose it is. It
is kept (warning) when Pillow and TensorFlow do decode it, but perhaps not to what was meant.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from typing import Final

from cxr.manifests.manifest import Problem, Severity


@dataclass(frozen=True, slots=True)
class ScanRule:
    """A rule of the scan. A file that meets an error rule is left out of the manifest; a note needs nothing done."""

    id: str
    severity: Severity
    fix: str


SCAN_RULES: Final = {
    rule.id: rule
    for rule in (
        ScanRule("empty-file", "error", "copy the file again or delete it, then scan again"),
        ScanRule("not-an-image", "error", "delete the file or give it its right suffix, then scan again"),
        ScanRule("broken-image", "error", "copy the file again or delete it, then scan again"),
        ScanRule("too-many-pixels", "error", "make the image smaller or delete it, then scan again"),
        ScanRule("dicom-file", "error", "convert DICOM to PNG first (cxr data import-dicom), then scan again"),
        ScanRule("too-large", "error", "make the image smaller or delete it, then scan again"),
        ScanRule("unreadable", "error", "give yourself permission to read it or mend the link, then scan again"),
        ScanRule("bad-name", "error", "rename the file in plain UTF-8 without control characters, then scan again"),
        ScanRule("no-label", "error", "move the image into its label's folder, then scan again"),
        ScanRule(
            "rotated",
            "warning",
            "rotate the pixels and drop the EXIF orientation: decoders give the image as stored, lying on its side",
        ),
        ScanRule(
            "animated",
            "warning",
            "save the frame that you mean as PNG: only the first frame is decoded and learnt from",
        ),
        ScanRule(
            "sixteen-bit",
            "warning",
            "make sure that the grey values fill 0 to 65,535, or convert to 8 bits: decoding keeps the upper 8 bits, "
            "and 10- or 12-bit values come out nearly black",
        ),
        ScanRule("cmyk", "warning", "convert it to greyscale: decoders disagree on the colours of CMYK"),
        ScanRule("wrong-suffix", "warning", "rename the file to the format it has"),
        ScanRule("outside-layout", "note", "nothing to do, unless its images were meant to be part of the data"),
        ScanRule("folder-twice", "note", "nothing to do: a link leads to a folder that was read already"),
        ScanRule("other-file", "note", "nothing to do: only images are scanned"),
        ScanRule("junk", "note", "nothing to do: it is a leftover of a desktop or an archiver"),
        ScanRule("unknown-patient", "warning", "check that no patient has several of these images"),
        ScanRule("joined-patients", "note", "nothing to do: the patients stay on one side of every split"),
        ScanRule("dropped-duplicate", "note", "nothing to do: --drop-duplicates keeps one copy of each image"),
        ScanRule(
            "near-duplicates-unknown",
            "note",
            'to have near-duplicates looked for, pip install "cxr[data]" and scan local files with their decode',
        ),
    )
}


def problem(rule: str, path: str, message: str) -> Problem:
    """A Problem under one of SCAN_RULES, its path made printable (a name need not be UTF-8)."""
    return Problem(rule, printable(path), message, SCAN_RULES[rule].severity)


def printable(text: str) -> str:
    """`text` with undecodable bytes and control characters shown as escapes."""
    if text.isascii() and text.isprintable():
        return text
    clean = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(character if _is_shown(character) else f"\\x{ord(character):02x}" for character in clean)


def _is_shown(character: str) -> bool:
    # A space of another width (some systems put one into the names of screenshots) is no control character.
    return character.isprintable() or unicodedata.category(character) == "Zs"
