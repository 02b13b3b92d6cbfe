"""DICOM in, 8-bit grey PNG out: pixels rendered as a viewer shows them, patients under a salted hash, nothing else."""

from cxr.errors import missing_package

try:
    import pydicom  # noqa: F401  (every module below needs it: say so once, in words)
except ModuleNotFoundError as error:
    raise missing_package("pydicom", "data") from error

from cxr.manifests.dicom.dropped_tags import write_dropped_tags
from cxr.manifests.dicom.import_plan import ImportPlan, PlannedImage, plan_import
from cxr.manifests.dicom.import_record import has_pictures, read_record
from cxr.manifests.dicom.importing import ImportResult, run_import, sorted_problems, stale_pictures
from cxr.manifests.dicom.places import check_places, dropped_tags_beside
from cxr.manifests.dicom.problems import DICOM_RULES
from cxr.manifests.dicom.pseudonyms import Pseudonyms, is_open_to_others, keep_out_of_git, read_or_make_salt
from cxr.manifests.dicom.refusals import ImportOptions
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
    "dropped_tags_beside",
    "has_pictures",
    "is_open_to_others",
    "keep_out_of_git",
    "plan_import",
    "read_or_make_salt",
    "read_record",
    "render",
    "run_import",
    "sorted_problems",
    "stale_pictures",
    "write_dropped_tags",
]
