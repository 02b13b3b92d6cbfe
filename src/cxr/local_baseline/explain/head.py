"""The end of a classifier: from features to logits, and from logits to the log-odds of a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.errors import InputError
from cxr.local_baseline.explain.graph import Graph, Node
from cxr.local_baseline.tensorflow_setup import load

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """The dense layer of the scores. `features` is the tensor it takes, [N, F]; `kernel` [F, parts] and `bias` [parts]
    give logits of a softmax (one sigmoid is a softmax over 0 and its logit); `membership` [parts, classes], of zeros
    and ones, says which parts a class is the sum of."""

    features: Any
    kernel: Floats
    bias: Floats
    membership: Floats

    def logits(self, features: Any) -> Any:
        """Float32 [N, parts], a TensorFlow tensor."""
        return load().tf.matmul(features, self.kernel) + self.bias

    def log_odds(self, logits: Any, number: int) -> Any:
        """log(P / (1 - P)) of one class, [N]: its evidence against all others together, without rounding where P is
        nearly 0 or 1."""
        tf = load().tf
        inside = tf.constant(self.membership[:, number] > 0)
        low = tf.constant(-np.inf, tf.float32)
        of_class, of_others = tf.where(inside, logits, low), tf.where(inside, low, logits)
        return tf.reduce_logsumexp(of_class, axis=1) - tf.reduce_logsumexp(of_others, axis=1)

    def feature_weights(self, features: Any, number: int) -> Any:
        """The gradient of `log_odds` by the features, [N, F]. With one part a class against one other that is the
        difference of two columns of the kernel, the same for every image: of a sigmoid, its kernel."""
        tf = load().tf
        logits = self.logits(features)
        inside = tf.constant(self.membership[:, number] > 0)
        low = tf.constant(-np.inf, tf.float32)
        shares = tf.nn.softmax(tf.where(inside, logits, low)) - tf.nn.softmax(tf.where(inside, low, logits))
        return tf.matmul(shares, self.kernel, transpose_b=True)


def find_head(graph: Graph) -> Head:
    """The head of a model that ends in a dense layer with sigmoid or softmax, behind which classes may be added up (a
    dense layer of zeros and ones, without bias). Raises InputError for another end."""
    scores, collapse = find_scores(graph)
    kernel = scores.layer.kernel.numpy().astype(np.float32)
    bias = scores.layer.bias.numpy().astype(np.float32) if scores.layer.use_bias else np.zeros(kernel.shape[1], "f4")
    if scores.layer.activation.__name__ == "sigmoid":
        kernel, bias = np.hstack([np.zeros_like(kernel), kernel]), np.hstack([np.zeros_like(bias), bias])
    membership = collapse.layer.kernel.numpy() if collapse is not None else np.eye(kernel.shape[1])
    return Head(scores.inputs[0], kernel, bias, membership.astype(np.float32))


def find_scores(graph: Graph) -> tuple[Node, Node | None]:
    """The layer of the scores, and the one behind it that adds them up, if there is one. Raises InputError."""
    nodes = list(graph.nodes)
    collapse = nodes.pop() if nodes and _adds_up(nodes[-1]) else None
    if not nodes or not _gives_scores(nodes[-1]):
        raise InputError(
            "the model does not end in a dense layer with sigmoid or softmax: the evidence for a class is not defined",
            hint="models of cxr baseline train do",
        )
    return nodes[-1], collapse


def _gives_scores(node: Node) -> bool:
    layer = node.layer
    if not isinstance(layer, load().keras.layers.Dense):
        return False
    kind = layer.activation.__name__
    return bool(kind == "softmax" or (kind == "sigmoid" and layer.units == 1))


def _adds_up(node: Node) -> bool:
    layer = node.layer
    if not isinstance(layer, load().keras.layers.Dense) or layer.use_bias or layer.activation.__name__ != "linear":
        return False
    return bool(np.isin(layer.kernel.numpy(), (0, 1)).all())
