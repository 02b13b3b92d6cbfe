"""What a file's name tells of its patient: a table of named patterns, read in one of two ways.

The Kermany release numbers its bacterial and its viral patients apart, so `person12_bacteria_…` and
`person12_virus_…` are two children (reading `etiology+number`, the default). Who wants to be conservative takes them
for one (reading `number`). The counters of `IM-<N>` and `NORMAL2-IM-<N>` are separate in both readings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cxr.errors import UsageError

DEFAULT_READING: Final = "etiology+number"
READINGS: Final = (DEFAULT_READING, "number")

#: Word in the file name -> etiology in the manifest.
ETIOLOGIES: Final = {"bacteria": "bacterial", "virus": "viral", "BACTERIA": "bacterial", "VIRUS": "viral"}

#: How the key of an image begins whose name tells no patient: it is its own.
UNKNOWN_PREFIX: Final = "image:"

#: How a patient's key ends where patients were counted: person-bacterial-123, IM-115, NORMAL2-IM-383. (Python's int()
#: refuses thousands of digits.)
_COUNTER: Final = re.compile(r"(?P<series>.*?)(?P<number>[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A known way to name files (stems, without the suffix).

    The group `number` tells patients of one `prefix` apart, and so does the group `kind` where bacterial and viral
    patients are numbered apart; the prefix is a group where it is not the same for all.
    """

    name: str
    pattern: re.Pattern[str]
    prefix: str = ""


#: ASCII digits only: `\\d` would also take other scripts' digits.
PATTERNS: Final = (
    NamePattern(
        "kermany-pneumonia",
        re.compile(r"person(?P<number>[0-9]+)_(?P<kind>bacteria|virus)_[0-9]+(?:_[0-9]+)?"),
        prefix="person",
    ),
    NamePattern("kermany-normal", re.compile(r"(?P<prefix>(?:NORMAL2-)?IM)-(?P<number>[0-9]+)-[0-9]+(?:-[0-9]+)?")),
    # (disease)-(randomized patient ID)-(image number by this patient): https://data.mendeley.com/datasets/rscbjbr9sj/3
    NamePattern(
        "mendeley-v3", re.compile(r"(?P<kind>NORMAL|BACTERIA|VIRUS)-(?P<number>[0-9]+)-[0-9]+"), prefix="mendeley"
    ),
)


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient key, the etiology the name tells (bacterial, viral or empty), and whether the patient is known."""

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
    stem = _stem(path)
    for candidate in PATTERNS:
        match = candidate.pattern.fullmatch(stem)
        if match is None:
            continue
        groups = match.groupdict()
        kind = groups.get("kind", "")
        etiology = ETIOLOGIES.get(kind, "")
        # Leading zeros are cut as text: int() refuses absurdly long digits.
        number = groups["number"].lstrip("0") or "0"
        prefix = candidate.prefix or groups["prefix"]
        between = f"-{etiology or kind.lower()}" if kind and reading == DEFAULT_READING else ""
        return Patient(f"{prefix}{between}-{number}", etiology, True)
    return unknown_patient(path)


def counter_of(key: str) -> tuple[str, int] | None:
    """Series and number of a patient's key (`IM-154`: ("IM-", 154)); None for a patient that is not counted."""
    found = None if key.startswith(UNKNOWN_PREFIX) else _COUNTER.fullmatch(key)
    return (found["series"], int(found["number"])) if found else None


def unknown_patient(path: str, etiology: str = "") -> Patient:
    """The image itself as a patient."""
    return Patient(f"{UNKNOWN_PREFIX}{path}", etiology, False)


def known_patient(key: str, etiology: str = "") -> Patient:
    """A patient by a key that a user gave; one that looks like an unknown image's is told apart from it."""
    return Patient(f"patient:{key}" if key.startswith(UNKNOWN_PREFIX) else key, etiology, True)


def _stem(path: str) -> str:
    # As PurePosixPath(path).stem, which takes ten times as long.
    name = path.rpartition("/")[2]
    stem, _, suffix = name.rpartition(".")
    return stem if stem and suffix else name
