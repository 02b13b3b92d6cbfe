"""The nouns of a recipe: what is trained, on which input, how long, and where it comes from.

A recipe is a list of stages (one for training from scratch; a head and a fine-tuning stage with pretrained weights). A
stage's length depends on the data: at least `epochs`, more on a small set until `min_steps` optimizer steps are made,
never more than `max_epochs`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from cxr.bundle import Preprocessing
from cxr.local_baseline.recipes.augmentation import NOTHING, Augmentation

#: `--weights` words; anything else is the path of a weights file.
NO_WEIGHTS = "none"
IMAGENET = "imagenet"


class Precision(StrEnum):
    """What a training computes in; weights and sums of gradients are float32 in either, and so is the bundle."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Architecture(StrEnum):
    """The model builders in `models/`. BACKBONE is a known net of `recipe.backbone` with a head of its own."""

    DENSE = "dense"
    THREE_BLOCK = "three-block"
    FIVE_BLOCK = "five-block"
    SIX_CONVOLUTIONS = "six-convolutions"
    BACKBONE = "backbone"
    EDGE = "edge"


class BackboneKind(StrEnum):
    """The nets of keras.applications that a recipe can stand on; `models/backbone_facts.py` has what each needs."""

    MOBILENET_V1 = "mobilenet-v1"
    MOBILENET_V2 = "mobilenet-v2"
    RESNET50 = "resnet50"
    VGG16 = "vgg16"
    EFFICIENTNET_B0 = "efficientnet-b0"
    DENSENET121 = "densenet121"


class Pooling(StrEnum):
    """How a backbone's last feature map becomes features: the mean of each channel, or all values in a row."""

    AVERAGE = "average"
    FLATTEN = "flatten"


class Activation(StrEnum):
    """Keras's activations, by the names a notebook gives them."""

    RELU = "relu"
    ELU = "elu"
    SELU = "selu"
    GELU = "gelu"
    SWISH = "swish"
    TANH = "tanh"
    LEAKY_RELU = "leaky_relu"


class Trains(StrEnum):
    """What a stage trains: all layers; the head on features computed once; the head on augmented images seen through
    the frozen backbone; the head and the backbone's last block; or the head and the backbone (what becomes of batch
    norm there says `BatchNorm`)."""

    WHOLE = "whole"
    HEAD = "head"
    FROZEN = "frozen"
    LAST_BLOCK = "last-block"
    FINE_TUNE = "fine-tune"


class Supervision(StrEnum):
    """What a net is told of a training image: its label, or (where the manifest knows it) its etiology as well."""

    LABELS = "labels"
    ETIOLOGY = "etiology"


class ChosenOn(StrEnum):
    """On which images the threshold is chosen: the validation split's, or those and corrupted copies of them."""

    VALIDATION = "validation"
    CORRUPTED_VALIDATION = "corrupted-validation"


class Sampling(StrEnum):
    """How images are drawn: every one once an epoch, in an order of its own; or each class equally often in every
    batch, the images of a rarer class more than once an epoch."""

    SHUFFLED = "shuffled"
    BALANCED = "balanced"


class BatchNorm(StrEnum):
    """What a fine-tuning stage does with batch norm: its pretrained statistics and scales stay (frozen), or it is
    trained like the rest, its statistics following the recipe's momentum."""

    FROZEN = "frozen"
    TRAINED = "trained"


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
class Constant:
    """The learning rate stays what it is."""


class OptimizerKind(StrEnum):
    """Keras's optimizers, by the names a notebook gives them."""

    ADAM = "adam"
    ADAMW = "adamw"
    NADAM = "nadam"
    RMSPROP = "rmsprop"
    SGD = "sgd"


