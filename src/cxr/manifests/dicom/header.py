"""What the import needs to know of a DICOM file before its pixels are touched."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.filereader import read_file_meta_info
from pydicom.multival import MultiValue
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pydicom.valuerep import VR

from cxr.manifests.dicom.patient_words import PatientWords
from cxr.manifests.dicom.problems import DICOM_ERRORS
from cxr.manifests.scan.image_file import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

#: A tag (group << 16 | element) and its value representation.
TagAndVr = tuple[int, str]

PIXEL_DATA: Final = 0x7FE00010
_ID_KEYWORDS: Final = ("PatientID", "OtherPatientIDs", "AccessionNumber")
_NAME_KEYWORDS: Final = ("PatientName", "OtherPatientNames", "PatientBirthName")
_VRS: Final = frozenset(str(vr.value) for vr in VR)
#: Sequences nested deeper than this are not looked into for tags.
_MAX_DEPTH: Final = 32


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """Texts are stripped and empty where the file has none; `modality` and the flags are in capitals.

    `words` are what tells the patient, for comparing with folders' names; they and the two IDs are never written
    anywhere. `is_image` tells whether the SOP class is one of images. `tags` are all tags of the file but the pixels,
    at any depth.
    """

    patient_id: str
    words: PatientWords
    instance_uid: str
    sop_class: str
    is_image: bool
    modality: str
    burned_in: str
    recognizable: str
    rows: int
    columns: int
    frames: int
    transfer_syntax: str
    tags: AbstractSet[TagAndVr]


def read_header(path: Path) -> DicomHeader:
    """Read a file up to its pixels. Raises one of DICOM_ERRORS when it cannot be understood."""
    dataset = read_dataset(path, pixels=False)
    sop_class = str(dataset.file_meta.get("MediaStorageSOPClassUID") or "") or text_of(dataset, "SOPClassUID")
    return DicomHeader(
        patient_id=text_of(dataset, "PatientID"),
        words=_patient_words(dataset),
        instance_uid=text_of(dataset, "SOPInstanceUID"),
        sop_class=sop_class,
        is_image="Image Storage" in UID(sop_class).name,
        modality=text_of(dataset, "Modality").upper(),
        burned_in=text_of(dataset, "BurnedInAnnotation").upper(),
        recognizable=text_of(dataset, "RecognizableVisualFeatures").upper(),
        rows=number_of(dataset, "Rows"),
        columns=number_of(dataset, "Columns"),
        frames=number_of(dataset, "NumberOfFrames") or 1,
        transfer_syntax=str(dataset.file_meta.get("TransferSyntaxUID", "")),
        tags=frozenset(_tags(dataset.file_meta)) | frozenset(_tags(dataset)),
    )


def read_dataset(path: Path, *, pixels: bool) -> Dataset:
    """The whole file, or the part before its pixels. Raises one of DICOM_ERRORS when it cannot be read."""
    if read_file_meta_info(path).get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return dcmread(path, stop_before_pixels=not pixels)
    data = path.read_bytes()
    _check_inflated_size(data)
    return dcmread(BytesIO(data), stop_before_pixels=not pixels)


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Without pydicom's remarks on odd values: they hold the values, and those are nobody's business.

    The filter is the process's, not a thread's: set it around a pool of threads, not in them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def text_of(dataset: Dataset, keyword: str) -> str:
    """An element's value as text, or empty; one that cannot be understood counts as absent."""
    try:
        value = dataset.get(keyword)
        return "" if value is None else str(value).strip(" \t\r\n\0")
    except DICOM_ERRORS:
        return ""


def texts_of(dataset: Dataset, keyword: str) -> list[str]:
    """An element's values as texts; none of those that cannot be understood."""
    try:
        value = dataset.get(keyword)
        values = value if isinstance(value, MultiValue) else [] if value is None else [value]
        return [str(one).strip(" \t\r\n\0") for one in values]
    except DICOM_ERRORS:
        return []


def number_of(dataset: Dataset, keyword: str) -> int:
    """An element's value as a whole number; 0 where there is none. Raises ValueError or TypeError for another value."""
    value = dataset.get(keyword)
    return 0 if value is None or value == "" else int(value)


def syntax_name(transfer_syntax: str) -> str:
    """The name of a transfer syntax; of an unknown one, only that."""
    name = str(UID(transfer_syntax).name)
    return name if name != transfer_syntax else "an unknown transfer syntax"


def _patient_words(dataset: Dataset) -> PatientWords:
    ids = [text for keyword in _ID_KEYWORDS for text in texts_of(dataset, keyword)]
    try:
        others = list(dataset.get("OtherPatientIDsSequence") or [])
    except DICOM_ERRORS:
        others = []
    ids += [text_of(item, "PatientID") for item in others if isinstance(item, Dataset)]
    names = [text for keyword in _NAME_KEYWORDS for text in texts_of(dataset, keyword)]
    return PatientWords.of(ids, names, texts_of(dataset, "PatientBirthDate"))


def _tags(dataset: Any, depth: int = 0) -> Iterator[TagAndVr]:
    for tag in dataset.keys():  # noqa: SIM118  (a Dataset iterates over elements, not tags)
        if int(tag) == PIXEL_DATA:
            continue
        vr = _vr(dataset, tag)
        yield int(tag), vr
        if vr != "SQ" or depth >= _MAX_DEPTH:
            continue
        try:
            items = list(dataset[tag].value)
        except DICOM_ERRORS:
            continue
        for item in items:
            yield from _tags(item, depth + 1)


def _vr(dataset: Any, tag: Any) -> str:
    # Values stay unparsed: a broken element that the picture does not need is no reason to refuse it.
    try:
        vr = str(dataset.get_item(tag).VR or dictionary_VR(tag))
    except DICOM_ERRORS:
        return "UN"
    return vr if vr in _VRS else "UN"


def _check_inflated_size(data: bytes) -> None:
    # The deflated part begins after the file meta group, whose length is its first element: PS3.10, 7.1 and A.5.
    start = 144 + int.from_bytes(data[140:144], "little")
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    if len(stream.decompress(data[start:], MAX_BYTES)) >= MAX_BYTES:
        raise ValueError("inflates beyond any radiograph")
