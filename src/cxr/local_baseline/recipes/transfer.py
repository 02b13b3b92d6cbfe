"""Recipes that start from a backbone with pretrained weights: first a head on features computed once, then the
backbone, from its end on, with its batch norm frozen."""

from __future__ import annotations

from cxr.bundle import Preprocessing
from cxr.local_baseline.recipes.augmentation import Augmentation
from cxr.local_baseline.recipes.nouns import (
    IMAGENET,
    Architecture,
    BackboneKind,
    Budget,
    Cosine,
    EarlyStopping,
    Optimizer,
    Recipe,
    Stage,
    Trains,
)

_HEAD = Stage(
    Trains.HEAD,
    Budget(epochs=30, min_steps=600, max_epochs=60),
    optimizer=Optimizer(3e-3),
    schedule=Cosine(warmup_share=0.0),
    early_stopping=EarlyStopping(patience=10),
)
_SCRATCH = Stage(
    Trains.WHOLE,
    Budget(epochs=6, min_steps=380, max_epochs=30),
    optimizer=Optimizer(2e-3),
    schedule=Cosine(),
    early_stopping=EarlyStopping(patience=12),
    augmentation=Augmentation(zoom=0.07, aspect=0.14),
)


def _unfrozen(trains: Trains, epochs: int, learning_rate: float, layers: int | None = None) -> Stage:
    return Stage(
        trains,
        Budget(epochs=epochs, min_steps=100 * epochs, max_epochs=15),
        optimizer=Optimizer(learning_rate),
        schedule=Cosine(),
        early_stopping=EarlyStopping(patience=3),
        augmentation=Augmentation(zoom=0.07, aspect=0.14, shift=0.05),
        unfreeze_layers=layers,
    )


MOBILENET_V2 = Recipe(
    name="mobilenet-v2",
    summary="MobileNetV2 (alpha 0.35) on 128x128, 0.41 M parameters; transfer or from scratch",
    source="Sandler et al., MobileNetV2, CVPR 2018; weights of keras.applications",
    architecture=Architecture.BACKBONE,
    preprocessing=Preprocessing(128, 128, 3, scale=1.0 / 127.5, offset=-1.0),
    scratch=(_SCRATCH,),
    pretrained=(
        _HEAD,
        Stage(
            Trains.FINE_TUNE,
            Budget(epochs=4, min_steps=200, max_epochs=15),
            optimizer=Optimizer(2e-4),
            schedule=Cosine(),
            early_stopping=EarlyStopping(patience=3),
            augmentation=Augmentation(zoom=0.07, aspect=0.14, shift=0.05),
        ),
    ),
    parameters=411_489,
    backbone=BackboneKind.MOBILENET_V2,
)

EFFICIENTNET_B0 = Recipe(
    name="efficientnet-b0",
    summary="EfficientNetB0 on 160x160, head, then last block, then all of it",
    source="Tan and Le, EfficientNet, ICML 2019; weights of keras.applications",
    architecture=Architecture.BACKBONE,
    preprocessing=Preprocessing(160, 160, 3, scale=1.0),
    scratch=(_SCRATCH,),
    # The last block and the convolution after it: expand, depthwise, two of squeeze and excite, project, top.
    pretrained=(_HEAD, _unfrozen(Trains.LAST_BLOCK, 2, 5e-4, 6), _unfrozen(Trains.FINE_TUNE, 2, 1e-4)),
    default_weights=IMAGENET,
    parameters=4_050_852,
    backbone=BackboneKind.EFFICIENTNET_B0,
    deviations=("160 pixels, not 224: what a laptop without a GPU trains in minutes",),
)

DENSENET121 = Recipe(
    name="densenet121",
    summary="DenseNet121 on 128x128, head, then last block, then all of it",
    source="Huang et al., DenseNet, CVPR 2017; weights of keras.applications",
    architecture=Architecture.BACKBONE,
    preprocessing=Preprocessing(128, 128, 3, scale=1.0),
    scratch=(_SCRATCH,),
    # The last dense block has 16 layers of two convolutions.
    pretrained=(_HEAD, _unfrozen(Trains.LAST_BLOCK, 2, 5e-4, 32), _unfrozen(Trains.FINE_TUNE, 2, 1e-4)),
    default_weights=IMAGENET,
    parameters=7_038_529,
    backbone=BackboneKind.DENSENET121,
    deviations=("128 pixels, not 224: what a laptop without a GPU trains in minutes",),
)
