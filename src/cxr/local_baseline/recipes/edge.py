"""The emulator's stand-in for AutoML."""

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
            optimizer=Optimizer(3e-3),
            schedule=Cosine(),
            early_stopping=EarlyStopping(patience=6),
            augmentation=Augmentation(zoom=0.07, aspect=0.14, shift=0.05),
        ),
    ),
    parameters=37_602,
    softmax=True,
)
