"""The recipe to beat the others with: small enough for a browser, made for pictures of other hospitals and days."""

from __future__ import annotations

from cxr.bundle import Preprocessing
from cxr.local_baseline.recipes.augmentation import Augmentation
from cxr.local_baseline.recipes.nouns import (
    IMAGENET,
    KEEP_LAST,
    Architecture,
    BackboneKind,
    BatchNorm,
    Budget,
    ChosenOn,
    Cosine,
    Optimizer,
    OptimizerKind,
    Recipe,
    Stage,
    Supervision,
    Trains,
)

#: Another device, another crop, another window: what must not decide.
STRONG = Augmentation(
    zoom=0.18,
    aspect=0.2,
    shift=0.08,
    rotation=7.0,
    bands=0.7,
    blur=0.2,
    contrast=0.35,
    brightness=0.12,
    gamma=0.45,
    noise=0.05,
)
# The last epoch is kept: validation of the same hospital would choose one by chance.
FLAGSHIP = Recipe(
    name="flagship",
    summary="MobileNetV2 (alpha 0.35) on 192x192 grey, trained on etiologies with strong augmentation",
    source="Sandler et al., MobileNetV2, CVPR 2018; weights of keras.applications; the training is this project's own",
    architecture=Architecture.BACKBONE,
    preprocessing=Preprocessing(192, 192, 1, scale=1.0 / 127.5, offset=-1.0),
    scratch=(
        Stage(
            Trains.WHOLE,
            Budget(epochs=30, min_steps=1200, max_epochs=60),
            optimizer=Optimizer(2e-3, OptimizerKind.ADAMW, weight_decay=1e-2),
            schedule=Cosine(warmup_share=0.05),
            early_stopping=KEEP_LAST,
            augmentation=STRONG,
        ),
    ),
    pretrained=(
        Stage(
            Trains.FINE_TUNE,
            Budget(epochs=24, min_steps=600, max_epochs=60),
            optimizer=Optimizer(1e-3, OptimizerKind.ADAMW, weight_decay=1e-2),
            schedule=Cosine(warmup_share=0.05),
            early_stopping=KEEP_LAST,
            augmentation=STRONG,
            batch_norm=BatchNorm.TRAINED,
        ),
    ),
    supervision=Supervision.ETIOLOGY,
    label_smoothing=0.05,
    weight_average=0.99,
    operating_point=ChosenOn.CORRUPTED_VALIDATION,
    default_weights=IMAGENET,
    parameters=414_057,
    backbone=BackboneKind.MOBILENET_V2,
)
