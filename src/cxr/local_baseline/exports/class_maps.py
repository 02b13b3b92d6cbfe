"""A second output for pages: for each class, where in the image its evidence lies, out of the same run."""

from __future__ import annotations

from typing import Any

import numpy as np

from cxr.bundle import Calibration, Preprocessing
from cxr.local_baseline.explain.graph import Graph
from cxr.local_baseline.explain.head import Head, find_head
from cxr.local_baseline.explain.maps import CONVOLUTIONS, Method, applicable
from cxr.local_baseline.exports.calibrated import calibrated_scores, graph_of, with_scaling
from cxr.local_baseline.tensorflow_setup import load

#: Added to the logits that are not to count: exp of it is 0, and unlike an infinity it survives a multiplication by 0.
NEVER = -1e9


def model_with_maps(model: Any, contract: Preprocessing, calibration: Calibration | None) -> Any | None:
    """`shipped_model` with two outputs, the scores [N, K] and `maps` float32 [N, h, w, K]; None for a net whose
    features are no average of a feature map.

    A class's map is the feature map times the gradient of the class's log-odds (before calibration) by the features:
    `explain.maps.class_activation_maps`, for all classes at once. Of two classes that are one score each, its mean is
    the log-odds, but for the bias (Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016).
    """
    graph = graph_of(with_scaling(model, contract))
    if graph is None:
        return None
    head = find_head(graph)
    if not _has_average(graph, head):
        return None
    maps = _maps(head, applicable(graph, head).feature_map)
    return load().keras.Model(graph.image, [calibrated_scores(graph, calibration), maps], name=model.name)


def _has_average(graph: Graph, head: Head) -> bool:
    """Whether the features are the average of the last feature map. Nets without convolutions have no feature map."""
    has_convolutions = any(type(node.layer).__name__ in CONVOLUTIONS and node.is_map for node in graph.nodes)
    return has_convolutions and applicable(graph, head).method is Method.CAM


def _maps(head: Head, feature_map: Any) -> Any:
    """[N, h, w, K] of a feature map [N, h, w, F]."""
    if head.membership.shape == (2, 2):
        # One part against one other: the weights are the same for every image.
        difference = head.kernel @ (2 * head.membership - 1)
        return _weighted(feature_map, difference, "class_maps")
    ops = load().keras.ops
    parts = _weighted(feature_map, head.kernel, "part_maps")
    logits = ops.matmul(head.features, head.kernel) + head.bias
    maps = [
        ops.sum(parts * ops.expand_dims(ops.expand_dims(shares, 1), 1), axis=-1, keepdims=True)
        for shares in (_shares(head, logits, number) for number in range(head.membership.shape[1]))
    ]
    return ops.concatenate(maps, axis=-1)


def _shares(head: Head, logits: Any, number: int) -> Any:
    """What each part's logit counts in the log-odds of a class, [N, parts]: its share in the class, less its share in
    all others."""
    ops = load().keras.ops
    inside = head.membership[:, number] > 0
    in_class, in_others = (np.where(counts, 0.0, NEVER).astype(np.float32) for counts in (inside, ~inside))
    return ops.softmax(logits + in_class) - ops.softmax(logits + in_others)


def _weighted(feature_map: Any, weights: Any, name: str) -> Any:
    layer = load().keras.layers.Conv2D(weights.shape[1], 1, use_bias=False, dtype="float32", name=name)
    output = layer(feature_map)
    layer.set_weights([np.asarray(weights, np.float32)[None, None]])
    return output
