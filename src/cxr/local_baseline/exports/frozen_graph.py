"""A Keras model as one GraphDef: variables made constants, optimised by Grappler, with known names at both ends."""

from __future__ import annotations

import importlib
from typing import Any

from cxr.local_baseline.exports.serving import two_columns
from cxr.local_baseline.tensorflow_setup import load

INPUT_NAME = "image"
#: The outputs of a model, in this order: one or two of them.
SCORES_NAME = "scores"
OUTPUT_NAMES = (SCORES_NAME, "maps")
#: Twice: what one pass folds opens the way for the next. Not `arithmetic`: it makes sums of sums (AddN), between which
#: and a convolution there is nothing left to fuse.
OPTIMIZERS = ("pruning", "constfold", "dependency") * 2


def frozen_graph(model: Any, batch_size: int | None) -> Any:
    """The GraphDef of `model` for inference: placeholder `image`, output node `scores` [batch_size, classes] (and
    `maps` [batch_size, h, w, classes] where the model has a second output), no variables."""
    tf = load().tf
    freeze = importlib.import_module("tensorflow.python.framework.convert_to_constants")
    spec = tf.TensorSpec((batch_size, *model.input_shape[1:]), tf.float32, name=INPUT_NAME)

    def serve(image: Any) -> Any:
        outputs = _outputs(model(image, training=False))
        return [tf.identity(output, name=name) for name, output in zip(OUTPUT_NAMES, outputs, strict=False)]

    concrete = tf.function(serve, input_signature=[spec]).get_concrete_function()
    names = list(OUTPUT_NAMES[: len(concrete.outputs)])
    frozen = freeze.convert_variables_to_constants_v2(concrete)
    graph = tf.compat.v1.graph_util.extract_sub_graph(frozen.graph.as_graph_def(), names)
    return _optimised(tf, graph, names)


def output_shapes(model: Any, batch_size: int | None) -> dict[str, tuple[int | None, ...]]:
    """The frozen graph's outputs by name."""
    shapes = [tuple(tensor.shape) for tensor in model.outputs]
    shapes[0] = (batch_size, max(int(shapes[0][-1]), 2))
    return {name: (batch_size, *shape[1:]) for name, shape in zip(OUTPUT_NAMES, shapes, strict=False)}


def _outputs(returned: Any) -> list[Any]:
    """What a model returns, bare or as a list; the scores with a column for each class."""
    scores, *others = returned if isinstance(returned, list | tuple) else [returned]
    return [two_columns(scores), *others]


def _optimised(tf: Any, graph_def: Any, outputs: list[str]) -> Any:
    optimizer = importlib.import_module("tensorflow.python.grappler.tf_optimizer")
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    meta_graph = tf.compat.v1.train.export_meta_graph(graph_def=graph.as_graph_def(), graph=graph)
    meta_graph.collection_def["train_op"].node_list.value.extend(outputs)
    config = tf.compat.v1.ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.optimizers.extend(OPTIMIZERS)
    rewrite.meta_optimizer_iterations = rewrite.ONE
    rewrite.min_graph_nodes = -1  # optimise small graphs too
    return optimizer.OptimizeGraph(config, meta_graph)
