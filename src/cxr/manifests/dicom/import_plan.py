"""What an import will write and what it leaves out, decided from the headers before any pixel is decoded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image
from pydicom.pixels.decoders.base import get_decoder

from cxr.errors import InputError, UsageError
from cxr.manifests.dicom.dicom_files import DicomFile, find_dicom_files
from cxr.manifests.dicom.header import DicomHeader, TagAndVr, quiet_pydicom, read_header, syntax_name
from cxr.manifests.dicom.problems import DICOM_ERRORS, DICOM_RULES, dicom_problem
from cxr.manifests.dicom.pseudonyms import Pseudonyms
from cxr.manifests.manifest import Problem
from cxr.manifests.progress import Progress, silent

#: Radiographs: computed, digital and (in files of old) plain; PS3.3, C.7.3.1.1.1.
RADIOGRAPHY: Final = ("CR", "DX", "DR", "RG")
#: More folders of labels than a classifier has classes: they are rather patients or studies.
MAX_LABELS: Final = 50
#: From so many images on, one PatientID for all of them is worth a word.
_ONE_PATIENT_FROM: Final = 10


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`any_modality` takes what is no radiograph, `allow_burned_in` what is flagged as showing text or features that
    tell the patient."""

    any_modality: bool = False
    allow_burned_in: bool = False


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """A file to render and the picture to write: `target` is [split/]label/patient/image.png, POSIX, relative."""

    source: Path
    relative: str
    target: str
    split: str
    label: str
    patient: str


@dataclass
class ImportPlan:
    """The images to write in the order of their sources; the problems so far; how many DICOM files there are; by what
    the burned-in flag says (YES, NO, missing) how many images; and the tags of the images' files."""

    images: list[PlannedImage] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    files: int = 0
    burned_in: Counter[str] = field(default_factory=Counter)
    tags: Counter[TagAndVr] = field(default_factory=Counter)


def plan_import(
    source: Path, names: Pseudonyms, options: ImportOptions | None = None, *, on_progress: Progress = silent
) -> ImportPlan:
    """Read the header of every DICOM file below `source`. Writes nothing; no file is fatal.

    Labels and splits come from the folders, as in a scan. Raises InputError for a missing folder, one without DICOM,
    or one with more than MAX_LABELS folders of labels; NotAllowed when it cannot be read.
    """
    options = options or ImportOptions()
    files, problems = find_dicom_files(source)
    _check_labels(source, files)
    plan = ImportPlan(problems=problems, files=len(files))
    taken: dict[str, set[str]] = {}
    with quiet_pydicom():
        for number, file in enumerate(files, 1):
            try:
                header = read_header(file.path)
            except DICOM_ERRORS as error:
                message = f"cannot be read as DICOM ({type(error).__name__})"
                plan.problems.append(dicom_problem("broken-header", file.relative, message))
            else:
                _plan_file(plan, file, header, names, options, taken)
            on_progress(number, len(files), "")
    _note_one_patient(plan)
    return plan


def _plan_file(
    plan: ImportPlan,
    file: DicomFile,
    header: DicomHeader,
    names: Pseudonyms,
    options: ImportOptions,
    taken: dict[str, set[str]],
) -> None:
    refusal = _refusal(file, header, options)
    if refusal is not None:
        plan.problems.append(dicom_problem(refusal[0], file.relative, refusal[1]))
        return
    flag = {"": "missing", "NO": "NO"}.get(header.burned_in, "YES")
    plan.burned_in[flag] += 1
    shows = _shows_patient(header)
    if shows is not None:
        severity = "warning" if options.allow_burned_in else DICOM_RULES[shows[0]].severity
        plan.problems.append(dicom_problem(shows[0], file.relative, shows[1], severity))
        if not options.allow_burned_in:
            return
    try:
        key = names.image(header.instance_uid) if header.instance_uid else names.image_by_bytes(file.path.read_bytes())
    except OSError as error:
        plan.problems.append(dicom_problem("unreadable", file.relative, f"cannot be read: {error.strerror}"))
        return
    patient = names.patient(header.patient_id) if header.patient_id else names.lone_patient(key)
    target = "/".join(part for part in (file.split, file.label, patient, f"{key}.png") if part)
    earlier = taken.setdefault(key, set())
    if target in earlier:
        plan.problems.append(dicom_problem("repeated-instance", file.relative, "the same image as an earlier file"))
        return
    if earlier:
        message = "the same image as an earlier file of another label, split or patient"
        plan.problems.append(dicom_problem("instance-in-two-places", file.relative, message))
    earlier.add(target)
    if not header.instance_uid:
        plan.problems.append(dicom_problem("missing-instance-uid", file.relative, "has no SOPInstanceUID"))
    if not header.patient_id:
        plan.problems.append(dicom_problem("missing-patient", file.relative, "has no PatientID"))
    plan.images.append(PlannedImage(file.path, file.relative, target, file.split, file.label, patient))
    plan.tags.update(header.tags)


