"""Intermediate activations: what the channels of a layer answer to an image, as a grid of small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cxr.errors import UsageError
from cxr.local_baseline.explain.graph import Graph, Node

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

MOST_CHANNELS = 32
COLUMNS = 8
#: Side of a channel's picture, at least, and the gap between two, in pixels.
LEAST_SIDE, GAP = 72, 3
#: Layers that end what a block computes; pooling and padding only move it.
COMPUTING = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Activation", "ReLU", "LeakyReLU", "Add", "Concatenate")


@dataclass(frozen=True)
class ChannelGrid:
    """The most active `channels` of a layer, first the most active, drawn row by row into `picture` (uint8 [h, w]),
    each from its own least (black) to its own largest value (white). `of` is the number of the layer's channels."""

    layer: str
    picture: Pixels
    channels: tuple[int, ...]
    of: int


def default_layers(graph: Graph) -> tuple[str, ...]:
    """One layer a block: the last at each size of the maps that computes something."""
    by_size: dict[tuple[int, ...], str] = {}
    for node in graph.nodes:
        if node.is_map and type(node.layer).__name__ in COMPUTING and min(node.output.shape[1:3]) > 1:
            by_size[tuple(node.output.shape[1:3])] = node.name
    return tuple(by_size.values())


def chosen_layers(graph: Graph, names: Sequence[str]) -> tuple[Node, ...]:
    """Layers by name. Raises UsageError, listing the layers, for one that there is not or that gives no maps."""
    nodes = tuple(graph.node(name) for name in names)
    for node in nodes:
        if not node.is_map:
            listed = ", ".join(other.name for other in graph.nodes if other.is_map)
            raise UsageError(f"the layer {node.name!r} gives numbers, not maps; the layers that do are: {listed}")
    return nodes


def channel_grid(layer: str, activation: Floats) -> ChannelGrid:
    """Draw an activation float [h, w, c]. The most active channels are those with the largest mean magnitude."""
    strength = np.abs(activation).mean(axis=(0, 1))
    channels = tuple(int(channel) for channel in np.argsort(-strength, kind="stable")[:MOST_CHANNELS])
    height, width = activation.shape[:2]
    scale = max(1, -(-LEAST_SIDE // min(height, width)))
    cell = height * scale, width * scale
    columns = min(COLUMNS, len(channels))
    rows = -(-len(channels) // columns)
    canvas = Image.new("L", (columns * (cell[1] + GAP) - GAP, rows * (cell[0] + GAP) - GAP), 128)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for place, channel in enumerate(channels):
        left, top = place % columns * (cell[1] + GAP), place // columns * (cell[0] + GAP)
        tile = Image.fromarray(_stretched(activation[..., channel])).resize(
            (cell[1], cell[0]), Image.Resampling.NEAREST
        )
        canvas.paste(tile, (left, top))
        draw.text((left + 3, top + 1), str(channel), fill=255, font=font, stroke_width=1, stroke_fill=0)
    return ChannelGrid(layer, np.asarray(canvas), channels, activation.shape[-1])


def _stretched(values: Floats) -> Pixels:
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    return np.round((values - low) / (high - low) * 255).astype(np.uint8)
