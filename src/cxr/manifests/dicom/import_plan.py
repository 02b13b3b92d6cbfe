"""What an import will write and what it leaves out, decided from the headers before any pixel is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cxr.errors import InputError
from cxr.files import sha256_of_file
from cxr.manifests.dicom.dicom_files import DicomFile, find_dicom_files
from cxr.manifests.dicom.header import DicomHeader, TagAndVr, quiet_pydicom, read_header
from cxr.manifests.dicom.problems import DICOM_ERRORS, DICOM_RULES, dicom_problem
from cxr.manifests.dicom.pseudonyms import Pseudonyms
from cxr.manifests.dicom.refusals import ImportOptions, refusal, shows_patient
from cxr.manifests.manifest import Problem
from cxr.progress import Progress, silent

#: More folders of labels than a classifier has classes: they are rather patients or studies.
MAX_LABELS: Final = 50
#: From so many images on, one PatientID for all of them is worth a word.
_ONE_PATIENT_FROM: Final = 10


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
    the burned-in flag says (YES, NO, missing) how many images; and the tags of the images' files. `names` made the
    targets."""

    names: Pseudonyms
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
    files, problems = find_dicom_files(source)
    _check_labels(source, files)
    plan = ImportPlan(names, problems=problems, files=len(files))
    planner = _Planner(plan, options or ImportOptions())
    with quiet_pydicom():
        for number, file in enumerate(files, 1):
            try:
                header = read_header(file.path)
            except DICOM_ERRORS as error:
                planner.tell("broken-header", file, f"cannot be read as DICOM ({type(error).__name__})")
            else:
                planner.add(file, header)
            on_progress(number, len(files), "")
    _note_one_patient(plan)
    return plan


class _Planner:
    """Adds one file after the other to a plan, and knows which images it has seen."""

    def __init__(self, plan: ImportPlan, options: ImportOptions) -> None:
        self._plan = plan
        self._options = options
        #: By the image's key: the images planned so far, all of equal bytes.
        self._taken: dict[str, list[PlannedImage]] = {}

    def tell(self, rule: str, file: DicomFile, message: str) -> None:
        self._plan.problems.append(dicom_problem(rule, file.relative, message))

    def add(self, file: DicomFile, header: DicomHeader) -> None:
        refused = refusal(file.label, header, self._options)
        if refused is not None:
            self.tell(refused[0], file, refused[1])
        elif self._may_be_shown(file, header):
            try:
                self._take(file, header)
            except OSError as error:
                self.tell("unreadable", file, f"cannot be read: {error.strerror}")

    def _may_be_shown(self, file: DicomFile, header: DicomHeader) -> bool:
        flag = {"": "missing", "NO": "NO"}.get(header.burned_in, "YES")
        self._plan.burned_in[flag] += 1
        shows = shows_patient(header)
        if shows is None:
            return True
        allowed = self._options.allow_burned_in
        severity = "warning" if allowed else DICOM_RULES[shows[0]].severity
        self._plan.problems.append(dicom_problem(shows[0], file.relative, shows[1], severity))
        return allowed

    def _take(self, file: DicomFile, header: DicomHeader) -> None:
        plan, names = self._plan, self._plan.names
        uid = header.instance_uid
        key = names.image(uid) if uid else names.image_by_bytes(sha256_of_file(file.path))
        patient = names.patient(header.patient_id) if header.patient_id else names.lone_patient(key)
        target = "/".join(part for part in (file.split, file.label, patient, f"{key}.png") if part)
        earlier = self._taken.setdefault(key, [])
        if earlier and not _same_bytes(earlier[0].source, file.path):
            self.tell("instance-differs", file, "has the SOPInstanceUID of an earlier file, but other bytes")
            return
        if any(image.target == target for image in earlier):
            self.tell("repeated-instance", file, "the same image as an earlier file")
            return
        if earlier:
            message = "the same image as an earlier file of another label, split or patient"
            self.tell("instance-in-two-places", file, message)
        if not uid:
            self.tell("missing-instance-uid", file, "has no SOPInstanceUID")
        if not header.patient_id:
            self.tell("missing-patient", file, "has no PatientID")
        image = PlannedImage(file.path, file.relative, target, file.split, file.label, patient)
        earlier.append(image)
        plan.images.append(image)
        plan.tags.update(header.tags)


def _same_bytes(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and sha256_of_file(one) == sha256_of_file(other)


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
