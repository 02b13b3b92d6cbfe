"""Recipes as data: what is trained, on which input, how long, and where it comes from.

A recipe is a list of stages (one for training from scratch; a head and a fine-tuning stage with pretrained weights). A
stage's length depends on the data: at least `epochs`, more on a small set until `min_steps` optimizer steps are made,
never more than `max_epochs`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from cxr.bundle import Preprocessing
from cxr.errors import UsageError

#: `--weights` words; anything else is the path of a weights file.
NO_WEIGHTS = "none"
IMAGENET = "imagenet"


class Architecture(StrEnum):
    """The model builders in `models/`."""

    FIVE_BLOCK = "five-block"
    MOBILENET_V2 = "mobilenet-v2"
    EDGE = "edge"


class Trains(StrEnum):
    """What a stage trains: all layers, the head on features computed once, or all but the batch-norm layers."""

    WHOLE = "whole"
    HEAD = "head"
    FINE_TUNE = "fine-tune"


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a stage trains: see the module's text."""

    epochs: int
    min_steps: int
    max_epochs: int

    def epochs_for(self, images: int, batch_size: int) -> int:
        """Epochs for a training split of that many images."""
        needed = math.ceil(self.min_steps / math.ceil(images / batch_size))
        return min(max(self.epochs, needed), self.max_epochs)


@dataclass(frozen=True, slots=True)
class Plateau:
    """ReduceLROnPlateau on the validation loss, mode min."""

    factor: float
    patience: int


@dataclass(frozen=True, slots=True)
class Cosine:
    """Linear warm-up over a share of the steps, then cosine decay to zero."""

    warmup_share: float = 0.1


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random changes of training images. `zoom` z scales height and width independently by 1-z..1+z, `shift` moves by
    a share of the side.

    No horizontal flip unless a recipe asks: the heart is on the left, and a mirrored chest is another diagnosis (situs
    inversus).
    """

    zoom: float = 0.0
    shift: float = 0.0
    horizontal_flip: bool = False

    def times(self, strength: float) -> Augmentation:
        """The same changes, `strength` times as large."""
        return replace(self, zoom=self.zoom * strength, shift=self.shift * strength)


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Stop when the validation loss (mode min) has not improved by `min_delta` for `patience` epochs; the best
    weights are kept."""

    patience: int
    min_delta: float = 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of the optimizer (Adam)."""

    trains: Trains
    budget: Budget
    learning_rate: float
    schedule: Plateau | Cosine
    early_stopping: EarlyStopping
    augmentation: Augmentation = Augmentation()


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train a model. `scratch` are the stages with weights none, `pretrained` those with weights (empty:
    has none).

    `dropout` is the rate before the scores; `augmentation_strength` multiplies zoom and shift of every stage;
    `unfreeze_layers` is how many of the backbone's last convolutions a fine-tuning stage trains (None: all).
    """

    name: str
    summary: str
    source: str
    architecture: Architecture
    preprocessing: Preprocessing
    scratch: tuple[Stage, ...]
    pretrained: tuple[Stage, ...] = ()
    batch_size: int = 32
    batch_norm_momentum: float = 0.9
    dropout: float = 0.2
    augmentation_strength: float = 1.0
    unfreeze_layers: int | None = None
    class_weights: bool = True
    softmax: bool = False
    deviations: tuple[str, ...] = ()

    def stages_with(self, weights: str) -> tuple[Stage, ...]:
        """The stages that run with `weights`."""
        return self.scratch if weights == NO_WEIGHTS else self.pretrained

    @property
    def weights(self) -> str:
        """What `--weights` may be, in words."""
        return f"{NO_WEIGHTS}, {IMAGENET} or a .h5 file" if self.pretrained else NO_WEIGHTS


CNN5 = Recipe(
    name="cnn5",
    summary="five-block CNN on 150x150 grey, 1.25 M parameters",
    source="the widely copied Kaggle notebook for this dataset: five blocks of conv(relu), [dropout], batch norm, pool",
    architecture=Architecture.FIVE_BLOCK,
    preprocessing=Preprocessing(150, 150, 1),
    scratch=(
        Stage(
            Trains.WHOLE,
            Budget(epochs=4, min_steps=180, max_epochs=30),
            learning_rate=1e-3,
            schedule=Plateau(factor=0.3, patience=2),
            early_stopping=EarlyStopping(patience=5),
            augmentation=Augmentation(zoom=0.1),
        ),
    ),
    deviations=(
        "no horizontal flip: it hides laterality",
        "batch-norm momentum 0.9, not 0.99: the moving statistics must settle within a few hundred steps",
        "early stopping patience 5, min_delta 0, not 1 and 0.1: the source's rule stops at the second epoch",
        "class weights: three of four training images are pneumonia",
        "4 epochs on thousands of images, not 10 (more on small sets): what two cores do in five minutes",
        "resize with antialiasing: the source's generator took the nearest pixel",
    ),
)

MOBILENET_V2 = Recipe(
    name="mobilenet-v2",
    summary="MobileNetV2 (alpha 0.35) on 128x128, 0.41 M parameters; transfer or from scratch",
    source="Sandler et al., MobileNetV2, CVPR 2018; weights of keras.applications",
    architecture=Architecture.MOBILENET_V2,
    preprocessing=Preprocessing(128, 128, 3, scale=1.0 / 127.5, offset=-1.0),
    scratch=(
        Stage(
            Trains.WHOLE,
            Budget(epochs=6, min_steps=380, max_epochs=30),
            learning_rate=2e-3,
            schedule=Cosine(),
            early_stopping=EarlyStopping(patience=12),
            augmentation=Augmentation(zoom=0.1),
        ),
    ),
    pretrained=(
        Stage(
            Trains.HEAD,
            Budget(epochs=30, min_steps=600, max_epochs=60),
            learning_rate=3e-3,
            schedule=Cosine(warmup_share=0.0),
            early_stopping=EarlyStopping(patience=10),
        ),
        Stage(
            Trains.FINE_TUNE,
            Budget(epochs=4, min_steps=200, max_epochs=15),
            learning_rate=2e-4,
            schedule=Cosine(),
            early_stopping=EarlyStopping(patience=3),
            augmentation=Augmentation(zoom=0.1, shift=0.05),
        ),
    ),
)

EDGE = Recipe(
    name="edge",
    summary="small edge net on 224x224, conv, batch norm, relu: the emulator's stand-in for AutoML",
    source="depthwise-separable blocks after Howard et al., MobileNets, 2017",
    architecture=Architecture.EDGE,
    preprocessing=Preprocessing(224, 224, 3, aspect="center-crop", scale=1.0 / 127.5, offset=-1.0),
    scratch=(
        Stage(
            Trains.WHOLE,
            Budget(epochs=5, min_steps=250, max_epochs=30),
            learning_rate=3e-3,
            schedule=Cosine(),
            early_stopping=EarlyStopping(patience=6),
            augmentation=Augmentation(zoom=0.1, shift=0.05),
        ),
    ),
    softmax=True,
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (CNN5, MOBILENET_V2, EDGE)}


def find_recipe(name: str) -> Recipe:
    """A recipe by name. Raises UsageError that lists the recipes when there is none."""
    try:
        return RECIPES[name]
    except KeyError:
        raise UsageError(
            f"there is no recipe {name!r}; the recipes are: {', '.join(RECIPES)}",
            hint="what each does: cxr baseline recipes",
        ) from None
