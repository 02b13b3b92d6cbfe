"""Rules on what the clouds take: warnings named for the service, as the data is as good without it.

Vertex AI: image classification, "Prepare image training data" (documents read November 2026). SageMaker: the built-in
image classification algorithm, "Input/Output Interface" of its page in the developer guide (read November 2026), which
states formats and channels, and neither a size nor a spelling of labels (the import file numbers the classes).
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

import pandas as pd

from cxr.manifests.check.nouns import Hits, Rule, counted
from cxr.manifests.labels import is_legal_label, legal_label
from cxr.manifests.manifest import Manifest

VERTEX_MIN_IMAGES_PER_LABEL: Final = 10
VERTEX_MAX_IMBALANCE: Final = 100
VERTEX_MAX_IMAGE_BYTES: Final = 30 * 1024 * 1024
#: For online prediction.
VERTEX_MAX_ONLINE_BYTES: Final = 1_500_000
VERTEX_MAX_IMAGES: Final = 1_000_000
VERTEX_MAX_LABELS: Final = 5_000
VERTEX_SUFFIXES: Final = frozenset({".jpeg", ".jpg", ".jpe", ".gif", ".png", ".bmp", ".ico"})
VERTEX_FORMATS: Final = frozenset({"JPEG", "GIF", "PNG", "BMP", "ICO"})
SAGEMAKER_SUFFIXES: Final = frozenset({".jpeg", ".jpg", ".png"})
SAGEMAKER_FORMATS: Final = frozenset({"JPEG", "PNG"})


def _spelling(manifest: Manifest) -> Hits:
    for label in manifest.classes:
        if not is_legal_label(label):
            yield f"Vertex AI refuses the label {label!r}; it would take {legal_label(label)!r}", ()


def _few_images(manifest: Manifest) -> Hits:
    train = manifest.split("train")["label"].value_counts()
    for label in manifest.classes:
        count = int(train.get(label, 0))
        if count < VERTEX_MIN_IMAGES_PER_LABEL:
            yield (
                f"{label!r} has {counted(count, 'image')} in train;"
                f" Vertex AI asks for at least {VERTEX_MIN_IMAGES_PER_LABEL}",
                (),
            )


def _vertex_imbalance(manifest: Manifest) -> Hits:
    counts = manifest.split("train")["label"].value_counts()
    if len(counts) > 1 and counts.max() > VERTEX_MAX_IMBALANCE * counts.min():
        yield f"Vertex AI advises at most {VERTEX_MAX_IMBALANCE} times as many images of one label as of another", ()


def _vertex_totals(manifest: Manifest) -> Hits:
    images, labels = len(manifest.frame), len(manifest.classes)
    if images > VERTEX_MAX_IMAGES:
        yield f"{images:,} images; a Vertex AI dataset takes {VERTEX_MAX_IMAGES:,}", ()
    if labels > VERTEX_MAX_LABELS:
        yield f"{labels:,} labels; a Vertex AI dataset takes {VERTEX_MAX_LABELS:,}", ()


def _vertex_formats(manifest: Manifest) -> Hits:
    refused = _in_another_format(manifest, VERTEX_SUFFIXES, VERTEX_FORMATS)
    if len(refused):
        yield f"{counted(len(refused), 'image')} in a format that Vertex AI does not import", refused


def _vertex_sizes(manifest: Manifest) -> Hits:
    large = manifest.frame["path"][manifest.frame["size"] > VERTEX_MAX_IMAGE_BYTES]
    if len(large):
        yield f"{counted(len(large), 'image')} larger than Vertex AI's 30 MB", large


def _vertex_online(manifest: Manifest) -> Hits:
    large = manifest.frame["path"][manifest.frame["size"] > VERTEX_MAX_ONLINE_BYTES]
    if len(large):
        yield f"{counted(len(large), 'image')} larger than the 1.5 MB that Vertex AI's online prediction takes", large


def _sagemaker_formats(manifest: Manifest) -> Hits:
    refused = _in_another_format(manifest, SAGEMAKER_SUFFIXES, SAGEMAKER_FORMATS)
    if len(refused):
        words = (
            f"{counted(len(refused), 'image')} neither JPEG nor PNG: SageMaker's image classification takes no other"
        )
        yield words, refused


def _sagemaker_channels(manifest: Manifest) -> Hits:
    if manifest.split("validation").empty:
        yield "SageMaker's image classification asks for a validation channel besides the train channel", ()


def _in_another_format(manifest: Manifest, suffixes: frozenset[str], formats: frozenset[str]) -> pd.Series:
    """Paths whose suffix or (where it is known) whose format is none of these."""
    paths = manifest.frame["path"]
    # One test a suffix, not one a path: there are few suffixes in a million paths.
    found = paths.str.extract(r"(\.[^./]*)$", expand=False).fillna("")
    legal = [suffix for suffix in found.unique() if PurePosixPath(f"x{suffix}").suffix.lower() in suffixes]
    return paths[~found.isin(legal) | ~manifest.frame["format"].isin({"", *formats})]


RULES: Final = (
    Rule(
        "vertex-label-spelling",
        "warning",
        "rename the folder, then scan again: cxr data scan DIR (cxr data import-file spells it anew by itself)",
        _spelling,
    ),
    Rule("vertex-few-images", "warning", "add images of this label, then scan again", _few_images),
    Rule("vertex-imbalance", "warning", "leave out images of the commoner label before an upload", _vertex_imbalance),
    Rule("vertex-totals", "warning", "split the data into several datasets, or train elsewhere", _vertex_totals),
    Rule("vertex-format", "warning", "convert them to PNG or JPEG before an upload to Vertex AI", _vertex_formats),
    Rule("vertex-size", "warning", "make them smaller before an upload to Vertex AI", _vertex_sizes),
    Rule("vertex-online-size", "note", "make them smaller before they are sent to an endpoint", _vertex_online),
    Rule("sagemaker-format", "warning", "convert them to PNG or JPEG before they go to SageMaker", _sagemaker_formats),
    Rule("sagemaker-channels", "note", "make a grouped split: cxr data split", _sagemaker_channels),
)
