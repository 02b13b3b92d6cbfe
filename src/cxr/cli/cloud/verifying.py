"""Runs exported models on one image: the readers of `cxr compare`, handed to the export, which knows none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from cxr.bundle import Bundle, Preprocessing
from cxr.compare.predictors import open_predictor
from cxr.errors import missing_package
from cxr.local_baseline.images.preprocess import Pixels, load_image
from cxr.manifests.sample.cast import MIN_IMAGES, cast
from cxr.manifests.sample.draw import draw_image

#: Of the synthetic sample: a picture that looks like a radiograph and is nobody's.
SEED: Final = 7


class OneImageScorer:
    """The Scorer of an export: one synthetic radiograph through every model."""

    def __init__(self) -> None:
        self._file = draw_image(cast(MIN_IMAGES, SEED)[0])

    def labels(self, saved_model: Path) -> tuple[str, ...]:
        """See Scorer."""
        try:
            from cxr.compare.predictors.encoded_images import saved_model_labels

            return saved_model_labels(saved_model)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != "tensorflow":
                raise
            raise missing_package("tensorflow", "train") from error

    def score(self, bundle: Bundle) -> Sequence[float]:
        """See Scorer."""
        pixels = self._pixels(bundle.info.preprocessing)
        return [float(value) for value in open_predictor(bundle).predict(pixels[np.newaxis])[0]]

    def _pixels(self, contract: Preprocessing) -> Pixels:
        return load_image(self._file, contract, name="the synthetic radiograph")
