"""A Keras model as one GraphDef: variables made constants, optimised by Grappler, with known names at both ends."""

from __future__ import annotations

import importlib
from typing import Any

from cxr.local_baseline.exports.serving import serving_model
from cxr.local_baseline.tensorflow_setup import load

INPUT_NAME = "image"
OUTPUT_NAME = "scores"
#: Twice: what one pass folds opens the way for the next.
OPTIMIZERS = ("pruning", "constfold", "arithmetic", "dependency") * 2


def frozen_graph(model: Any, batch_size: int | None) -> Any:
    """The GraphDef of `model` for inference: placeholder `image`, output node `scores` [batch_size, classes], no
    variables."""
    tf = load().tf
    freeze = importlib.import_module("tensorflow.python.framework.convert_to_constants")
    served = serving_model(model, batch_size)
    spec = tf.TensorSpec(served.input_shape, tf.float32, name=INPUT_NAME)

    def serve(image: Any) -> Any:
        return tf.identity(served(image, training=False), name=OUTPUT_NAME)

    concrete = tf.function(serve, input_signature=[spec]).get_concrete_function()
    frozen = freeze.convert_variables_to_constants_v2(concrete)
    graph = tf.compat.v1.graph_util.extract_sub_graph(frozen.graph.as_graph_def(), [OUTPUT_NAME])
    return _optimised(tf, graph)


def _optimised(tf: Any, graph_def: Any) -> Any:
    optimizer = importlib.import_module("tensorflow.python.grappler.tf_optimizer")
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    meta_graph = tf.compat.v1.train.export_meta_graph(graph_def=graph.as_graph_def(), graph=graph)
    meta_graph.collection_def["train_op"].node_list.value.append(OUTPUT_NAME)
    config = tf.compat.v1.ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.optimizers.extend(OPTIMIZERS)
    rewrite.meta_optimizer_iterations = rewrite.ONE
    rewrite.min_graph_nodes = -1  # optimise small graphs too
    return optimizer.OptimizeGraph(config, meta_graph)
