"""From a bundle and images to maps, grids of activations, and a page that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.bundle import Bundle, ModelFormat, Origin, Preprocessing
from cxr.errors import InputError, UsageError
from cxr.local_baseline.explain.activations import ChannelGrid, channel_grid, chosen_layers, default_layers
from cxr.local_baseline.explain.graph import Graph, unfold
from cxr.local_baseline.explain.maps import Applicable, Mapper
from cxr.local_baseline.explain.nouns import Case, Explanation
from cxr.local_baseline.explain.overlay import original_pixels, to_original
from cxr.local_baseline.images.preprocess import Pixels, load_image
from cxr.local_baseline.models.keras_files import load_keras
from cxr.local_baseline.tensorflow_setup import load

Floats = npt.NDArray[np.float32]


def check_explainable(bundle: Bundle) -> None:
    """Raises InputError for a bundle whose layers cannot be looked into."""
    form = bundle.info.format
    if form is ModelFormat.KERAS:
        return
    hint = "train the recipe here, which ends in a Keras file: cxr baseline train --recipe RECIPE"
    if bundle.info.origin is Origin.CUSTOM_JOB:
        recipe = bundle.info.provenance.get("recipe", "RECIPE")
        hint = f"train the job's recipe and seed here, which ends in a Keras file: cxr baseline train --recipe {recipe}"
    elif bundle.info.origin is Origin.AUTOML:
        hint = "a service does not give its model's layers away; explain a model trained here: cxr baseline train"
    raise InputError(
        f"{bundle.folder} is a {form} model: layers can be looked into in the format {ModelFormat.KERAS} only",
        hint=hint,
    )


@dataclass(frozen=True)
class Explainer:
    """A bundle's model, ready to explain. `layers` are those whose activations are shown."""

    bundle: Bundle
    graph: Graph
    mapper: Mapper
    layers: tuple[str, ...]
    activations: Callable[[Any], list[Any]]

    @property
    def applicable(self) -> Applicable:
        """How its maps are made."""
        return self.mapper.applicable

    def explain(self, case: Case, target: str) -> Explanation:
        """Explain the evidence for the class `target` in one image. Raises InputError for a broken one."""
        contract = self.bundle.info.preprocessing
        pixels = model_input(load_image(case.data, contract, name=case.path), contract)
        maps = self.mapper.maps(pixels, self.bundle.info.classes.index(target))
        height, width = original_pixels(case.data, case.path).shape
        evidence = np.maximum(maps.heat[0], 0.0)
        peak = float(evidence.max())
        heat = to_original(evidence / peak if peak > 0 else evidence, contract, height, width)
        return Explanation(case, target, float(maps.log_odds[0]), peak, heat, tuple(self._grids(pixels)))

    def _grids(self, pixels: Floats) -> Iterator[ChannelGrid]:
        for name, output in zip(self.layers, self.activations(load().tf.constant(pixels)), strict=True):
            yield channel_grid(name, output.numpy()[0])


def open_explainer(bundle: Bundle, layers: Sequence[str] | None = None) -> Explainer:
    """Load a bundle's model. `layers` None means one a block.

    Raises InputError for a format or a net that has nothing to look into, UsageError for a layer that there is not.
    """
    check_explainable(bundle)
    model = load_keras(bundle.model_path)
    graph = unfold(model)
    mapper = Mapper(graph)
    nodes = chosen_layers(graph, default_layers(graph) if layers is None else layers)
    activations = graph.function([node.output for node in nodes]) if nodes else lambda images: []
    return Explainer(bundle, graph, mapper, tuple(node.name for node in nodes), activations)


def check_target(bundle: Bundle, target: str | None) -> None:
    """Raises UsageError for a class that the bundle does not tell apart."""
    if target is not None and target not in bundle.info.classes:
        raise UsageError(f"the bundle has no class {target!r}; its classes are: {', '.join(bundle.info.classes)}")


def model_input(pixels: Pixels, contract: Preprocessing) -> Floats:
    """One preprocessed image as a batch float32 [1, H, W, C], scaled where the model does not do that itself."""
    values = pixels[None].astype(np.float32)
    if contract.scale_inside_model:
        return values
    return values * np.float32(contract.scale) + np.float32(contract.offset)


def read_case_file(path: Path) -> bytes:
    """An image's bytes. Raises InputError for what is no file."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise InputError(f"there is no image {path}", hint="name image files, or use --mistakes 10") from None
