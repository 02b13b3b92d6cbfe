"""What a scan of a folder and one of a listing do alike with the rows they have made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pandas as pd

from cxr.errors import InputError
from cxr.manifests.manifest import Problem
from cxr.manifests.patients.keys import PatientReader
from cxr.manifests.scan.image_file import looks_like_image
from cxr.manifests.scan.problems import problem

_TWO_LABELS_HINT: Final = "name the folder that holds the labels' folders"


def split_off_unlabelled(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem]]:
    """The rows that have a label, and a problem for each that lies in no label's folder."""
    bare = (rows["label"] == "").to_numpy(dtype=bool)
    problems = [problem("no-label", path, "lies in no label's folder") for path in rows["path"][bare]]
    return (rows[~bare].reset_index(drop=True) if bare.any() else rows), problems


def check_labels(root: str, rows: pd.DataFrame, problems: Sequence[Problem]) -> None:
    """Raises InputError when there is no row, one label only, or two labels that differ only in case."""
    if rows.empty:
        errors = [found for found in problems if found.severity == "error"]
        first = (
            f"; {len(errors):,} files cannot be used, the first: {errors[0].path} {errors[0].message}" if errors else ""
        )
        raise InputError(
            f"there is no usable image in {root}{first}",
            hint="name a folder that holds <split>/<label>/… or <label>/…, or draw one: cxr data sample DIR",
        )
    labels = sorted(rows["label"].unique())
    _check_case(labels)
    if len(labels) < 2:
        raise InputError(
            f"all {len(rows):,} images in {root} have one label, {labels[0]!r}; a classifier needs two",
            hint=_TWO_LABELS_HINT,
        )


def check_paths(root: str, labels: Mapping[str, str], reader: PatientReader) -> None:
    """Raises, before a file is read, what `check_labels` and `add_patients` would raise afterwards, as far as the
    paths alone tell it. `labels` are the labels ("" for none) of all files, by path."""
    labelled = {path: label for path, label in labels.items() if label}
    images = [path for path in labelled if looks_like_image(path)]
    if not images:
        return
    _check_case(sorted({labelled[path] for path in images}))
    if len(set(labelled.values())) < 2:
        raise InputError(
            f"all {len(labelled):,} files in {root} have one label, {labelled[images[0]]!r}; a classifier needs two",
            hint=_TWO_LABELS_HINT,
        )
    refused = reader.tells_nothing(images[0])
    # All are read: a table that cannot tell two images apart raises.
    if refused is not None and not sum(reader.read(path).known for path in images):
        others = (path for path in labelled if not looks_like_image(path))
        if not any(reader.read(path).known for path in others):
            raise refused


def _check_case(labels: Iterable[str]) -> None:
    by_case: dict[str, str] = {}
    for label in labels:
        twin = by_case.setdefault(label.casefold(), label)
        if twin != label:
            raise InputError(
                f"the labels {twin!r} and {label!r} differ only in case; they would be two classes",
                hint="rename one of the folders, then scan again",
            )


def add_patients(rows: pd.DataFrame, reader: PatientReader) -> list[Problem]:
    """Fill the columns patient and etiology; a problem when some images' patients are not known.

    Raises InputError when a table or an expression of the user's tells the patient of no image.
    """
    patients = [reader.read(path) for path in rows["path"]]
    rows["patient"] = [patient.key for patient in patients]
    rows["etiology"] = [patient.etiology for patient in patients]
    unknown = [path for path, patient in zip(rows["path"], patients, strict=True) if not patient.known]
    if not unknown:
        return []
    refused = reader.tells_nothing(unknown[0]) if len(unknown) == len(rows) else None
    if refused is not None:
        raise refused
    message = (
        f"the patient key {reader.spec} tells no patient for {len(unknown):,} of {len(rows):,} images; "
        "each of these images counts as a patient"
    )
    return [problem("unknown-patient", unknown[0], message)]


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Errors first, then by path."""
    return tuple(
        sorted(problems, key=lambda found: (found.severity != "error", found.severity, found.path, found.rule))
    )
