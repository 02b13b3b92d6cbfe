"""The mistakes that a model was surest of, small, with a heat map where its layers can be looked into."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.bundle import Bundle, ModelFormat
from cxr.compare.metrics.confusion import predicted_classes
from cxr.compare.predictions.table import Predictions
from cxr.errors import CxrError
from cxr.local_baseline.images.cache import images_root
from cxr.local_baseline.images.image_source import reader
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress

if TYPE_CHECKING:  # TensorFlow: only heat maps need it
    from cxr.local_baseline.explain.explaining import Explainer
    from cxr.local_baseline.explain.nouns import Case

#: Pictures of all models together, and of one: a report is passed on by mail.
MOST_PICTURES, MOST_OF_ONE_MODEL = 12, 4
#: Pixels of the longer side.
PICTURE_SIDE = 160
JPEG_QUALITY = 72


@dataclass(frozen=True, slots=True)
class Mistake:
    """One image of the test split that was called what it is not, with the probability of the class that it was
    called. `picture` and `heat_map` (evidence for the called class) are JPEG data URIs, "" where there is none."""

    path: str
    truth: str
    called: str
    probability: float
    picture: str = ""
    heat_map: str = ""


@dataclass(frozen=True, slots=True)
class ModelMistakes:
    """One model's: how many it made on how many images, those it was surest of, and why something is not shown."""

    name: str
    count: int
    images: int
    shown: tuple[Mistake, ...]
    note: str = ""


def surest_mistakes(bundle: Bundle, predictions: Predictions) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Numbers of the rows that were called what they are not, the largest probability of the wrong class first, and
    the class that each row [N] was called."""
    info = bundle.info
    probabilities = predictions.probabilities(info.classes)
    called = predicted_classes(probabilities, info.classes.index(info.positive_class), info.threshold.value)
    truth = np.array([info.classes.index(label) for label in predictions.frame["label"]], dtype=np.int64)
    wrong = np.flatnonzero(called != truth)
    return wrong[np.argsort(-probabilities[wrong, called[wrong]], kind="stable")], called


def mistakes_of(
    bundles: Sequence[Bundle],
    names: Sequence[str],
    made: Sequence[Predictions],
    manifest: Manifest,
    *,
    images: str | None,
    pictures: bool,
    on_progress: Progress,
) -> tuple[ModelMistakes, ...]:
    """Every model's worst mistakes. What cannot be shown (no images at hand, pictures not wanted, a model whose layers
    are not known) is left out with a note; nothing is raised for it."""
    each = max(1, min(MOST_OF_ONE_MODEL, MOST_PICTURES // len(bundles)))
    done = []
    for number, (bundle, name, predictions) in enumerate(zip(bundles, names, made, strict=True)):
        on_progress(number, len(bundles), f"the worst mistakes of {name}")
        with_pictures = pictures and number < MOST_PICTURES
        done.append(_of_one(bundle, name, predictions, manifest, each, images=images, pictures=with_pictures))
    return tuple(done)


def _of_one(
    bundle: Bundle,
    name: str,
    predictions: Predictions,
    manifest: Manifest,
    count: int,
    *,
    images: str | None,
    pictures: bool,
) -> ModelMistakes:
    wrong, called = surest_mistakes(bundle, predictions)
    classes, frame = bundle.info.classes, predictions.frame
    probabilities = predictions.probabilities(classes)
    chosen = [
        Mistake(
            path=str(frame["path"].iloc[row]),
            truth=str(frame["label"].iloc[row]),
            called=classes[called[row]],
            probability=float(probabilities[row, called[row]]),
        )
        for row in wrong[:count]
    ]
    note = ""
    if pictures and chosen:
        chosen, note = _pictured(bundle, chosen, manifest, images)
    return ModelMistakes(name, len(wrong), len(frame), tuple(chosen), note)


def _pictured(
    bundle: Bundle, mistakes: Sequence[Mistake], manifest: Manifest, images: str | None
) -> tuple[list[Mistake], str]:
    from cxr.local_baseline.explain.nouns import Case
    from cxr.local_baseline.explain.overlay import original_pixels

    made, explainer, note = [], None, "no heat maps: the layers of this format are not known"
    try:
        read, _ = reader(images or images_root(manifest))
        if bundle.info.format is ModelFormat.KERAS:
            explainer, note = _explainer(bundle)
        for mistake in mistakes:
            data = read(mistake.path)
            picture = _data_uri(Image.fromarray(original_pixels(data, mistake.path)))
            case = Case(mistake.path, data, mistake.truth, {mistake.called: mistake.probability}, mistake.called)
            heat_map = "" if explainer is None else _heat_map(explainer, case)
            made.append(Mistake(mistake.path, mistake.truth, mistake.called, mistake.probability, picture, heat_map))
    except (CxrError, OSError) as error:
        return list(mistakes), f"no pictures: {error}"
    return made, note


def _explainer(bundle: Bundle) -> tuple[Explainer | None, str]:
    # TensorFlow takes seconds to load.
    from cxr.local_baseline.explain.explaining import open_explainer

    try:
        return open_explainer(bundle, layers=()), ""
    except CxrError as error:
        return None, f"no heat maps: {error}"


def _heat_map(explainer: Explainer, case: Case) -> str:
    from cxr.local_baseline.explain.overlay import covered, original_pixels

    explanation = explainer.explain(case, case.called)
    return _data_uri(Image.fromarray(covered(original_pixels(case.data, case.path), explanation.heat)))


def _data_uri(image: Image.Image) -> str:
    """A small JPEG without any tag of the original."""
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
