"""The table of what stays behind: each tag of the source files, never a value."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from pydicom.datadict import keyword_for_tag

from cxr.files import write_text_atomically
from cxr.manifests.dicom.header import TagAndVr

COLUMNS = ("keyword", "tag", "vr", "files")


def write_dropped_tags(tags: Mapping[TagAndVr, int], path: Path) -> None:
    """Write `keyword,tag,vr,files` (CSV, in the order of the tags); a private tag has no keyword.

    Raises Fault or NotAllowed when it cannot be written.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for (tag, vr), files in sorted(tags.items()):
        writer.writerow((keyword_for_tag(tag), f"({tag >> 16:04X},{tag & 0xFFFF:04X})", vr, files))
    write_text_atomically(path, stream.getvalue())
