"""Why a DICOM file is left out, judged from its header alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PIL import Image
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from cxr.manifests.dicom.header import DicomHeader, syntax_name

#: Radiographs: computed, digital and (in files of old) plain; PS3.3, C.7.3.1.1.1.
RADIOGRAPHY: Final = ("CR", "DX", "DR", "RG")
#: The SOP classes of radiographs, for files without a modality; PS3.4, B.5.
RADIOGRAPHY_CLASSES: Final = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`any_modality` takes what is no radiograph, `allow_burned_in` what is flagged as showing text or features that
    tell the patient."""

    any_modality: bool = False
    allow_burned_in: bool = False


def refusal(label: str, header: DicomHeader, options: ImportOptions) -> tuple[str, str] | None:
    """The rule by which a file is left out, and why; None for an image to write."""
    pixels = header.rows * header.columns
    if header.rows <= 0 or header.columns <= 0:
        return ("broken-header", "an image without its size") if header.is_image else ("no-pixels", "is no image")
    if not options.any_modality and not _is_radiograph(header):
        return "other-modality", f"its modality is none of {', '.join(RADIOGRAPHY)}"
    if header.frames != 1:
        return "multi-frame", "has several frames"
    if pixels > (Image.MAX_IMAGE_PIXELS or 1 << 62):
        return "too-many-pixels", f"{header.columns:,} x {header.rows:,} pixels"
    missing = _missing_decoder(header.transfer_syntax)
    if missing is not None:
        return "no-decoder", missing
    if header.words.are_in(label):
        return "label-names-patient", "its label's folder is called like its patient"
    return None


def shows_patient(header: DicomHeader) -> tuple[str, str] | None:
    """The rule by which the pixels themselves may tell the patient, and why; any value but NO is not a clear no."""
    if header.burned_in not in ("", "NO"):
        return "burned-in", "is flagged to have text burned into its pixels (0028,0301)"
    if header.recognizable not in ("", "NO"):
        return "recognizable-features", "is flagged to show recognizable features (0028,0302)"
    return None


def _is_radiograph(header: DicomHeader) -> bool:
    return header.modality in RADIOGRAPHY or (not header.modality and header.sop_class in RADIOGRAPHY_CLASSES)


def _missing_decoder(transfer_syntax: str) -> str | None:
    try:
        decoder = get_decoder(transfer_syntax)
    except (NotImplementedError, ValueError):
        return f"{syntax_name(transfer_syntax)}: nobody here decodes it"
    if decoder.is_available:
        return None
    packages = "; or ".join(decoder.missing_dependencies)
    return f"{syntax_name(transfer_syntax)}: needs {packages}"
