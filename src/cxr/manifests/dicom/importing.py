"""Carry a plan out: render each image that is not there yet, and write it whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from cxr.errors import InputError
from cxr.files import atomic_path
from cxr.manifests.dicom.header import quiet_pydicom, read_dataset
from cxr.manifests.dicom.import_plan import ImportPlan, PlannedImage
from cxr.manifests.dicom.problems import DICOM_ERRORS, dicom_problem
from cxr.manifests.dicom.rendering import PixelError, Rendered, render
from cxr.manifests.manifest import Problem
from cxr.manifests.progress import Progress, silent

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
    """Write the plan's images below `out`; pictures that are there already are kept.

    The bytes of a picture depend on its source alone (and on the version of Pillow). A file that cannot be rendered
    becomes a Problem. Raises InputError when `out` is not a folder, NotAllowed or Fault when it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, not a folder", hint="name another --out")
    _remove_temporaries(out)
    kept = [image for image in plan.images if _is_whole(out / image.target)]
    there = set(kept)
    rest = [image for image in plan.images if image not in there]
    written, found = _render_all(rest, out, on_progress)
    problems = sorted([*plan.problems, *found], key=lambda one: (one.severity, one.path, one.rule))
    return ImportResult(tuple(written), tuple(kept), tuple(problems))


def _render_all(
    images: Sequence[PlannedImage], out: Path, on_progress: Progress
) -> tuple[list[PlannedImage], list[Problem]]:
    written: list[PlannedImage] = []
    problems: list[Problem] = []
    with quiet_pydicom(), ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        try:
            results = pool.map(lambda image: _render_one(image, out), images)
            for number, (image, found) in enumerate(zip(images, results, strict=True), 1):
                problems += found
                if not any(one.severity == "error" for one in found):
                    written.append(image)
                on_progress(number, len(images), "")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return written, problems


def _render_one(image: PlannedImage, out: Path) -> list[Problem]:
    try:
        rendered = _rendered(image.source)
    except PixelError as error:
        return [dicom_problem(error.rule, image.relative, error.message)]
    # Pillow writes grey without metadata: nothing of the source but its pixels gets into the file.
    with atomic_path(out / image.target) as temporary:
        Image.fromarray(rendered.pixels).save(temporary, format="PNG")
    return [dicom_problem(rule, image.relative, message) for rule, message in rendered.notes]


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
