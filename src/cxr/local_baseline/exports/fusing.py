"""Convolutions and what follows them as one operation each, for runtimes that run a graph as it is written.

At inference batch norm is a multiplication and an addition, channel by channel (Ioffe and Szegedy, 2015): behind a
convolution both go into its kernel and its bias. An activation behind that becomes a word in the operation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.local_baseline.tensorflow_setup import load

#: A convolution's operation -> that of the convolution with a bias and an activation, as TF.js names them.
FUSED = {"Conv2D": "_FusedConv2D", "DepthwiseConv2dNative": "FusedDepthwiseConv2dNative"}
ACTIVATIONS = ("Relu", "Relu6", "Elu")
ADDITIONS = ("AddV2", "Add", "BiasAdd")
#: What a convolution says of itself, which stays.
KEPT = ("T", "strides", "padding", "explicit_paddings", "data_format", "dilations")

Floats = NDArray[np.float64]


@dataclass
class _Chain:
    """A convolution and what is taken into it: the kernel, the bias, the activation, and the node that comes last."""

    convolution: Any
    kernel: Floats
    bias: Floats
    last: Any
    activation: str = ""

    @property
    def channels(self) -> int:
        return len(self.bias)

    def multiply(self, by: Floats) -> None:
        """A factor for each channel."""
        # A depthwise kernel is [h, w, in, multiplier], and its channels are in * multiplier.
        shape = self.kernel.shape[-2:] if self.convolution.op == "DepthwiseConv2dNative" else self.kernel.shape[-1:]
        self.kernel = self.kernel * by.reshape(shape)
        self.bias = self.bias * by


def fuse_convolutions(graph: Any, outputs: list[str]) -> Any:
    """A GraphDef that gives the same `outputs` with a fused operation for each convolution. Constants that a chain has
    to itself go into it; a convolution whose kernel is no constant stays as it is."""
    nodes = {node.name: node for node in graph.node}
    consumers = _consumers(graph, outputs)
    # By the name of the node that it ends with, which is what others refer to.
    fused = {}
    for node in graph.node:
        chain = _chain(node, nodes, consumers) if node.op in FUSED else None
        if chain is not None:
            fused[chain.last.name] = _written(chain)
    made = load().tf.compat.v1.GraphDef(versions=graph.versions)
    for node in graph.node:
        made.node.extend(fused.get(node.name, [node]))
    return load().tf.compat.v1.graph_util.extract_sub_graph(made, outputs)


def _consumers(graph: Any, outputs: list[str]) -> Mapping[str, list[Any]]:
    """Who takes each node's output. An output of the graph has a consumer outside of it."""
    found: dict[str, list[Any]] = {name: [None] for name in outputs}
    for node in graph.node:
        for name, count in Counter(_name(each) for each in node.input).items():
            found.setdefault(name, []).extend([node] * count)
    return found


def _chain(node: Any, nodes: Mapping[str, Any], consumers: Mapping[str, list[Any]]) -> _Chain | None:
    kernel = _constant(nodes[_name(node.input[1])])
    if kernel is None or node.attr["data_format"].s not in (b"", b"NHWC"):
        return None
    channels = kernel.shape[-1] * (kernel.shape[-2] if node.op == "DepthwiseConv2dNative" else 1)
    chain = _Chain(node, kernel, np.zeros(channels), node)
    while (following := _only(consumers.get(chain.last.name, []))) is not None and _take(chain, following, nodes):
        chain.last = following
    return chain


def _only(nodes: list[Any]) -> Any | None:
    return nodes[0] if len(nodes) == 1 else None


def _take(chain: _Chain, node: Any, nodes: Mapping[str, Any]) -> bool:
    """Take a node into the chain, if that can be done."""
    if chain.activation:
        return False
    if node.op in ACTIVATIONS:
        chain.activation = node.op
        return True
    if node.op not in (*ADDITIONS, "Mul", "Sub"):
        return False
    first, second = (_name(each) for each in node.input[:2])
    is_first = first == chain.last.name
    values = _constant(nodes[second if is_first else first])
    if values is None or (node.op == "Sub" and not is_first):
        return False
    by_channel = _by_channel(values, chain.channels)
    if by_channel is None:
        return False
    if node.op == "Mul":
        chain.multiply(by_channel)
    else:
        chain.bias = chain.bias + (-by_channel if node.op == "Sub" else by_channel)
    return True


def _by_channel(values: Floats, channels: int) -> Floats | None:
    """One value a channel [channels], None for a constant that differs from place to place."""
    if values.size == 1:
        return np.full(channels, values.item())
    return values.reshape(-1) if values.size == channels and values.shape[-1] == channels else None


def _constant(node: Any) -> Floats | None:
    if node.op != "Const":
        return None
    value = load().tf.make_ndarray(node.attr["value"].tensor)
    return np.asarray(value, np.float64) if value.dtype == np.float32 else None


def _written(chain: _Chain) -> list[Any]:
    """The nodes of a chain: its constants, and the operation under the name of the last node."""
    tf = load().tf
    node = tf.compat.v1.NodeDef(name=chain.last.name, op=FUSED[chain.convolution.op])
    constants = [
        _written_constant(f"{chain.last.name}/{part}", values)
        for part, values in (("kernel", chain.kernel), ("bias", chain.bias))
    ]
    node.input.extend([chain.convolution.input[0], *(constant.name for constant in constants)])
    for key in KEPT:
        if key in chain.convolution.attr:
            node.attr[key].CopyFrom(chain.convolution.attr[key])
    node.attr["num_args"].i = 1
    if chain.convolution.op == "Conv2D":  # TensorFlow's own operation of that name has it
        node.attr["TArgs"].list.type.append(tf.float32.as_datatype_enum)
    words = [b"BiasAdd"] + ([chain.activation.encode()] if chain.activation else [])
    node.attr["fused_ops"].list.s.extend(words)
    node.attr["epsilon"].f = 0.0
    return [*constants, node]


def _written_constant(name: str, values: Floats) -> Any:
    tf = load().tf
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values.astype(np.float32)))
    return node


def _name(reference: str) -> str:
    """The node that an input refers to: without its port, and without the mark of a control input."""
    return reference.removeprefix("^").partition(":")[0]
