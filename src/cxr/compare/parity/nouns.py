"""What a verification is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle
from cxr.local_baseline.exports.nouns import Format

#: What a verification leaves beside the exports.
VERIFICATION_FILE = "verification.json"
SCHEMA = "cxr.export.verification"
#: Raised whenever a field changes its meaning or goes.
SCHEMA_VERSION = 1

Probabilities = NDArray[np.float64]

#: Levels of 0..255 that a decoded and resized pixel may be off by: none, all are held to the same arithmetic.
PIXEL_TOLERANCE = 0


class Runtime(StrEnum):
    """Where an export was run."""

    TENSORFLOW = "TensorFlow"
    LITERT = "LiteRT"
    ONNX = "onnxruntime"
    NODE = "Node"
    CHROMIUM = "Chromium"


class Verdict(StrEnum):
    """What became of a format."""

    PASSED = "passed"
    #: Nothing wrong on golden images, and no split was scored.
    GOLDEN_ONLY = "golden only"
    FAILED = "failed"
    #: Beyond its tolerance, and taken nevertheless because the user said so.
    ALLOWED = "allowed"
    #: It cannot be run on this machine.
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class PixelDifference:
    """Of images that a runtime decoded and resized by itself, against Python's: the largest difference in levels, and
    the share of values that differ at all."""

    images: int
    largest: int
    share: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Probabilities against the source bundle's: largest and mean absolute difference over all images and classes, and
    how many images are called otherwise at the bundle's threshold."""

    images: int
    largest: float
    mean: float
    flipped: int

    @property
    def flipped_share(self) -> float:
        """Share of images that are called otherwise."""
        return self.flipped / self.images if self.images else 0.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What running it takes: milliseconds for one image, median and 95th percentile, and the peak resident memory of
    the process that ran it, in megabytes (None where it is not known)."""

    median_ms: float
    p95_ms: float
    peak_mb: float | None


@dataclass(frozen=True, slots=True)
class Scores:
    """What one run of a model gave: probabilities [N, classes] of the images that were asked for, and its cost."""

    probabilities: Probabilities
    cost: Cost


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model that takes image files made of them: its own pixels, uint8 [N, H, W, C], and probabilities
    [N, classes]; `unreadable` says of a file (by its number) why it was not read, and what stands in its rows is of no
    account."""

    pixels: NDArray[np.uint8]
    probabilities: Probabilities
    unreadable: Mapping[int, str]
    cost: Cost


@dataclass(frozen=True, slots=True)
class KnownDifference:
    """A golden image that a runtime decodes otherwise, why, and by how many levels of 0..255 at most."""

    words: str
    levels: int


#: Where a runtime's own decoder is known to differ. These images are held to their levels, and their probabilities are
#: not judged; all others must be right to the last level. Measured with TensorFlow 2.21 and Chromium 150.
KNOWN_DIFFERENCES: Mapping[Runtime, Mapping[str, KnownDifference]] = {
    Runtime.TENSORFLOW: {
        "grey-16-bit.png": KnownDifference("the upper 8 of 16 bits are kept, not rounded", 1),
        "cmyk.jpeg": KnownDifference("CMYK is made RGB in another rounding", 2),
    },
    Runtime.CHROMIUM: {"cmyk.jpeg": KnownDifference("CMYK is made RGB in another rounding", 2)},
}


@dataclass(frozen=True, slots=True)
class FormatCheck:
    """One export in one runtime, by one `signature` where it has several. `golden` and `split` are None where it was
    not run; `why` says what is wrong, or why it could not be run; `left_out` names golden images that were not judged
    like the others, with the reason."""

    format: Format
    bundle: Bundle
    runtime: Runtime | None
    verdict: Verdict
    pixels: PixelDifference | None = None
    golden: Difference | None = None
    split: Difference | None = None
    cost: Cost | None = None
    why: str = ""
    signature: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Runtime and signature in words."""
        runtime = self.runtime.value if self.runtime else "not run"
        return f"{runtime}, {self.signature}" if self.signature else runtime


@dataclass(frozen=True, slots=True)
class Verification:
    """All exports of one bundle, against it. `split` names the split of the manifest `manifest_hash` (empty: only
    golden images)."""

    source: Bundle
    folder: Path
    reference: Cost
    checks: tuple[FormatCheck, ...]
    golden_images: int
    split: str
    split_images: int
    manifest_hash: str
    created: datetime
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[FormatCheck, ...]:
        """Checks that keep a format from being shipped."""
        return tuple(check for check in self.checks if check.verdict is Verdict.FAILED)


def compared(ours: Probabilities, theirs: Probabilities, bundle: Bundle) -> Difference:
    """`theirs` against `ours`, both [N, classes], at the threshold of the bundle."""
    gaps = np.abs(ours - theirs)
    flipped = int(np.sum(decisions(ours, bundle) != decisions(theirs, bundle)))
    return Difference(len(ours), float(gaps.max(initial=0.0)), float(gaps.mean()) if gaps.size else 0.0, flipped)


def decisions(probabilities: Probabilities, bundle: Bundle) -> NDArray[np.int64]:
    """The class that each image is called: of two the positive one from the threshold on, of more the likeliest."""
    info = bundle.info
    if len(info.classes) != 2:
        return np.asarray(probabilities.argmax(axis=1), np.int64)
    positive = info.classes.index(info.positive_class)
    called = probabilities[:, positive] >= info.threshold.value
    return np.where(called, positive, 1 - positive).astype(np.int64)


def compared_pixels(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> PixelDifference:
    """Pixels [N, H, W, C] against ours."""
    gaps = np.abs(ours.astype(np.int16) - theirs.astype(np.int16))
    return PixelDifference(len(ours), int(gaps.max(initial=0)), float(np.mean(gaps > 0)) if gaps.size else 0.0)
