"""DICOM in, 8-bit grey PNG out: pixels rendered as a viewer shows them, patients under a salted hash, nothing else."""

from cxr.errors import missing_package

try:
    import pydicom  # noqa: F401  (every module below needs it: say so once, in words)
except ModuleNotFoundError as error:
    raise missing_package("pydicom", "data") from error

from cxr.manifests.dicom.dropped_tags import write_dropped_tags
from cxr.manifests.dicom.import_plan import ImportOptions, ImportPlan, PlannedImage, check_places, plan_import
from cxr.manifests.dicom.importing import ImportResult, run_import
from cxr.manifests.dicom.problems import DICOM_RULES
from cxr.manifests.dicom.pseudonyms import Pseudonyms, read_or_make_salt
from cxr.manifests.dicom.rendering import PixelError, Rendered, render

__all__ = [
    "DICOM_RULES",
    "ImportOptions",
    "ImportPlan",
    "ImportResult",
    "PixelError",
    "PlannedImage",
    "Pseudonyms",
    "Rendered",
    "check_places",
    "plan_import",
    "read_or_make_salt",
    "render",
    "run_import",
    "write_dropped_tags",
]
