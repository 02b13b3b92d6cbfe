"""Where in the image the evidence for a class lies: class activation maps and Grad-CAM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.errors import InputError
from cxr.local_baseline.explain.graph import Graph, Node
from cxr.local_baseline.explain.head import Head, find_head
from cxr.local_baseline.tensorflow_setup import load

Floats = npt.NDArray[np.float32]
#: From images to a feature map and the features.
Values = Callable[[Any], list[Any]]
#: Layers that hand their input on, at least when nothing is trained.
PASSING = ("Dropout", "SpatialDropout2D", "Identity", "GaussianNoise", "GaussianDropout")
CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")


class Method(StrEnum):
    """How a map is made."""

    #: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
    CAM = "class activation map"
    #: Selvaraju et al., Grad-CAM, ICCV 2017.
    GRAD_CAM = "Grad-CAM"


@dataclass(frozen=True)
class Applicable:
    """The map that suits a model, and the layer whose output (float [N, h, w, c]) it is made of."""

    method: Method
    layer: str
    feature_map: Any


@dataclass(frozen=True)
class Maps:
    """Of a batch: `heat` float32 [N, h, w], the evidence for the class at each place (a class activation map is
    negative where the image speaks against the class, Grad-CAM never), and the class's `log_odds` float32 [N]."""

    heat: Floats
    log_odds: Floats


def applicable(graph: Graph, head: Head) -> Applicable:
    """A class activation map where the features are the average of the last feature map (`mobilenet-v2`, `edge`),
    Grad-CAM at the last convolution elsewhere. Raises InputError for a model without convolutions."""
    node = graph.source(head.features)
    while node is not None and type(node.layer).__name__ in PASSING:
        node = graph.source(node.inputs[0])
    if node is not None and type(node.layer).__name__ == "GlobalAveragePooling2D":
        last = graph.source(node.inputs[0])
        return Applicable(Method.CAM, last.name if last is not None else "image", node.inputs[0])
    convolution = last_convolution(graph)
    return Applicable(Method.GRAD_CAM, convolution.name, convolution.output)


def last_convolution(graph: Graph) -> Node:
    """Raises InputError when there is none."""
    found = [node for node in graph.nodes if type(node.layer).__name__ in CONVOLUTIONS and node.is_map]
    if not found:
        raise InputError(
            "the model has no convolution: it keeps no places of the image, so there is nothing to map",
            hint="explain a convolutional model, cnn5 for example",
        )
    return found[-1]


class Mapper:
    """Makes maps of one model."""

    def __init__(self, graph: Graph) -> None:
        self.head = find_head(graph)
        self.applicable = applicable(graph, self.head)
        self._graph = graph
        self._values = graph.function([self.applicable.feature_map, self.head.features])

    def maps(self, pixels: Floats, number: int) -> Maps:
        """The applicable map for class `number` of images float32 [N, H, W, C] as the model takes them."""
        make = class_activation_maps if self.applicable.method is Method.CAM else grad_cam
        return make(self._values, self.head, pixels, number)


def class_activation_maps(values: Values, head: Head, pixels: Floats, number: int) -> Maps:
    """`values` gives (feature map [N, h, w, F], features [N, F], its average). The map is the feature map weighted as
    the features are in the class's log-odds: of two classes, its mean is the log-odds, but for the bias."""
    tf = load().tf
    feature_map, features = values(tf.constant(pixels))
    weights = head.feature_weights(features, number)
    heat = tf.einsum("nhwf,nf->nhw", feature_map, weights)
    return Maps(heat.numpy(), head.log_odds(head.logits(features), number).numpy())


def grad_cam(values: Values, head: Head, pixels: Floats, number: int) -> Maps:
    """`values` gives (feature map [N, h, w, c], features [N, F]). Each channel is weighted by the mean over its places
    of the gradient of the class's log-odds (not of the probability, whose gradient vanishes when the model is sure);
    what speaks against the class is cut off."""
    tf = load().tf
    images = tf.constant(pixels)
    with tf.GradientTape() as tape:
        tape.watch(images)  # a frozen net has no variable that the tape would follow
        feature_map, features = values(images)
        log_odds = head.log_odds(head.logits(features), number)
    gradient = tape.gradient(log_odds, feature_map)
    weights = tf.reduce_mean(gradient, axis=(1, 2))
    heat = tf.nn.relu(tf.einsum("nhwc,nc->nhw", feature_map, weights))
    return Maps(heat.numpy(), log_odds.numpy())
