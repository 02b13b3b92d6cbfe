"""Histograms as inline SVG: one line a label, each scaled to the share of its own images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cxr.manifests.check.looks import Looks
from cxr.manifests.manifest import Manifest

#: Lines in one chart, the most frequent labels first: more cannot be told apart.
MAX_LINES: Final = 6
BINS: Final = 40
_WIDTH, _HEIGHT = 440, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 44
_DASHES: Final = ("none", "7 4", "2 3", "9 3 2 3", "12 4", "4 2")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure: its title, the SVG (its texts are escaped), what goes below it, and a word where nothing can be
    drawn."""

    title: str
    svg: str = ""
    below: str = ""
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A label's line: colour class (0 to MAX_LINES - 1) and dashes."""

    label: str
    colour: int
    dashes: str


@dataclass(frozen=True, slots=True, eq=False)
class _Histogram:
    """Shares (in percent) by bin of each label between `edges`, drawn up to `top`; `words` writes a position on the
    axis."""

    title: str
    axis: str
    edges: Floats
    shares: Mapping[str, Floats]
    words: Callable[[float], str]
    top: float
    logarithmic: bool = False


def keys_of(manifest: Manifest) -> list[Key]:
    """The labels that are drawn."""
    labels = sorted(manifest.frame["label"].value_counts().index[:MAX_LINES])
    return [Key(label, place, _DASHES[place]) for place, label in enumerate(labels)]


def charts(manifest: Manifest, looks: Looks | None) -> list[Chart]:
    """File sizes, image sizes and greys by label."""
    frame, keys = manifest.frame, keys_of(manifest)
    longer = frame[["width", "height"]].max(axis=1)
    return [
        _of_numbers("File size", "kB, logarithmic", frame["size"] / 1000, frame["label"], keys),
        _of_numbers("Image size", "pixels of the longer side, logarithmic", longer, frame["label"], keys),
        _of_greys(manifest, looks, keys),
    ]


def _of_numbers(title: str, axis: str, values: pd.Series, labels: pd.Series, keys: Sequence[Key]) -> Chart:
    known = values > 0
    if not known.any():
        return Chart(title, instead="not known of these images")
    low, high = float(values[known].min()), float(values[known].max())
    if low == high:
        return Chart(title, instead=f"all images have the same: {low:,.0f} {axis.split(',')[0]}")
    edges = np.geomspace(low, high * (1 + 1e-9), BINS + 1)
    shares = {key.label: _shares(values[known & (labels == key.label)].to_numpy(float), edges) for key in keys}
    top = _round_up(max(float(share.max()) for share in shares.values()))
    return Chart(title, _svg(_Histogram(title, axis, edges, shares, _number, top, logarithmic=True), keys))


def _of_greys(manifest: Manifest, looks: Looks | None, keys: Sequence[Key]) -> Chart:
    title = "Intensity"
    if looks is None or not len(looks.rows):
        return Chart(title, instead="the images were not looked at")
    labels = manifest.frame["label"].to_numpy()[looks.rows]
    shares = {
        key.label: 100 * looks.greys[labels == key.label].mean(axis=0, dtype=np.float64)
        for key in keys
        if (labels == key.label).any()
    }
    edges = np.linspace(0, 256, looks.greys.shape[1] + 1)
    # Much of a radiograph is plain black (collimated, padded): that one bar would flatten all others.
    top = _round_up(max(float(share[1:-1].max()) for share in shares.values()))
    higher = {label: float(max(share[0], share[-1])) for label, share in shares.items()}
    cut = ", ".join(f"{label} {share:.1f}\u202f%" for label, share in higher.items() if share > top)
    below = (
        f"Mean of the images' histograms. Black or white cut off: {cut}." if cut else "Mean of the images' histograms."
    )
    histogram = _Histogram(
        title, "grey, 0 black to 255 white", edges, shares, lambda value: f"{min(value, 255):.0f}", top
    )
    return Chart(title, _svg(histogram, keys), below)


def _shares(values: Floats, edges: Floats) -> Floats:
    counts: Floats = np.histogram(values, edges)[0].astype(np.float64)
    return counts * (100 / max(float(counts.sum()), 1.0))


def _svg(histogram: _Histogram, keys: Sequence[Key]) -> str:
    top = histogram.top
    across, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    scale = np.log(histogram.edges) if histogram.logarithmic else histogram.edges
    x = _LEFT + across * (scale - scale[0]) / (scale[-1] - scale[0])
    lines = "".join(
        f'<path class="line c{key.colour}" stroke-dasharray="{key.dashes}" d="{_steps(x, shares, top, up)}">'
        f"<title>{escape(key.label)}</title></path>"
        for key in keys
        if (shares := histogram.shares.get(key.label)) is not None
    )
    described = f"Histogram of {histogram.title.lower()} by label, share of each label's images"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(described, quote=True)}">'
        f"{_grid(top, across, up)}{_ticks(histogram, x)}{lines}"
        f'<text x="{_LEFT + across / 2}" y="{_HEIGHT - 6}" class="axis mid">{escape(histogram.axis)}</text></svg>'
    )


def _steps(x: Floats, shares: Floats, top: float, up: int) -> str:
    base = _TOP + up
    points = [f"M{x[0]:.1f} {base}"]
    for left, right, share in zip(x[:-1], x[1:], shares, strict=True):
        y = base - up * min(share / top, 1)
        points.append(f"L{left:.1f} {y:.1f}L{right:.1f} {y:.1f}")
    return "".join([*points, f"L{x[-1]:.1f} {base}"])


def _grid(top: float, across: int, up: int) -> str:
    made = []
    for part in (0.0, 0.5, 1.0):
        y = _TOP + up * (1 - part)
        made.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + across}" y1="{y:.1f}" y2="{y:.1f}"/>')
        made.append(f'<text class="axis end" x="{_LEFT - 6}" y="{y + 4:.1f}">{top * part:.3g}&#8239;%</text>')
    return "".join(made)


def _ticks(histogram: _Histogram, x: Floats) -> str:
    places = np.linspace(0, len(x) - 1, 5).round().astype(int)
    sides = ("", "mid", "mid", "mid", "end")
    return "".join(
        f'<text class="axis {side}" x="{x[place]:.1f}" y="{_HEIGHT - _BOTTOM + 18}">'
        f"{escape(histogram.words(float(histogram.edges[place])))}</text>"
        for place, side in zip(places, sides, strict=True)
    )


def _round_up(top: float) -> float:
    """The next round number: what an axis ends at."""
    if top <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(top))
    return float(next(step * power for step in (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10) if step * power >= top * 0.999))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
