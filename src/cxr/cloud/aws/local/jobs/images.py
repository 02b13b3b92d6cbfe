"""The images of an AutoML job: where they are, and to which class and set each belongs.

Sources: API reference, AutoMLS3DataSource (S3Prefix, ManifestFile, AugmentedManifestFile: JSON lines with source-ref
and label-metadata.class-name) and AutoMLJobChannel; developer guide, "Datasets format and objective metric for image
classification" (.png, .jpg, .jpeg). Below a prefix, or in a manifest, an image's folder is its class.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cxr.cloud.aws.local.jobs.objects import InputObject, download, input_objects, read_object, split_uri
from cxr.cloud.aws.local.jobs.work import JobFailedError

SUFFIXES = (".png", ".jpg", ".jpeg")
TRAINING, VALIDATION = "training", "validation"
#: Default of DataSplitConfig.ValidationFraction (API reference, AutoMLDataSplitConfig).
DEFAULT_VALIDATION_FRACTION = 0.2


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image: an object, its class and its set (`training` or `validation`)."""

    source: InputObject
    label: str
    ml_use: str


def labelled_images(
    client: Any, channels: Sequence[Mapping[str, Any]], split: Mapping[str, Any]
) -> list[LabelledImage]:
    """All images of a job's channels. Without a validation channel, a part of each class is taken for it, by a hash of
    the place. Raises JobFailedError when there is nothing to train on."""
    images: list[LabelledImage] = []
    for channel in channels:
        ml_use = str(channel.get("ChannelType") or TRAINING)
        source = channel["DataSource"]["S3DataSource"]
        images += [LabelledImage(one, label, ml_use) for one, label in _labelled(client, source)]
    if not any(image.ml_use == VALIDATION for image in images):
        images = _split(images, float(split.get("ValidationFraction", DEFAULT_VALIDATION_FRACTION)))
    labels = {image.label for image in images if image.ml_use == TRAINING}
    if len(labels) < 2:
        raise JobFailedError(f"ClientError: images of two classes are needed to train on; there are {sorted(labels)}")
    return images


def fetch_images(client: Any, images: Sequence[LabelledImage], folder: Path) -> list[Path]:
    """Download images as files; their paths, in order."""
    paths: list[Path] = []
    for number, image in enumerate(images):
        name = f"{number:06d}{PurePosixPath(image.source.key).suffix.lower()}"
        download(client, [InputObject(image.source.bucket, image.source.key, name)], folder)
        paths.append((folder / name).resolve())
    return paths


def _labelled(client: Any, source: Mapping[str, str]) -> list[tuple[InputObject, str]]:
    if source["S3DataType"] == "AugmentedManifestFile":
        return _of_augmented_manifest(client, source["S3Uri"])
    objects = input_objects(client, source["S3DataType"], source["S3Uri"])
    images = [one for one in objects if PurePosixPath(one.key).suffix.lower() in SUFFIXES]
    bare = next((one for one in images if len(PurePosixPath(one.path).parts) < 2), None)
    if bare is not None:
        raise JobFailedError(f"ClientError: {bare.uri} lies in no folder that would be its class")
    return [(one, PurePosixPath(one.path).parts[-2]) for one in images]


def _of_augmented_manifest(client: Any, uri: str) -> list[tuple[InputObject, str]]:
    images: list[tuple[InputObject, str]] = []
    text = read_object(client, *split_uri(uri)).decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
            place, label = document["source-ref"], document["label-metadata"]["class-name"]
        except (ValueError, KeyError, TypeError) as error:
            words = "a line is {source-ref, label-metadata: {class-name}}"
            raise JobFailedError(f"ClientError: {uri}, line {number}: {words}: {error!r}") from error
        bucket, key = split_uri(str(place))
        images.append((InputObject(bucket, key, PurePosixPath(key).name), str(label)))
    return images


def _split(images: Sequence[LabelledImage], fraction: float) -> list[LabelledImage]:
    taken: set[str] = set()
    for label in sorted({image.label for image in images}):
        uris = sorted((image.source.uri for image in images if image.label == label), key=_hash)
        taken.update(uris[: max(1, round(len(uris) * fraction))])
    return [
        LabelledImage(image.source, image.label, VALIDATION if image.source.uri in taken else TRAINING)
        for image in images
    ]


def _hash(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()
