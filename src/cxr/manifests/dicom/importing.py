"""Carry a plan out: render each image that is not there yet, and write it whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from PIL import Image

from cxr.errors import InputError
from cxr.files import atomic_path, sha256_of_file
from cxr.manifests.dicom.header import quiet_pydicom, read_dataset
from cxr.manifests.dicom.import_plan import ImportPlan, PlannedImage
from cxr.manifests.dicom.import_record import ImportRecord, growing_record
from cxr.manifests.dicom.problems import DICOM_ERRORS, dicom_problem
from cxr.manifests.dicom.pseudonyms import Pseudonyms
from cxr.manifests.dicom.rendering import PixelError, Rendered, render
from cxr.manifests.manifest import Problem
from cxr.progress import Progress, silent

#: How every PNG ends; without it a picture is not whole (a power cut, say).
_PNG_END: Final = b"\0\0\0\0IEND\xaeB`\x82"
_TEMPORARY: Final = re.compile(r"\.[0-9a-f]{16}\.png\..*\.part")


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The images written by this run, those that were there already, and all problems, those of the plan included."""

    written: tuple[PlannedImage, ...]
    kept: tuple[PlannedImage, ...]
    problems: tuple[Problem, ...]


def run_import(plan: ImportPlan, out: Path, *, on_progress: Progress = silent) -> ImportResult:
    """Write the plan's images below `out`; pictures that an earlier run made from the same bytes are kept.

    The bytes of a picture depend on its source alone (and on the version of Pillow). A file that cannot be rendered
    becomes a Problem, and so does a picture below `out` that no file stands behind any more; it stays. Raises
    InputError when `out` is not a folder, UsageError when its pictures were named with another salt, NotAllowed or
    Fault when it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, not a folder", hint="name another --out")
    with growing_record(out, plan.names) as record:
        _remove_temporaries(out)
        done = _import_all(plan, out, record, on_progress)
    written = tuple(image for image, one in zip(plan.images, done, strict=True) if one.outcome is Outcome.WRITTEN)
    kept = tuple(image for image, one in zip(plan.images, done, strict=True) if one.outcome is Outcome.KEPT)
    found = [problem for one in done for problem in one.problems]
    problems = [*plan.problems, *found, *stale_pictures(out, [*written, *kept])]
    return ImportResult(written, kept, sorted_problems(problems))


def stale_pictures(out: Path, images: Iterable[PlannedImage]) -> list[Problem]:
    """The pictures below `out` that are none of these images."""
    targets = {image.target for image in images}
    there = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    message = "is in OUT, but no file that was taken now stands behind it: delete it, or give another --out"
    return [dicom_problem("stale-picture", picture, message) for picture in there if picture not in targets]


def sorted_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Errors first, then by path and rule."""
    return tuple(sorted(problems, key=lambda one: (one.severity, one.path, one.rule)))


class Outcome(Enum):
    """What became of a planned image."""

    WRITTEN = "written"
    KEPT = "kept"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _Done:
    outcome: Outcome
    problems: tuple[Problem, ...] = ()


def _import_all(plan: ImportPlan, out: Path, record: ImportRecord, on_progress: Progress) -> list[_Done]:
    done: list[_Done] = []
    with quiet_pydicom(), ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        try:
            for one in pool.map(lambda image: _import_one(image, out, plan.names, record), plan.images):
                done.append(one)
                on_progress(len(done), len(plan.images), "")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def _import_one(image: PlannedImage, out: Path, names: Pseudonyms, record: ImportRecord) -> _Done:
    target = out / image.target
    try:
        # Before the pixels are read: a file that changes in between is then read again by the next run.
        source = names.source(sha256_of_file(image.source))
        if record.was_made_from(image.target, source) and _is_whole(target):
            return _Done(Outcome.KEPT)
        rendered = _rendered(image.source)
    except OSError as error:
        found = dicom_problem("unreadable", image.relative, f"cannot be read: {error.strerror}")
        return _Done(Outcome.FAILED, (found,))
    except PixelError as error:
        return _Done(Outcome.FAILED, (dicom_problem(error.rule, image.relative, error.message),))
    # Pillow writes grey without metadata: nothing of the source but its pixels gets into the file.
    with atomic_path(target) as temporary:
        Image.fromarray(rendered.pixels).save(temporary, format="PNG")
    record.add(image.target, source)
    notes = tuple(dicom_problem(rule, image.relative, message) for rule, message in rendered.notes)
    return _Done(Outcome.WRITTEN, notes)


def _rendered(source: Path) -> Rendered:
    try:
        dataset = read_dataset(source, pixels=True)
    except DICOM_ERRORS as error:
        raise PixelError("broken-pixels", f"cannot be read to its end ({type(error).__name__})") from error
    return render(dataset)


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.seek(-len(_PNG_END), os.SEEK_END)
            return stream.read() == _PNG_END
    except OSError:
        return False


def _remove_temporaries(out: Path) -> None:
    for path in out.rglob(".*.part"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)
