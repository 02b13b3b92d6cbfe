"""From a folder of images to a manifest: every file read once, nothing skipped silently."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from cxr.errors import InputError
from cxr.manifests.image_file import ImageFacts, read_image_file
from cxr.manifests.layout import Layout, Place, find_layout, is_junk_file, is_junk_folder, place_of
from cxr.manifests.manifest import COLUMNS, Manifest, ManifestHeader, Problem, new_manifest
from cxr.manifests.patients import DEFAULT_READING, check_reading, patient_of
from cxr.manifests.problems import printable, problem
from cxr.manifests.progress import Progress, silent

#: Files a worker takes at a time: enough to make the hand-over free, few enough for a smooth progress bar.
FILES_PER_TASK = 32


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: Path
    relative: str
    place: Place


def scan(root: Path, *, patient_key: str = DEFAULT_READING, on_progress: Progress = silent) -> Manifest:
    """Scan DIR/<split>/<label>/… or DIR/<label>/… (all train) into a manifest.

    Each file is read once: sha256, crc32c, width, height and a full decode come from the same bytes. Files that
    cannot be used become Problems in the header (severity error: not in the rows). The manifest's root is the folder
    below any wrapper.

    Raises InputError for a missing folder, one without a usable image, with one label only, or with two labels that
    differ only in case; UsageError for an unknown `patient_key`; NotAllowed when the folder cannot be read.
    """
    check_reading(patient_key)
    layout = find_layout(root)
    problems: list[Problem] = []
    candidates = _candidates(layout, problems)
    results = _read_all(candidates, on_progress)
    rows: list[dict[str, object]] = []
    for candidate, (facts, found) in zip(candidates, results, strict=True):
        problems += found
        if facts is None:
            continue
        if not candidate.place.label:
            problems.append(problem("no-label", candidate.relative, "lies in no label's folder"))
            continue
        rows.append(_row(candidate, facts, patient_key))
    _check_labels(root, rows, problems)
    _mark_duplicates(rows)
    problems += _unknown_patients(rows)
    header = ManifestHeader(
        root=str(layout.base.resolve()), patient_key=patient_key, problems=tuple(sorted(problems, key=_problem_order))
    )
    return new_manifest(pd.DataFrame(rows, columns=list(COLUMNS)), header)


def _candidates(layout: Layout, problems: list[Problem]) -> list[_Candidate]:
    found: list[_Candidate] = []
    outside: Counter[str] = Counter()
    for path in _walk(layout.base, problems):
        relative = path.relative_to(layout.base)
        name = relative.as_posix()
        if is_junk_file(path.name):
            problems.append(problem("junk", name, "a desktop's leftover"))
        elif not _is_plain(name):
            problems.append(problem("bad-name", name, "its name is not UTF-8 or has control characters"))
        elif (place := place_of(relative.parts, layout)).outside:
            outside[relative.parts[0]] += 1
        else:
            found.append(_Candidate(path, name, place))
    problems += [
        problem("outside-layout", folder, f"{count:,} files beside the split folders were left out")
        for folder, count in outside.items()
    ]
    return sorted(found, key=lambda candidate: candidate.relative)


def _walk(base: Path, problems: list[Problem]) -> Iterator[Path]:
    # Links to folders are followed (data sets are often linked together), each folder once.
    def note(error: OSError) -> None:
        where = Path(error.filename or base)
        name = where.relative_to(base).as_posix() if where.is_relative_to(base) else str(where)
        problems.append(problem("unreadable", name, f"folder cannot be read: {error.strerror or error}"))

    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(base, followlinks=True, onerror=note):
        here = Path(folder)
        relative = here.relative_to(base).as_posix()
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen:
            problems.append(problem("folder-twice", relative, "leads to a folder that was scanned already"))
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for junk in filter(is_junk_folder, folders):
            problems.append(problem("junk", (here / junk).relative_to(base).as_posix(), "a leftover folder"))
        folders[:] = sorted(name for name in folders if not is_junk_folder(name))
        for name in files:
            yield here / name


def _is_plain(name: str) -> bool:
    return printable(name) == name


def _read_all(candidates: Sequence[_Candidate], on_progress: Progress) -> list[tuple[ImageFacts | None, list[Problem]]]:
    # Threads: reading, hashing and decoding all release the interpreter lock.
    Image.init()
    total = len(candidates)
    tasks = [candidates[start : start + FILES_PER_TASK] for start in range(0, total, FILES_PER_TASK)]
    results: list[tuple[ImageFacts | None, list[Problem]]] = []
    workers = min(32, 2 * (os.cpu_count() or 1))
    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=workers) as pool:
        # Pillow's remarks on odd tags. (The filter is the process's, not a thread's: so it is set out here.)
        warnings.simplefilter("ignore")
        try:
            for batch in pool.map(_read_batch, tasks):
                results += batch
                on_progress(len(results), total, "")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def _read_batch(batch: Sequence[_Candidate]) -> list[tuple[ImageFacts | None, list[Problem]]]:
    return [read_image_file(candidate.path, candidate.relative) for candidate in batch]


def _row(candidate: _Candidate, facts: ImageFacts, patient_key: str) -> dict[str, object]:
    patient = patient_of(candidate.relative, patient_key)
    return {
        "path": candidate.relative,
        "label": candidate.place.label,
        "etiology": patient.etiology,
        "patient": patient.key,
        "split": candidate.place.split,
        "width": facts.width,
        "height": facts.height,
        "size": facts.size,
        "sha256": facts.sha256,
        "crc32c": facts.crc32c,
        "duplicate_group": "",
    }


def _check_labels(root: Path, rows: Sequence[dict[str, object]], problems: Sequence[Problem]) -> None:
    if not rows:
        errors = [found for found in problems if found.severity == "error"]
        first = (
            f"; {len(errors):,} files cannot be used, the first: {errors[0].path} {errors[0].message}" if errors else ""
        )
        raise InputError(
            f"there is no usable image in {root}{first}",
            hint="name a folder that holds <split>/<label>/… or <label>/…, or draw one: cxr data sample DIR",
        )
    labels = sorted({str(row["label"]) for row in rows})
    by_case: dict[str, str] = {}
    for label in labels:
        twin = by_case.setdefault(label.casefold(), label)
        if twin != label:
            raise InputError(
                f"the labels {twin!r} and {label!r} differ only in case; they would be two classes",
                hint="rename one of the folders, then scan again",
            )
    if len(labels) < 2:
        raise InputError(
            f"all {len(rows):,} images in {root} have one label, {labels[0]!r}; a classifier needs two",
            hint="name the folder that holds the labels' folders",
        )


def _mark_duplicates(rows: Sequence[dict[str, object]]) -> None:
    copies = Counter(str(row["sha256"]) for row in rows)
    for row in rows:
        digest = str(row["sha256"])
        if copies[digest] > 1:
            row["duplicate_group"] = f"sha256:{digest[:16]}"


def _unknown_patients(rows: Sequence[dict[str, object]]) -> list[Problem]:
    unknown = [str(row["path"]) for row in rows if str(row["patient"]).startswith("image:")]
    if not unknown:
        return []
    message = (
        f"{len(unknown):,} of {len(rows):,} names follow no known pattern; each of these images counts as a patient"
    )
    return [problem("unknown-patient", unknown[0], message)]


def _problem_order(found: Problem) -> tuple[str, str, str]:
    return found.severity, found.path, found.rule
