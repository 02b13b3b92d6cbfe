"""The bundle that exports are made of: whether it can be, and its model made ready for a format."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from cxr.about import RESEARCH_USE
from cxr.bundle import Bundle, ModelFormat, Origin
from cxr.errors import InputError
from cxr.local_baseline.exports.calibrated import EIGHT_BIT_FLOOR, shipped_model
from cxr.local_baseline.exports.class_maps import model_with_maps
from cxr.local_baseline.exports.nouns import Format, Shipment
from cxr.local_baseline.images.preprocess import Pixels
from cxr.local_baseline.models.keras_files import load_keras


def check_exportable(bundle: Bundle) -> None:
    """Raises InputError for a bundle without a Keras model, with what can be done with it instead."""
    info = bundle.info
    if info.format is ModelFormat.KERAS:
        return
    hint = "train a recipe here, which ends in a Keras file: cxr baseline train --recipe RECIPE"
    if info.provenance.get("exported_from"):
        hint = "it is an export already: export the bundle that it was made of"
    elif info.format is ModelFormat.PREDICTIONS:
        hint = "it holds answers of a service and no model; compare it: cxr compare"
    elif info.origin is Origin.CUSTOM_JOB:
        recipe = info.provenance.get("recipe", "RECIPE")
        hint = (
            "serve the job's model as it is, or train its recipe and seed here for every format: "
            f"cxr baseline train --recipe {recipe}"
        )
    elif info.origin is Origin.AUTOML:
        hint = "a service exports its own models: cxr cloud export JOB --to tflite,tf-js,saved-model,core-ml"
    raise InputError(
        f"{bundle.folder} is a {info.format} model: exports are made of the format {ModelFormat.KERAS}", hint=hint
    )


class Source:
    """A bundle's model, loaded when the first format asks for it."""

    def __init__(self, bundle: Bundle, representative: Callable[[], Pixels] | None = None) -> None:
        self.bundle = bundle
        self._representative = representative

    def shipment(self, form: Format) -> Shipment:
        """The model ready for a format."""
        info = self.bundle.info
        return Shipment(
            model=self._in_eight_bits if form.needs_representative else self._shipped,
            labels=info.classes,
            contract=info.preprocessing,
            name=self._model.name,
            description=f"{info.name}: {', '.join(info.classes)}. {RESEARCH_USE}.",
            mapped=self._mapped if form.model_format is ModelFormat.TFJS else None,
            representative=self._pixels if form.needs_representative else None,
            form=form.form,
        )

    @cached_property
    def _model(self) -> Any:
        return load_keras(self.bundle.model_path)

    @cached_property
    def _shipped(self) -> Any:
        return shipped_model(self._model, self.bundle.info.preprocessing, self.bundle.info.calibration)

    @cached_property
    def _in_eight_bits(self) -> Any:
        info = self.bundle.info
        return shipped_model(self._model, info.preprocessing, info.calibration, floor=EIGHT_BIT_FLOOR)

    @cached_property
    def _mapped(self) -> Any | None:
        return model_with_maps(self._model, self.bundle.info.preprocessing, self.bundle.info.calibration)

    @cached_property
    def _pixels(self) -> Pixels:
        if self._representative is None:
            raise InputError("8-bit formats need training images", hint="name the manifest: --manifest FILE")
        return self._representative()
