"""What is known of each net of keras.applications that a recipe can stand on: how its weights expect pixels, and how
its files are named and recognised. No TensorFlow is needed to read it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cxr.local_baseline.recipes import BackboneKind

Channels = tuple[float, float, float]

#: Mean and standard deviation of ImageNet's pixels, R G B, of 0..1 (keras.applications, mode "torch").
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION: Channels = (0.229, 0.224, 0.225)
#: The same mean of 0..255 as Caffe's models know it (keras.applications, mode "caffe").
CAFFE_MEAN: Channels = (123.68, 116.779, 103.939)


@dataclass(frozen=True, slots=True)
class BackboneFacts:
    """One net. Pixels of 0..255 become x * scale + offset, the same for all channels (the bundle's contract says so),
    then x * `channel_scale` + `channel_offset` (absent: nothing).

    `keras_file` is the name of Keras's download, {size} being one of 128, 160, 192, 224. `layer` is a name that no
    other of these nets has. `convolutions` is how many there are to unfreeze. `residual` are the ends of the names of
    the last batch norm of a residual branch and of the sum that it goes into.
    """

    name: str
    function: str
    keras_file: str
    layer: str
    convolutions: int
    arguments: tuple[tuple[str, float], ...] = ()
    scale: float = 1.0
    offset: float = 0.0
    channel_scale: Channels | None = None
    channel_offset: Channels = (0.0, 0.0, 0.0)
    bgr: bool = False
    residual: tuple[str, str] | None = None


def _torch_scale() -> Channels:
    red, green, blue = (1 / (255 * deviation) for deviation in IMAGENET_DEVIATION)
    return red, green, blue


def _torch_offset() -> Channels:
    red, green, blue = (-mean / deviation for mean, deviation in zip(IMAGENET_MEAN, IMAGENET_DEVIATION, strict=True))
    return red, green, blue


_MINUS_CAFFE_MEAN: Channels = (-CAFFE_MEAN[0], -CAFFE_MEAN[1], -CAFFE_MEAN[2])

FACTS: dict[BackboneKind, BackboneFacts] = {
    BackboneKind.MOBILENET_V1: BackboneFacts(
        name="MobileNet (alpha 0.25, no top)",
        function="MobileNet",
        keras_file="mobilenet_2_5_{size}_tf_no_top.h5",
        layer="conv_dw_1",
        convolutions=27,
        arguments=(("alpha", 0.25),),
        scale=1.0 / 127.5,
        offset=-1.0,
    ),
    BackboneKind.MOBILENET_V2: BackboneFacts(
        name="MobileNetV2 (alpha 0.35, no top)",
        function="MobileNetV2",
        keras_file="mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_{size}_no_top.h5",
        layer="expanded_conv_project",
        convolutions=52,
        arguments=(("alpha", 0.35),),
        scale=1.0 / 127.5,
        offset=-1.0,
        residual=("_project_BN", "_add"),
    ),
    BackboneKind.RESNET50: BackboneFacts(
        name="ResNet50 (no top)",
        function="ResNet50",
        keras_file="resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        layer="conv2_block1_1_conv",
        convolutions=53,
        channel_scale=(1.0, 1.0, 1.0),
        channel_offset=_MINUS_CAFFE_MEAN,
        bgr=True,
        residual=("_3_bn", "_add"),
    ),
    BackboneKind.VGG16: BackboneFacts(
        name="VGG16 (no top)",
        function="VGG16",
        keras_file="vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        layer="block1_conv1",
        convolutions=13,
        channel_scale=(1.0, 1.0, 1.0),
        channel_offset=_MINUS_CAFFE_MEAN,
        bgr=True,
    ),
    BackboneKind.EFFICIENTNET_B0: BackboneFacts(
        name="EfficientNetB0 (no top)",
        function="EfficientNetB0",
        keras_file="efficientnetb0_notop.h5",
        layer="block1a_dwconv",
        convolutions=81,
        residual=("_project_bn", "_add"),
    ),
    BackboneKind.DENSENET121: BackboneFacts(
        name="DenseNet121 (no top)",
        function="DenseNet121",
        keras_file="densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
        layer="conv2_block1_0_bn",
        convolutions=120,
        channel_scale=_torch_scale(),
        channel_offset=_torch_offset(),
    ),
}


def efficientnet_file_affine() -> tuple[Channels, Channels]:
    """What to do with pixels before an EfficientNet whose weights come from a file.

    Keras builds the net with a last step of its normalisation, a division by the square root of the deviation, only
    for its own download (keras/applications/efficientnet.py: the original normalises with `(x - mean) / variance`).
    The net wants k (p - mean) for k = deviation^-1/2 and p of 0..1, and itself takes the mean off: so it is given
    p' = k p + mean (1 - k), here for pixels of 0..255.
    """
    factors = [1 / math.sqrt(deviation) for deviation in IMAGENET_DEVIATION]
    red, green, blue = factors
    offsets = [255 * mean * (1 - factor) for mean, factor in zip(IMAGENET_MEAN, factors, strict=True)]
    return (red, green, blue), (offsets[0], offsets[1], offsets[2])
