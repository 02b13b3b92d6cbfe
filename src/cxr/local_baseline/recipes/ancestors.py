"""The ancestors' models, as they were meant."""

from __future__ import annotations

from cxr.bundle import Preprocessing
from cxr.local_baseline.recipes.augmentation import Augmentation
from cxr.local_baseline.recipes.nouns import (
    Architecture,
    Budget,
    EarlyStopping,
    Optimizer,
    Plateau,
    Recipe,
    Stage,
    Trains,
)

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
            optimizer=Optimizer(1e-3),
            schedule=Plateau(factor=0.3, patience=2),
            early_stopping=EarlyStopping(patience=5),
            augmentation=Augmentation(zoom=0.07, aspect=0.14),
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
