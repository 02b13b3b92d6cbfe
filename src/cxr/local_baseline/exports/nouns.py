"""What an exporter is given, and what formats are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cxr.bundle import ModelFormat, Preprocessing
from cxr.local_baseline.images.preprocess import Pixels


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far an export may be from the Keras model: the largest and the mean difference of a probability, and the
    largest share of images that are called otherwise at the bundle's threshold (0 to 1).

    With few bits the largest difference of many images says little: it grows with their number, and a calibrated net is
    steep where it is in doubt. There the mean and the calls decide, and the largest is reported.
    """

    difference: float
    mean: float = 1.0
    flipped: float = 0.0


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the registry.

    `exporter` is a module of this package with `export(shipment, path)`, imported when it is needed; it writes the
    shipment's `form` to `model_path`, which is relative to the bundle. `packages` (import names) come with the extra
    `extra`. `needs_representative`: its 8-bit ranges are set by training images. `own_process`: its converter talks,
    or changes the process that it runs in. `words` tell users what it is for.
    """

    name: str
    model_format: ModelFormat
    exporter: str
    model_path: str
    tolerance: Tolerance
    words: str
    form: str = ""
    packages: tuple[str, ...] = ()
    extra: str = "export"
    needs_representative: bool = False
    own_process: bool = False


@dataclass(frozen=True)
class Shipment:
    """A model on its way into one format. `model` is a Keras model from whole numbers 0..255, float32 [N, H, W, C], to
    calibrated probabilities float32 [N, classes] in the order of `labels`; `mapped` is the same with a second output,
    `maps` float32 [N, h, w, classes], where the net has such maps. `representative` are training images, uint8
    [N, H, W, C], for those formats that need them; `form` is the format's."""

    model: Any
    labels: tuple[str, ...]
    contract: Preprocessing
    name: str
    description: str = ""
    mapped: Any | None = None
    representative: Pixels | None = None
    form: str = ""