@dataclass(frozen=True, slots=True)
class Optimizer:
    """How weights follow gradients. `weight_decay` is decoupled and spares biases and batch norm (Loshchilov and Hutter
    2019); `momentum` is of SGD (Nesterov's) and RMSprop; the others have their own betas."""

    learning_rate: float
    kind: OptimizerKind = OptimizerKind.ADAM
    weight_decay: float = 0.0
    momentum: float = 0.0


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Stop when the validation loss (mode min) has not improved by `min_delta` for `patience` epochs; the best epoch's
    weights are kept. With `keep_last` nothing is stopped and the last epoch's are: a validation split of the same
    hospital cannot tell which epoch is best elsewhere, and a schedule that ends at zero has settled by then."""

    patience: int
    min_delta: float = 0.0
    keep_last: bool = False


#: The last epoch's weights, after as many epochs as were planned.
KEEP_LAST = EarlyStopping(patience=1000, keep_last=True)


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of the optimizer. `unfreeze_layers` is how many of the backbone's last convolutions a last-block or
    fine-tuning stage trains (None: all), `batch_norm` what a fine-tuning stage does with all batch-norm layers."""

    trains: Trains
    budget: Budget
    optimizer: Optimizer
    schedule: Plateau | Cosine | Constant
    early_stopping: EarlyStopping
    augmentation: Augmentation = NOTHING
    unfreeze_layers: int | None = None
    batch_norm: BatchNorm = BatchNorm.FROZEN


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train a model. `scratch` are the stages with weights none, `pretrained` those with weights (empty:
    has none), `default_weights` what is meant when nobody says which.

    `parameters` is the size of the model in a bundle of two classes, one of them with two etiologies where the recipe
    is taught them (None: not known, as with another backbone). `backbone`, `pooling` and `head_units` (of the hidden
    layer between features and scores; 0: none) are of the architecture BACKBONE. `dropout` is the rate before the
    scores; `activation` that of the layers that are the recipe's own, not a backbone's. `l1` and `l2` weigh the sums
    of absolute and squared values of kernels in the training loss: of the layers named by `penalised_layers`, or of
    all but depthwise ones (empty). `augmentation_strength` multiplies the augmentation of every stage.
    `label_smoothing` s takes s of a target's certainty and shares it among all classes (Szegedy et al., CVPR 2016).
    `weight_average` is the decay a step of an exponential moving average of all weights, which is what is judged and
    kept (0: none). With `teachers`, they are trained first, and the target is `teacher_share` their probabilities at
    `teacher_temperature`, the rest the label (share 0: no teacher is trained). `operating_point` says on which images
    the threshold is chosen. `class_weights` weigh the loss, unless `sampling` balances the batches already.
    """

    name: str
    summary: str
    source: str
    architecture: Architecture
    preprocessing: Preprocessing
    scratch: tuple[Stage, ...]
    pretrained: tuple[Stage, ...] = ()
    default_weights: str = NO_WEIGHTS
    parameters: int | None = None
    backbone: BackboneKind | None = None
    pooling: Pooling = Pooling.AVERAGE
    head_units: int = 0
    activation: Activation = Activation.RELU
    batch_size: int = 32
    batch_norm_momentum: float = 0.9
    dropout: float = 0.2
    l1: float = 0.0
    l2: float = 0.0
    penalised_layers: tuple[str, ...] = ()
    augmentation_strength: float = 1.0
    class_weights: bool = True
    sampling: Sampling = Sampling.SHUFFLED
    precision: Precision = Precision.FLOAT32
    softmax: bool = False
    supervision: Supervision = Supervision.LABELS
    label_smoothing: float = 0.0
    weight_average: float = 0.0
    teachers: tuple[Teacher, ...] = ()
    teacher_share: float = 1.0
    teacher_temperature: float = 1.0
    operating_point: ChosenOn = ChosenOn.VALIDATION
    deviations: tuple[str, ...] = ()

    @property
    def aspect(self) -> str:
        """What becomes of an image's aspect ratio."""
        return self.preprocessing.aspect

    def stages_with(self, weights: str) -> tuple[Stage, ...]:
        """The stages that run with `weights`."""
        return self.scratch if weights == NO_WEIGHTS else self.pretrained

    def weights_or_default(self, given: str | None) -> str:
        """The weights that `--weights` names, or the recipe's own when it is not given."""
        return self.default_weights if given is None else given

    @property
    def weights(self) -> str:
        """What `--weights` may be, in words, the default first."""
        if not self.pretrained:
            return NO_WEIGHTS
        words = sorted((NO_WEIGHTS, IMAGENET), key=lambda word: word != self.default_weights)
        return f"{words[0]}, {words[1]} or a .h5 file"

    def from_scratch_words(self, weights: str) -> str:
        """What it means to train this recipe with `weights`, when that is not what it is for; else empty."""
        if weights != NO_WEIGHTS or self.default_weights == NO_WEIGHTS:
            return ""
        return (
            f"{self.name} is made for pretrained weights; with --weights {NO_WEIGHTS} nothing is frozen: the whole net "
            "starts from random weights, which takes far more images and epochs"
        )


@dataclass(frozen=True, slots=True)
class Teacher:
    """A net that is trained before a recipe's own and teaches it: a recipe of its own (another backbone, input size or
    length), a number that is added to the training's seed, and its weights ("": the training's)."""

    name: str
    recipe: Recipe
    seed: int = 0
    weights: str = ""
