"""What can be wrong with a DICOM file: one table of rules. No message ever holds a value from the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from PIL import Image
from pydicom.errors import BytesLengthException, InvalidDicomError

from cxr.manifests.manifest import Problem
from cxr.manifests.scan.image_file import DECODE_ERRORS
from cxr.manifests.scan.problems import printable


@dataclass(frozen=True, slots=True)
class DicomRule:
    """A rule of the import. A file that meets an error rule is not written; after a warning it may be. `stale-picture`
    alone is about a picture in OUT, not about a file."""

    id: str
    severity: Literal["error", "warning"]
    fix: str


DICOM_RULES: Final = {
    rule.id: rule
    for rule in (
        DicomRule("unreadable", "error", "give yourself permission to read it, then import again"),
        DicomRule("too-large", "error", "a radiograph is far smaller: look at what the file is"),
        DicomRule("broken-header", "error", "copy the file again from where it came"),
        DicomRule("broken-pixels", "error", "copy the file again, or have it sent uncompressed"),
        DicomRule(
            "no-decoder", "error", "install a decoder of this transfer syntax, or have the file sent uncompressed"
        ),
        DicomRule("unsupported-pixels", "error", "convert it with a DICOM toolkit first"),
        DicomRule("too-many-pixels", "error", "a radiograph is far smaller: look at what the file is"),
        DicomRule("flat-image", "error", "nothing to see in it: leave it out"),
        DicomRule("multi-frame", "error", "extract the frame that is wanted with a DICOM toolkit"),
        DicomRule("burned-in", "error", "mask the text in the pixels first; --allow-burned-in takes it as it is"),
        DicomRule("recognizable-features", "error", "leave it out; --allow-burned-in takes it as it is"),
        DicomRule("no-label", "error", "move it into its label's folder: DIR/<label>/… or DIR/<split>/<label>/…"),
        DicomRule("bad-name", "error", "rename the label's folder in plain UTF-8 without control characters"),
        DicomRule("label-names-patient", "error", "the label's folder has the patient's name or ID: rename it"),
        DicomRule("no-pixels", "warning", "nothing to do: a report, a directory or the like is no image"),
        DicomRule("other-modality", "warning", "nothing to do; --any-modality takes it as well"),
        DicomRule("missing-patient", "warning", "the image counts as a patient of its own"),
        DicomRule("one-patient", "warning", "if the PatientID was blanked by a tool, splits by patient mean nothing"),
        DicomRule("missing-instance-uid", "warning", "nothing to do: the image is named by its bytes"),
        DicomRule("repeated-instance", "warning", "nothing to do: the first file by path is taken"),
        DicomRule("instance-in-two-places", "warning", "decide for one label or split, and delete the other file"),
        DicomRule(
            "instance-differs",
            "error",
            "two pictures under one SOPInstanceUID: look at both and delete one, or give it a UID of its own",
        ),
        DicomRule("stale-picture", "error", "delete it, or give another --out: a scan would take it"),
        DicomRule("bad-window", "warning", "nothing to do: the full range of the pixels was taken instead"),
        DicomRule("colour", "warning", "look at it: a radiograph is grey, a screenshot may show names"),
        DicomRule("outside-layout", "warning", "nothing to do, unless these files were meant to be part of the data"),
        DicomRule("folder-twice", "warning", "nothing to do: a link leads to a folder that was read already"),
        DicomRule("not-dicom", "warning", "nothing to do: the file does not begin as DICOM does (DICM at byte 128)"),
        DicomRule("junk", "warning", "nothing to do: it is a leftover of a desktop or an archiver"),
    )
}

#: What pydicom and its decoders (Pillow's are among them) raise for bad bytes, found by fuzzing them.
DICOM_ERRORS: Final = (
    *DECODE_ERRORS,
    RuntimeError,
    BytesLengthException,
    InvalidDicomError,
    Image.DecompressionBombError,
)


def dicom_problem(rule: str, path: str, message: str, severity: Literal["error", "warning"] | None = None) -> Problem:
    """A Problem under one of DICOM_RULES, its path made printable; `severity` where an option has lowered it."""
    return Problem(rule, printable(path), message, severity or DICOM_RULES[rule].severity)
