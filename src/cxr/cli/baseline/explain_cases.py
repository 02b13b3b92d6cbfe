"""Which images `cxr baseline explain` explains: files, or the mistakes that the model is surest of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxr.cli.options import DEFAULT_MANIFEST
from cxr.errors import InputError
from cxr.progress import Progress

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.local_baseline.explain.nouns import Case


def cases_of_files(bundle: Bundle, paths: Sequence[Path], manifest_path: Path) -> list[Case]:
    """Score files. Their truth is what the manifest says of the same bytes, else their folder's name where that is a
    class."""
    from cxr.compare.metrics.confusion import predicted_classes
    from cxr.compare.predictors import open_predictor
    from cxr.local_baseline.explain.explaining import read_case_file
    from cxr.local_baseline.explain.nouns import Case
    from cxr.local_baseline.images.preprocess import load_image

    info = bundle.info
    labels = _labels(manifest_path, info.classes)
    files = [read_case_file(path) for path in paths]
    pixels = np.stack(
        [load_image(data, info.preprocessing, name=str(path)) for path, data in zip(paths, files, strict=True)]
    )
    probabilities = open_predictor(bundle).predict(pixels)
    called = predicted_classes(probabilities, info.classes.index(info.positive_class), info.threshold.value)
    cases = []
    for path, data, line, number in zip(paths, files, probabilities, called, strict=True):
        truth = labels.get(hashlib.sha256(data).hexdigest(), _folder_class(path, info.classes))
        scores = dict(zip(info.classes, map(float, line), strict=True))
        cases.append(Case(str(path), data, truth, scores, info.classes[number]))
    return cases


def cases_of_mistakes(
    bundle: Bundle,
    manifest_path: Path,
    split: str,
    count: int,
    *,
    images: str | None,
    cache_dir: Path,
    on_progress: Progress,
) -> list[Case]:
    """The mistakes on a split, the one with the largest probability of the wrong class first."""
    from cxr.compare.mistakes import surest_mistakes
    from cxr.compare.predictions.table import predict
    from cxr.local_baseline.explain.nouns import Case
    from cxr.local_baseline.images.cache import images_root
    from cxr.local_baseline.images.image_source import reader
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import view_for

    info = bundle.info
    manifest = view_for(read_manifest(manifest_path), info.classes)
    unknown = sorted(set(manifest.split(split)["label"]) - set(info.classes))
    if unknown:
        raise InputError(f"the {split} split has images of {unknown[0]}, which {bundle.folder} does not tell apart")
    predictions = predict(bundle, manifest, images=images, cache_dir=cache_dir, split=split, on_progress=on_progress)
    probabilities = predictions.probabilities(info.classes)
    wrong, called = surest_mistakes(bundle, predictions)
    read, _ = reader(images or images_root(manifest))
    cases = []
    for row in wrong[:count]:
        path = str(predictions.frame["path"].iloc[row])
        scores = dict(zip(info.classes, map(float, probabilities[row]), strict=True))
        truth = str(predictions.frame["label"].iloc[row])
        cases.append(Case(path, read(path), truth, scores, info.classes[called[row]]))
    return cases


def _labels(manifest_path: Path, classes: tuple[str, ...]) -> dict[str, str]:
    """Label by sha256. A manifest that nobody named need not be there, nor be of these classes."""
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import view_for

    try:
        frame = view_for(read_manifest(manifest_path), classes).frame
    except InputError:
        if manifest_path != DEFAULT_MANIFEST:
            raise
        return {}
    return dict(zip(frame["sha256"], frame["label"], strict=True))


def _folder_class(path: Path, classes: Sequence[str]) -> str:
    from cxr.local_baseline.explain.nouns import UNKNOWN

    name = path.resolve().parent.name.casefold()
    return next((label for label in classes if label.casefold() == name), UNKNOWN)
