"""A Keras model with its nested models unfolded, so that every layer's output can be reached by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cxr.errors import InputError, UsageError
from cxr.local_baseline.tensorflow_setup import load


@dataclass(frozen=True, slots=True)
class Node:
    """One layer where it is called: its name (that of its nested model before it, when two layers share one), the
    tensors it takes, and the one it gives."""

    name: str
    layer: Any
    inputs: tuple[Any, ...]
    output: Any

    @property
    def is_map(self) -> bool:
        """Whether it gives channels of a picture, [N, h, w, c]."""
        return len(self.output.shape) == 4


@dataclass(frozen=True)
class Graph:
    """The layers of a model in the order in which they are computed, over the input `image`."""

    image: Any
    nodes: tuple[Node, ...]

    def node(self, name: str) -> Node:
        """A layer by name. Raises UsageError that lists the layers."""
        for node in self.nodes:
            if node.name == name:
                return node
        listed = ", ".join(node.name for node in self.nodes if node.is_map)
        raise UsageError(f"the model has no layer {name!r}; its layers that give maps are: {listed}")

    def source(self, tensor: Any) -> Node | None:
        """The layer that gives a tensor; None for the image."""
        return next((node for node in self.nodes if node.output is tensor), None)

    def function(self, outputs: Sequence[Any]) -> Callable[[Any], list[Any]]:
        """From a batch of images to the values of these tensors, as TensorFlow computes them without training."""
        keras = load().keras
        model = keras.Model(self.image, list(outputs))
        # Keras gives one output bare, several as a list.
        return lambda images: list(keras.tree.flatten(model(images, training=False)))


def unfold(model: Any) -> Graph:
    """The graph of a functional or sequential model. Raises InputError for a model that is neither: it has no graph to
    look into."""
    keras = load().keras
    outer = _functional(model)
    if outer is None or len(outer.inputs) != 1:
        raise InputError(
            f"the model {model.name!r} is not a functional Keras model with one image as its input",
            hint="models of cxr baseline train are",
        )
    image = keras.Input(outer.inputs[0].shape[1:], name="image")
    nodes: list[Node] = []

    def call(layer: Any, prefix: str, *args: Any, **kwargs: Any) -> Any:
        inner = _functional(layer)
        if inner is not None:
            return inner._run_through_graph(args, call_fn=caller(f"{layer.name}/"))
        output = layer(*args, **kwargs)
        taken = {node.name for node in nodes}
        name = layer.name if layer.name not in taken else f"{prefix}{layer.name}"
        inputs = tuple(tensor for tensor in keras.tree.flatten(args) if hasattr(tensor, "shape"))
        nodes.append(Node(name, layer, inputs, output))
        return output

    def caller(prefix: str) -> Any:
        return lambda layer, *args, **kwargs: call(layer, prefix, *args, **kwargs)

    outer._run_through_graph([image], call_fn=caller(""))
    return Graph(image, tuple(nodes))


def _functional(layer: Any) -> Any:
    """The functional model that a layer is, or that a sequential model is inside; None for a plain layer."""
    inner = getattr(layer, "_functional", None) or layer
    return inner if hasattr(inner, "_run_through_graph") else None
