"""Class labels as model files carry them: dict.txt or labels.txt beside the model, or a text inside a TFLite file.

Sources: https://cloud.google.com/vertex-ai/docs/export/export-edge-model (dict.txt);
https://ai.google.dev/edge/litert/models/metadata (files packed behind the model); Teachable Machine numbers the lines
of its labels.txt from 0.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from cxr.archives import UNREADABLE_ZIP

DICTIONARY, LABEL_FILE = "dict.txt", "labels.txt"
#: A longer list is none of labels: what is packed may be small and unpack without end.
MAX_LABEL_BYTES = 1 << 20
_NUMBERED = re.compile(r"(\d+)\s+(\S.*)")

Labels = tuple[str, ...]


def labels_in_files(folder: Path) -> dict[str, Labels]:
    """Every list of labels in a folder of the service's, by where it stands: in the order of the model's outputs."""
    found: dict[str, Labels] = {}
    for path in sorted(folder.rglob(DICTIONARY)):
        found[f"{folder.name}/{path.relative_to(folder).as_posix()}"] = lines_of(path.read_bytes())
    for path in sorted(folder.rglob("*.tflite")):
        inside = labels_in_tflite(path)
        if inside:
            found[f"{folder.name}/{path.relative_to(folder).as_posix()}"] = inside
    return {place: labels for place, labels in found.items() if labels}


def labels_in_tflite(model: Path) -> Labels:
    """The labels packed with a TFLite file: a text in the zip that is appended to the model; () when there is none."""
    try:
        with zipfile.ZipFile(model) as archive:
            texts = [name for name in archive.namelist() if name.endswith(".txt")]
            if not texts:
                return ()
            with archive.open(texts[0]) as stream:
                data = stream.read(MAX_LABEL_BYTES + 1)
            return lines_of(data) if len(data) <= MAX_LABEL_BYTES else ()
    except UNREADABLE_ZIP:
        return ()


def lines_of(data: bytes) -> Labels:
    """One label a line; empty lines are none."""
    return tuple(line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip())


def without_numbers(labels: Labels) -> Labels | None:
    """`0 NORMAL`, `1 PNEUMONIA` -> NORMAL, PNEUMONIA; None when the lines are not numbered from 0."""
    found = [_NUMBERED.fullmatch(label) for label in labels]
    numbered = [match.groups() for match in found if match is not None]
    if len(numbered) != len(labels) or [int(number) for number, _ in numbered] != list(range(len(labels))):
        return None
    return tuple(name for _, name in numbered)
