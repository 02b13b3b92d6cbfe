"""A finished job's model, brought home as a bundle: exported, downloaded, checked, scored once."""

from cxr.cloud.exporting.bringing import ExportOptions, export_job
from cxr.cloud.exporting.formats import DEFAULT_FORMATS, EXPORT_FORMATS, parse_formats
from cxr.cloud.exporting.verification import Scorer, Verification

__all__ = [
    "DEFAULT_FORMATS",
    "EXPORT_FORMATS",
    "ExportOptions",
    "Scorer",
    "Verification",
    "export_job",
    "parse_formats",
]
