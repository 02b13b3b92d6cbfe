"""The ancestors' models, as they were meant."""

from __future__ import annotations

from dataclasses import replace

from cxr.bundle import Preprocessing
from cxr.local_baseline.recipes.augmentation import Augmentation
from cxr.local_baseline.recipes.nouns import (
    IMAGENET,
    Architecture,
    BackboneKind,
    Budget,
    Constant,
    EarlyStopping,
    Optimizer,
    OptimizerKind,
    Plateau,
    Pooling,
    Recipe,
    Stage,
    Supervision,
    Trains,
)

_RMSPROP = OptimizerKind.RMSPROP
_RESIZE = "resize with antialiasing: the source's generator took the nearest pixel"
_BEST_EPOCH = "the weights of the epoch with the least validation loss are kept, not the last epoch's"
_NO_FLIP = "no horizontal flip: it hides laterality"
_NEVER = EarlyStopping(patience=10_000)


def _fixed(epochs: int) -> Budget:
    """That many epochs, however many images there are."""
    return Budget(epochs=epochs, min_steps=0, max_epochs=max(epochs, 100))


DENSE = Recipe(
    name="dense",
    summary="three dense layers (32, 8, 1) on 64x64 RGB pixels",
    source="notebook of this dataset: a dense net as a first baseline",
    architecture=Architecture.DENSE,
    preprocessing=Preprocessing(64, 64, 3),
    scratch=(
        Stage(
            Trains.WHOLE,
            _fixed(50),
            optimizer=Optimizer(1e-3, kind=_RMSPROP),
            schedule=Constant(),
            early_stopping=_NEVER,
        ),
    ),
    parameters=393_521,
    batch_size=64,
    dropout=0.0,
    class_weights=False,
    deviations=(_RESIZE, _BEST_EPOCH),
)

DENSE_L2 = replace(
    DENSE,
    name="dense-l2",
    summary="the dense net with an L2 penalty of 0.01 on its first layer",
    source="notebook of this dataset: the dense net, regularised and cross-validated",
    batch_size=32,
    l2=0.01,
    penalised_layers=("dense1",),
    deviations=(
        _RESIZE,
        _BEST_EPOCH,
        "the source's cross-validation (5 folds, shuffled, seed 24, 32 epochs, batches of 64) split by image; "
        "cxr baseline crossval splits by patient",
    ),
)

CNN3 = Recipe(
    name="cnn3",
    summary="three convolutions with pooling on 64x64 RGB, one hidden dense layer",
    source="notebook of this dataset: a small CNN",
    architecture=Architecture.THREE_BLOCK,
    preprocessing=Preprocessing(64, 64, 3),
    scratch=(replace(DENSE.scratch[0], budget=_fixed(50)),),
    parameters=183_393,
    dropout=0.0,
    class_weights=False,
    deviations=(_RESIZE, _BEST_EPOCH),
)

_AUGMENTED = Augmentation(zoom=0.14, aspect=0.28, shift=0.2, rotation=15.0, brightness=0.2)
_BRIGHTNESS = "brightness up or down by a fifth of the range: the source multiplied by 1 to 1.5"

CNN3_AUGMENTED = replace(
    CNN3,
    name="cnn3-augmented",
    summary="cnn3 on augmented images, a tenth of the learning rate, early stopping",
    source="notebook of this dataset: the small CNN with ImageDataGenerator",
    scratch=(
        Stage(
            Trains.WHOLE,
            _fixed(32),
            optimizer=Optimizer(1e-4, kind=_RMSPROP),
            schedule=Constant(),
            early_stopping=EarlyStopping(patience=5),
            augmentation=_AUGMENTED,
        ),
    ),
    deviations=(_NO_FLIP, _BRIGHTNESS, _RESIZE),
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
    parameters=1_246_401,
    deviations=(
        _NO_FLIP,
        "batch-norm momentum 0.9, not 0.99: the moving statistics must settle within a few hundred steps",
        "early stopping patience 5, min_delta 0, not 1 and 0.1: the source's rule stops at the second epoch",
        "class weights: three of four training images are pneumonia",
        "4 epochs on thousands of images, not 10 (more on small sets): what two cores do in five minutes",
        _RESIZE,
    ),
)

