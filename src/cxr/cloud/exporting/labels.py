"""Class labels as the exported files carry them: dict.txt beside the model, or the text file inside a TFLite file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from cxr.errors import CheckFailed, Fault

DICTIONARY = "dict.txt"

Labels = tuple[str, ...]


def labels_in_files(folder: Path) -> dict[str, Labels]:
    """Every list of labels in one format's folder, by where it stands: in the order of the model's outputs."""
    found: dict[str, Labels] = {}
    for path in sorted(folder.rglob(DICTIONARY)):
        found[f"{folder.name}/{path.relative_to(folder).as_posix()}"] = _lines(path.read_bytes())
    for path in sorted(folder.rglob("*.tflite")):
        inside = _inside_tflite(path)
        if inside:
            found[f"{folder.name}/{path.relative_to(folder).as_posix()}"] = inside
    return {place: labels for place, labels in found.items() if labels}


def agreed_labels(found: Mapping[str, Labels]) -> Labels:
    """The labels that all places agree on, order included. Raises CheckFailed naming two that disagree, Fault when no
    file says anything."""
    if not found:
        raise Fault(
            "the exported files carry no labels", hint="export tf-js too, which has a dict.txt: --to tflite,tf-js"
        )
    (first, labels), *others = found.items()
    for place, theirs in others:
        if theirs != labels:
            raise CheckFailed(
                f"the exports disagree on the labels: {first} says {' '.join(labels)}, {place} says {' '.join(theirs)}",
                hint="export anew: --again",
            )
    return labels


def _inside_tflite(model: Path) -> Labels:
    # The labels of a TFLite file are a text file in the zip that is appended to the model.
    try:
        with zipfile.ZipFile(model) as archive:
            texts = [name for name in archive.namelist() if name.endswith(".txt")]
            return _lines(archive.read(texts[0])) if texts else ()
    except zipfile.BadZipFile:
        return ()


def _lines(data: bytes) -> Labels:
    return tuple(line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip())