def _refusal(file: DicomFile, header: DicomHeader, options: ImportOptions) -> tuple[str, str] | None:
    """The rule by which a file is left out, and why; None for an image to write."""
    pixels = header.rows * header.columns
    if header.rows <= 0 or header.columns <= 0:
        return ("broken-header", "an image without its size") if header.is_image else ("no-pixels", "is no image")
    if not options.any_modality and header.modality not in RADIOGRAPHY:
        return "other-modality", f"its modality is none of {', '.join(RADIOGRAPHY)}"
    if header.frames != 1:
        return "multi-frame", "has several frames"
    if pixels > (Image.MAX_IMAGE_PIXELS or 1 << 62):
        return "too-many-pixels", f"{header.columns:,} x {header.rows:,} pixels"
    missing = _missing_decoder(header.transfer_syntax)
    if missing is not None:
        return "no-decoder", missing
    if _names_patient(file.label, header):
        return "label-names-patient", "its label's folder is called like its patient"
    return None


def _shows_patient(header: DicomHeader) -> tuple[str, str] | None:
    # Any other value than NO is not a clear no.
    if header.burned_in not in ("", "NO"):
        return "burned-in", "is flagged to have text burned into its pixels (0028,0301)"
    if header.recognizable not in ("", "NO"):
        return "recognizable-features", "is flagged to show recognizable features (0028,0302)"
    return None


def _missing_decoder(transfer_syntax: str) -> str | None:
    try:
        decoder = get_decoder(transfer_syntax)
    except (NotImplementedError, ValueError):
        return f"{syntax_name(transfer_syntax)}: nobody here decodes it"
    if decoder.is_available:
        return None
    packages = "; or ".join(decoder.missing_dependencies)
    return f"{syntax_name(transfer_syntax)}: needs {packages}"


def _names_patient(label: str, header: DicomHeader) -> bool:
    words = {label.casefold(), *re.split(r"[^\w]+|_", label.casefold())}
    return not words.isdisjoint(header.name_parts)


def _check_labels(source: Path, files: Sequence[DicomFile]) -> None:
    if not files:
        raise InputError(
            f"there is no DICOM file in a label's folder of {source}",
            hint="lay the files out as DIR/<label>/… or DIR/<split>/<label>/…; DICOM has DICM at byte 128",
        )
    labels = sorted({file.label for file in files})
    if len(labels) > MAX_LABELS:
        raise InputError(
            f"{source} has {len(labels):,} folders that would become labels: are they patients?",
            hint="lay the files out as DIR/<label>/… or DIR/<split>/<label>/…: folders below a label are not copied",
        )


def _note_one_patient(plan: ImportPlan) -> None:
    if len(plan.images) >= _ONE_PATIENT_FROM and len({image.patient for image in plan.images}) == 1:
        message = f"all {len(plan.images):,} images have one PatientID"
        plan.problems.append(dicom_problem("one-patient", plan.images[0].relative, message))


def check_places(source: Path, out: Path, salt_file: Path) -> None:
    """Raises UsageError when one of the three lies where it would get into the others."""
    here, there, salt = source.resolve(), out.resolve(), salt_file.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise UsageError(f"{out} and {source} lie in each other", hint="name an --out beside the DICOM files")
    if salt.is_relative_to(there):
        raise UsageError(
            f"the salt file {salt_file} would lie among the images, and leads from keys back to patients",
            hint="keep it elsewhere: --salt-file FILE",
        )