RESNET50_FROZEN = Recipe(
    name="resnet50-frozen",
    summary="a dense head on a frozen ResNet50, 64x64 RGB, augmented images",
    source="notebook of this dataset: transfer from ResNet50 (He et al., 2015), nothing unfrozen",
    architecture=Architecture.BACKBONE,
    preprocessing=Preprocessing(64, 64, 3, scale=1.0),
    scratch=(
        Stage(
            Trains.WHOLE,
            _fixed(10),
            optimizer=Optimizer(1e-3, kind=_RMSPROP),
            schedule=Constant(),
            early_stopping=_NEVER,
            augmentation=_AUGMENTED,
        ),
    ),
    pretrained=(
        Stage(
            Trains.FROZEN,
            _fixed(10),
            optimizer=Optimizer(1e-3, kind=_RMSPROP),
            schedule=Constant(),
            early_stopping=_NEVER,
            augmentation=_AUGMENTED,
        ),
    ),
    default_weights=IMAGENET,
    parameters=25_685_377,
    backbone=BackboneKind.RESNET50,
    pooling=Pooling.FLATTEN,
    head_units=256,
    dropout=0.0,
    class_weights=False,
    deviations=(
        "pixels as ResNet50's weights expect them (mean of ImageNet taken off each channel): the source gave it 0..1",
        _NO_FLIP,
        _BRIGHTNESS,
        _RESIZE,
        _BEST_EPOCH,
    ),
)

VGG16_FROZEN = Recipe(
    name="vgg16-frozen",
    summary="a dense head on features of a frozen VGG16, 150x150 RGB",
    source="notebook of this dataset: transfer from VGG16 (Simonyan and Zisserman, 2014), nothing unfrozen",
    architecture=Architecture.BACKBONE,
    preprocessing=Preprocessing(150, 150, 3, scale=1.0),
    scratch=(
        Stage(
            Trains.WHOLE,
            _fixed(10),
            optimizer=Optimizer(1e-4),
            schedule=Constant(),
            early_stopping=EarlyStopping(patience=5),
            augmentation=Augmentation(zoom=0.07, aspect=0.14),
        ),
    ),
    pretrained=(
        Stage(
            Trains.HEAD,
            Budget(epochs=10, min_steps=600, max_epochs=60),
            optimizer=Optimizer(1e-3),
            schedule=Constant(),
            early_stopping=EarlyStopping(patience=5),
        ),
    ),
    default_weights=IMAGENET,
    parameters=16_812_353,
    backbone=BackboneKind.VGG16,
    pooling=Pooling.FLATTEN,
    head_units=256,
    deviations=(
        "the head has 256 units and dropout 0.2: the source says only that it is small and dense",
        "no augmentation: the backbone is frozen, so its features are computed once, which is ten times as fast",
        "early stopping, patience 5, and class weights",
        _RESIZE,
    ),
)

CIFAR_CNN = Recipe(
    name="cifar-cnn",
    summary="six convolutions in three pairs and two hidden dense layers on 32x32 RGB",
    source="notebook of this dataset: a tutorial's CIFAR-10 net for normal, bacterial and viral",
    architecture=Architecture.SIX_CONVOLUTIONS,
    preprocessing=Preprocessing(32, 32, 3),
    scratch=(
        Stage(
            Trains.WHOLE,
            Budget(epochs=10, min_steps=300, max_epochs=100),
            optimizer=Optimizer(1e-3),
            schedule=Constant(),
            early_stopping=EarlyStopping(patience=5),
        ),
    ),
    parameters=5_847_753,
    supervision=Supervision.ETIOLOGY,
    batch_size=128,
    dropout=0.0,
    deviations=(
        "three outputs, which the bundle of a manifest with two labels adds up: the source left the ten of CIFAR-10",
        "Adam 1e-3, 10 epochs of batches of 128, as in that tutorial; class weights, early stopping with patience 5",
        _RESIZE,
    ),
)
