"""What is explained, and the explanation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxr.local_baseline.explain.activations import ChannelGrid

#: Of an image whose label nobody knows.
UNKNOWN = ""


@dataclass(frozen=True)
class Case:
    """One image: its file's bytes, its label (UNKNOWN: none), the model's probability of each class, and the class that
    it was called at the bundle's threshold."""

    path: str
    data: bytes
    truth: str
    probabilities: Mapping[str, float]
    called: str

    @property
    def is_mistake(self) -> bool:
        """Whether it was called what it is not."""
        return self.truth not in {UNKNOWN, self.called}


@dataclass(frozen=True)
class Explanation:
    """The map of one case: `heat` float32 [height, width] of the original image, 0..1 of its `peak` (in log-odds for a
    class activation map, in units of its own for Grad-CAM; 0: nothing speaks for the class). `target` is the class
    whose evidence is shown, `log_odds` its evidence against all others, before any calibration."""

    case: Case
    target: str
    log_odds: float
    peak: float
    heat: npt.NDArray[np.float32]
    grids: tuple[ChannelGrid, ...]


@dataclass(frozen=True)
class Written:
    """An explanation on disk: paths relative to the report's folder."""

    explanation: Explanation
    overlay: str
    grids: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All of them, and the page."""

    folder: Path
    page: Path
    method: str
    layer: str
    layers: tuple[str, ...]
    written: tuple[Written, ...]
