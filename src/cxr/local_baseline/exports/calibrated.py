"""The model as it is shipped: pixels 0..255 in, calibrated probabilities out, one column for each class.

Whoever runs an exported file needs neither the scale nor the temperature.
"""

from __future__ import annotations

from typing import Any

from cxr.bundle import Calibration, Preprocessing
from cxr.errors import InputError
from cxr.local_baseline.explain.graph import Graph, Node, unfold
from cxr.local_baseline.explain.head import find_scores
from cxr.local_baseline.exports.serving import two_columns
from cxr.local_baseline.judging.calibration import FLOOR
from cxr.local_baseline.tensorflow_setup import load

#: The least probability that 8 bits tell from none: half a level. A lower floor would spend the levels of the logarithm
#: on differences that are not there.
EIGHT_BIT_FLOOR = 2.0**-9


def shipped_model(model: Any, contract: Preprocessing, calibration: Calibration | None, *, floor: float = FLOOR) -> Any:
    """A Keras model that shares `model`'s layers: whole numbers 0..255, float32 [N, H, W, C] -> float32 [N, classes],
    the numbers that `judging.calibration.calibrated` makes of the model's own.

    A dense layer of scores gets its kernel and bias divided by the temperature, which costs nothing; where classes are
    added up behind it (or for an end that is not known) the probabilities are calibrated by operations of their own,
    those below `floor` counting as `floor`.
    """
    keras = load().keras
    whole = with_scaling(model, contract)
    if calibration is None:
        image = keras.Input(whole.input_shape[1:], name="image")
        return keras.Model(image, two_columns(whole(image)), name=model.name)
    graph = graph_of(whole)
    if graph is None:
        image = keras.Input(whole.input_shape[1:], name="image")
        return keras.Model(image, tempered(two_columns(whole(image)), calibration.temperature, floor), name=model.name)
    return keras.Model(graph.image, calibrated_scores(graph, calibration, floor), name=model.name)


def with_scaling(model: Any, contract: Preprocessing) -> Any:
    """A model of whole numbers 0..255: the model itself when it scales its pixels, else with the contract's scaling in
    front."""
    if contract.scale_inside_model:
        return model
    keras = load().keras
    image = keras.Input(model.input_shape[1:], name="image")
    scaled = keras.layers.Rescaling(contract.scale, contract.offset, name="contract_scaling")(image)
    return keras.Model(image, model(scaled), name=model.name)


def graph_of(model: Any) -> Graph | None:
    """The layers of a model that ends in dense scores, None for any other."""
    try:
        graph = unfold(model)
        find_scores(graph)
    except InputError:
        return None
    return graph


def calibrated_scores(graph: Graph, calibration: Calibration | None, floor: float = FLOOR) -> Any:
    """The tensor of calibrated probabilities [N, classes] at the end of a graph that ends in dense scores."""
    if calibration is None:
        return two_columns(graph.nodes[-1].output)
    scores, collapse = find_scores(graph)
    if collapse is not None:
        return tempered(collapse.output, calibration.temperature, floor)
    return two_columns(_cooled(scores, calibration.temperature))


def tempered(probabilities: Any, temperature: float, floor: float = FLOOR) -> Any:
    """softmax(log(p) / T) of probabilities [N, classes], as operations; what is below `floor` counts as `floor`."""
    ops = load().keras.ops
    return ops.softmax(ops.log(ops.maximum(probabilities, floor)) * (1.0 / temperature))


def _cooled(scores: Node, temperature: float) -> Any:
    """What the layer of the scores gives with its kernel and bias divided by the temperature."""
    layer = scores.layer
    copy = layer.__class__.from_config({**layer.get_config(), "name": f"calibrated_{layer.name}"})
    output = copy(scores.inputs[0])
    copy.set_weights([values / temperature for values in layer.get_weights()])
    return output
