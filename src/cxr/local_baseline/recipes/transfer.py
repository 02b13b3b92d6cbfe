"""Recipes that start from a backbone with pretrained weights."""

from __future__ import annotations

from cxr.bundle import Preprocessing
from cxr.local_baseline.recipes.augmentation import Augmentation
from cxr.local_baseline.recipes.nouns import (
    Architecture,
    Budget,
    Cosine,
    EarlyStopping,
    Optimizer,
    Recipe,
    Stage,
    Trains,
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
            optimizer=Optimizer(2e-3),
            schedule=Cosine(),
            early_stopping=EarlyStopping(patience=12),
            augmentation=Augmentation(zoom=0.07, aspect=0.14),
        ),
    ),
    pretrained=(
        Stage(
            Trains.HEAD,
            Budget(epochs=30, min_steps=600, max_epochs=60),
            optimizer=Optimizer(3e-3),
            schedule=Cosine(warmup_share=0.0),
            early_stopping=EarlyStopping(patience=10),
        ),
        Stage(
            Trains.FINE_TUNE,
            Budget(epochs=4, min_steps=200, max_epochs=15),
            optimizer=Optimizer(2e-4),
            schedule=Cosine(),
            early_stopping=EarlyStopping(patience=3),
            augmentation=Augmentation(zoom=0.07, aspect=0.14, shift=0.05),
        ),
    ),
)
