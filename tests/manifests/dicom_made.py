"""DICOM files made for the tests with pydicom: no patient stands behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from cxr.manifests.dicom import ImportOptions, ImportPlan, Pseudonyms, plan_import

COMPUTED = "1.2.840.10008.5.1.4.1.1.1"
DIGITAL_X_RAY = "1.2.840.10008.5.1.4.1.1.1.1"
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
#: What no output may hold.
SECRET_NAME = "Zebrowski^Agathe"
SECRET_ID = "MRN-4711-0815"
#: Under which the tests import.
SALT = b"a salt for the tests, 32 bytes.."


def ramp(low: int = 0, high: int = 4095, size: tuple[int, int] = (20, 24)) -> np.ndarray:
    """Whole numbers from `low` to `high`, rising over the rows."""
    return np.linspace(low, high, size[0] * size[1]).round().astype(np.int32).reshape(size)


def dicom(pixels: np.ndarray | None = None, *, bits: int = 12, syntax: str = ExplicitVRLittleEndian, **tags: Any):
    """A radiograph with these pixels (rows x columns, or x 3), stored in `bits` bits; `tags` are set last (None
    deletes)."""
    pixels = ramp(0, (1 << bits) - 1) if pixels is None else pixels
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = DIGITAL_X_RAY
    made.file_meta.TransferSyntaxUID = UID(syntax)
    made.SOPClassUID = DIGITAL_X_RAY
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.PatientName, made.PatientID = SECRET_NAME, SECRET_ID
    made.PatientBirthDate = "20190203"
    made.Modality = "DX"
    made.BurnedInAnnotation = "NO"
    signed = int(pixels.min()) < 0
    allocated = 8 if bits <= 8 else 16 if bits <= 16 else 32
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated, made.BitsStored, made.HighBit = allocated, bits, bits - 1
    made.PixelRepresentation = int(signed)
    raw = pixels.astype(f"<{'i' if signed else 'u'}{allocated // 8}").tobytes()
    made.PixelData = raw + b"\0" * (len(raw) % 2)
    for keyword, value in tags.items():
        if value is None:
            del made[keyword]
        else:
            setattr(made, keyword, value)
    return made


def put_dicom(path: Path, made: Dataset | None = None, **tags: Any) -> Path:
    """Write `made` (or `dicom(**tags)`) to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (dicom(**tags) if made is None else made).save_as(path, enforce_file_format=True)
    return path


def plan_of(root: Path, **options: bool) -> ImportPlan:
    """What an import of `root` under SALT would write."""
    return plan_import(root, Pseudonyms(SALT), ImportOptions(**options))
