"""Who is on an image: a patient key from the file name, the folder, a table or an expression of the user's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Protocol

from cxr.errors import InputError, UsageError
from cxr.manifests.patients.names import (
    DEFAULT_READING,
    PATTERNS,
    READINGS,
    UNKNOWN_PREFIX,
    Patient,
    check_reading,
    known_patient,
    patient_of,
    unknown_patient,
)
from cxr.manifests.patients.table import read_patient_csv
from cxr.manifests.scan.layout import SPLIT_FOLDERS

__all__ = [
    "DEFAULT_READING",
    "PATTERNS",
    "READINGS",
    "SPECS",
    "UNKNOWN_PREFIX",
    "WHY_TWO_READINGS",
    "Overlap",
    "PatientReader",
    "overlaps",
    "patient_of",
    "patient_reader",
]

#: What `--patient-key` takes, as shown to users.
SPECS: Final = (*READINGS, "folder", "csv:FILE", "csv:FILE#COLUMN", "regex:EXPR")

#: The sentence that goes with the overlap of train and test under both readings.
WHY_TWO_READINGS: Final = (
    "but the release numbers bacterial and viral patients apart, so one number under two etiologies is two children"
)


class PatientReader(Protocol):
    """One way to tell patients."""

    @property
    def spec(self) -> str:
        """What the manifest's header says of it: the same text, the same keys. It holds no path of this machine."""

    def read(self, relative_path: str) -> Patient:
        """The patient of an image, by its path relative to the manifest's root (POSIX).

        Raises InputError where a table of the user's cannot tell two images apart, nothing else for any text.
        """

    def tells_nothing(self, relative_path: str) -> InputError | None:
        """The error when no image's patient is known, `relative_path` being one of the images; None where names may
        well tell nothing."""


def patient_reader(spec: str) -> PatientReader:
    """The reader that `spec` (see SPECS) names.

    `etiology+number` and `number` go by the known file names. `folder`: one patient a folder below the label's folder.
    `csv:FILE#COLUMN`: a table with the column `path` or `file` (a path relative to the root, or a bare file name) and
    the patient in COLUMN (or `patient`). `regex:EXPR`: searched in the relative path; the group named `patient`, or the
    only group, or all unnamed groups joined by "-" are the key. An image whose patient is not known is its own.

    Raises UsageError for an unknown spec or a bad expression, InputError for a bad table.
    """
    kind, _, argument = spec.partition(":")
    if spec in READINGS:
        return NameReader(spec)
    if spec == "folder":
        return FolderReader()
    if kind == "csv" and argument:
        return read_patient_csv(argument)
    if kind == "regex" and argument:
        return _regex_reader(argument)
    wants = f"{kind!r} needs something after the colon" if kind in {"csv", "regex"} else f"unknown patient key {spec!r}"
    raise UsageError(wants, hint=f"choose one of: {', '.join(SPECS)}")


@dataclass(frozen=True, slots=True)
class NameReader:
    """By the known file names, in one of READINGS."""

    spec: str

    def read(self, relative_path: str) -> Patient:
        """The patient that the name tells."""
        return patient_of(relative_path, self.spec)

    def tells_nothing(self, relative_path: str) -> None:
        """Other names are no error."""
        del relative_path


@dataclass(frozen=True, slots=True)
class FolderReader:
    """One patient a folder: the key is the folder's path below the label's folder, so that it is the same patient in
    train and in test, under NORMAL and under PNEUMONIA. The etiology comes from the file name."""

    spec: str = "folder"

    def read(self, relative_path: str) -> Patient:
        """The folder; unknown for an image that lies directly in its label's folder."""
        folders = relative_path.split("/")[:-1]
        label_at = 1 if folders and folders[0].lower() in SPLIT_FOLDERS else 0
        key = "/".join(folders[label_at + 1 :])
        etiology = patient_of(relative_path).etiology
        return known_patient(key, etiology) if key else unknown_patient(relative_path, etiology)

    def tells_nothing(self, relative_path: str) -> None:
        """Labels without folders in them are no error."""
        del relative_path


@dataclass(frozen=True, slots=True)
class RegexReader:
    """By a regular expression of the user's; `groups` are the numbers of the groups that make the key. The etiology
    comes from the file name."""

    spec: str
    pattern: re.Pattern[str]
    groups: tuple[int, ...]

    def read(self, relative_path: str) -> Patient:
        """What the groups hold; unknown where the expression is not found or they are empty."""
        etiology = patient_of(relative_path).etiology
        match = self.pattern.search(relative_path)
        parts = [match[group] or "" for group in self.groups] if match else []
        return known_patient("-".join(parts), etiology) if any(parts) else unknown_patient(relative_path, etiology)

    def tells_nothing(self, relative_path: str) -> InputError:
        """An expression that is found nowhere is a mistake."""
        return InputError(
            f"the expression {self.pattern.pattern!r} finds a patient in no image's path, such as {relative_path}",
            hint="it is searched in the path relative to the images' folder; try it on that path",
        )


def _regex_reader(expression: str) -> RegexReader:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        where = f" at position {error.pos}" if error.pos is not None else ""
        raise UsageError(f"the expression {expression!r} is wrong{where}: {error.msg}") from None
    except (OverflowError, RecursionError) as error:
        raise UsageError(f"the expression {expression[:100]!r} is too large: {error}") from None
    named = set(pattern.groupindex.values())
    unnamed = tuple(group for group in range(1, pattern.groups + 1) if group not in named)
    if "patient" in pattern.groupindex:
        groups: tuple[int, ...] = (pattern.groupindex["patient"],)
    elif pattern.groups == 1:
        groups = (1,)
    else:
        groups = unnamed
    if not groups:
        raise UsageError(
            f"the expression {expression!r} has no group that tells the patient",
            hint=r"put the patient's part into (…) or (?P<patient>…), say regex:patient([0-9]+)",
        )
    return RegexReader(f"regex:{expression}", pattern, groups)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Patients of one split that also occur in another: the shared keys and how many patients `right` has of that kind
    (numbered pneumonia patients of the Kermany release, or all when there are none)."""

    left: str
    right: str
    reading: str
    shared: tuple[str, ...]
    right_patients: int


def overlaps(paths_by_split: Mapping[str, Iterable[str]], reading: str = DEFAULT_READING) -> tuple[Overlap, ...]:
    """Which patients occur in two splits, for each pair of splits in the order of the mapping.

    Each path is parsed once. Raises UsageError for an unknown reading.
    """
    check_reading(reading)
    splits = {split: _SplitPatients.of(paths, reading) for split, paths in paths_by_split.items()}
    return tuple(splits[left].overlap(splits[right], (left, right), reading) for left, right in combinations(splits, 2))


@dataclass(frozen=True, slots=True)
class _SplitPatients:
    """The known patients' keys, and how many images are patients of their own (nobody shares those)."""

    known: frozenset[str]
    unknown: int

    @classmethod
    def of(cls, paths: Iterable[str], reading: str) -> _SplitPatients:
        known: set[str] = set()
        unknown = 0
        for path in paths:
            patient = patient_of(path, reading)
            if patient.known:
                known.add(patient.key)
            else:
                unknown += 1
        return cls(frozenset(known), unknown)

    def overlap(self, right: _SplitPatients, names: tuple[str, str], reading: str) -> Overlap:
        numbered = {key for key in right.known if key.startswith("person-")}
        counted = numbered or right.known
        total = len(numbered) or len(right.known) + right.unknown
        return Overlap(*names, reading, tuple(sorted(self.known & counted)), total)
