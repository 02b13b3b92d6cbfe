"""From a file name to a patient: a table of named patterns, read in one of two ways.

The Kermany release numbers its bacterial and its viral patients apart, so `person12_bacteria_…` and
`person12_virus_…` are two children (reading `etiology+number`, the default). Who wants to be conservative takes them
for one (reading `number`). The counters of `IM-<N>` and `NORMAL2-IM-<N>` are separate in both readings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from cxr.errors import UsageError

DEFAULT_READING: Final = "etiology+number"
READINGS: Final = (DEFAULT_READING, "number")

#: Word in the file name -> etiology in the manifest.
ETIOLOGIES: Final = {"bacteria": "bacterial", "virus": "viral"}


#: How the key of an image begins whose name tells no patient: it is its own.
UNKNOWN_PREFIX = "image:"


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A known way to name files; the groups `prefix`, `number` and (optionally) `etiology` make the key."""

    name: str
    pattern: re.Pattern[str]


#: ASCII digits only: `\\d` would also take other scripts' digits. Stems, without the suffix.
PATTERNS: Final = (
    NamePattern(
        "kermany-pneumonia",
        re.compile(r"(?P<prefix>person)(?P<number>[0-9]+)_(?P<etiology>bacteria|virus)_[0-9]+(?:_[0-9]+)?"),
    ),
    NamePattern("kermany-normal", re.compile(r"(?P<prefix>(?:NORMAL2-)?IM)-(?P<number>[0-9]+)-[0-9]+(?:-[0-9]+)?")),
)


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient key, the etiology the name tells (bacterial, viral or empty), and whether a pattern knew the name."""

    key: str
    etiology: str
    known: bool


def check_reading(reading: str) -> str:
    """`reading` if it is one of READINGS. Raises UsageError naming the choices."""
    if reading not in READINGS:
        raise UsageError(f"unknown patient key {reading!r}", hint=f"choose one of: {', '.join(READINGS)}")
    return reading


def patient_of(path: str, reading: str = DEFAULT_READING) -> Patient:
    """The patient an image shows, by its file name; an unknown name makes the image (its path) its own patient.

    Raises UsageError for an unknown reading, nothing else for any text.
    """
    check_reading(reading)
    stem = PurePosixPath(path).stem
    for candidate in PATTERNS:
        match = candidate.pattern.fullmatch(stem)
        if match is None:
            continue
        groups = match.groupdict()
        etiology = ETIOLOGIES.get(groups.get("etiology") or "", "")
        # Leading zeros are cut as text: int() refuses absurdly long digits.
        number = groups["number"].lstrip("0") or "0"
        between = f"-{etiology}" if etiology and reading == DEFAULT_READING else ""
        return Patient(f"{groups['prefix']}{between}-{number}", etiology, True)
    return Patient(f"{UNKNOWN_PREFIX}{path}", "", False)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Patients of one split that also occur in another: the shared keys and how many patients `right` has of that kind
    (numbered pneumonia patients, or all when the names tell none)."""

    left: str
    right: str
    reading: str
    shared: tuple[str, ...]
    right_patients: int


def patient_overlap(left: Iterable[str], right: Iterable[str], reading: str, names: tuple[str, str]) -> Overlap:
    """Which patients of the paths `right` also occur in the paths `left`, under `reading`; `names` are the splits'."""
    check_reading(reading)
    left_keys = {patient_of(path, reading).key for path in left}
    right_keys = {patient_of(path, reading).key for path in right}
    numbered = {key for key in right_keys if key.startswith("person-")}
    counted = numbered or right_keys
    return Overlap(*names, reading, tuple(sorted(left_keys & counted)), len(counted))
