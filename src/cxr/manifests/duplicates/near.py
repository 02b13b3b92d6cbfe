"""Near-duplicates: the same radiograph re-encoded, resized, brightened or trimmed by a few per cent.

Candidates are pairs whose perceptual hashes are close; each is then verified by looking at both images again: grey
thumbnails without their frame and their slow shading, all parts brought to one contrast, the one fitted onto the other
by shifts of its edges (that undoes a crop), must correlate. The shading has to go because all chests are alike in it:
of 5,216 real radiographs, some pairs of different patients correlate to 0.97 with it, more than an image and its
own crop by 2 % do. The contrast, because white labels on dark images are all that counts otherwise: to 0.996.

Thresholds were measured on those 5,216 and on 110 unresized originals (benchmarks/near_duplicates.py): over all changes
above the fitted correlation of true pairs was at least 0.95, that of different patients' candidates at most 0.74; where
100 images share frames, labels or dark, the latter was at most 0.80.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from cxr.manifests.duplicates.perceptual_hash import coarse_and_fine

#: Bits of 64, and of 256, by which the hashes of a candidate pair may differ.
COARSE_BITS: Final = 10
FINE_BITS: Final = 56
#: The fitted correlation from which on two images are one.
MIN_CORRELATION: Final = 0.91
#: Pixels a side of the thumbnails that are compared.
SIDE: Final = 64
#: Candidates looked at, the closest first (3 ms each): only a folder of look-alikes (frames of one film) has more.
#: Four times as many are held at most while they are searched.
MAX_CANDIDATES: Final = 200_000

#: An edge of the one image may lie up to 2 pixels of 64 (3 %) inside or outside the other's.
_EDGE_SHIFTS: Final = np.arange(-2.0, 2.01, 0.5)
_MARGIN: Final = 4
_SHADING_RADIUS: Final = 4
#: Greys of local contrast that count as little: below, the rounding to whole greys would be magnified.
_LITTLE_CONTRAST: Final = 4.0
#: Pairs of hashes compared at a time: 4 MB, which stay in the cache.
_PAIRS_AT_ONCE: Final = 500_000

Thumbnail = npt.NDArray[np.uint8]
_Plane = npt.NDArray[np.float32]
#: Gives the grey thumbnail, uint8 [SIDE, SIDE], of the image with a sha256; None when it cannot be read any more.
ReadThumbnail = Callable[[str], Thumbnail | None]
#: Fitted correlation of a pair, by the sha256 of both (the smaller first).
Verdicts = Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """What a search came to: a verdict on every candidate whose images could be read, whether these were all, and the
    digest of the hashes that were searched (the same digest: the same candidates)."""

    verdicts: Verdicts
    complete: bool
    digest: str

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs (sha256) that show the same."""
        return [pair for pair, correlation in self.verdicts.items() if correlation >= MIN_CORRELATION]

    @property
    def cut_off(self) -> bool:
        """Whether MAX_CANDIDATES have a verdict and there were more: the same search would come to the same."""
        return not self.complete and len(self.verdicts) >= MAX_CANDIDATES


def find_near_duplicates(
    hashes: Mapping[str, str], read_thumbnail: ReadThumbnail, earlier: NearDuplicates | None = None
) -> NearDuplicates:
    """Search images with perceptual `hashes` (sha256 -> hash, both hex). What an `earlier` search has decided stands;
    candidates whose images it could not read are looked at again.

    The search compares all hashes with each other: 15 s of CPU for 100,000 images.
    """
    digest = hashlib.sha256("".join(sorted(f"{sha}{bits}" for sha, bits in hashes.items())).encode()).hexdigest()
    if earlier is not None and earlier.digest == digest and (earlier.complete or earlier.cut_off):
        return earlier
    shas = sorted(hashes)
    left, right, all_of_them = candidate_pairs([hashes[sha] for sha in shas], MAX_CANDIDATES)
    known = earlier.verdicts if earlier else {}
    pairs = [(shas[i], shas[j]) for i, j in zip(left.tolist(), right.tolist(), strict=True)]
    verdicts = {pair: known[pair] for pair in pairs if pair in known}
    verdicts.update(_judge([pair for pair in pairs if pair not in verdicts], read_thumbnail))
    return NearDuplicates(verdicts, all_of_them and len(verdicts) == len(pairs), digest)


def candidate_pairs(
    hashes: Sequence[str], most: int = MAX_CANDIDATES
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], bool]:
    """The numbers (i < j) of the pairs within COARSE_BITS and FINE_BITS of each other, the `most` closest, the closest
    first; and whether these are all."""
    count = len(hashes)
    if count < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), True
    # One number a pair, in the order of closeness: bits, then i, then j.
    parts: list[npt.NDArray[np.int64]] = []
    held, dropped = 0, False
    for left, right, bits in _close(*coarse_and_fine(list(hashes))):
        parts.append((bits * count + left) * count + right)
        held += len(bits)
        if held > 4 * most:
            parts = [np.partition(np.concatenate(parts), most)[:most]]
            held, dropped = most, True
    keys = np.sort(np.concatenate(parts))
    left, right = np.divmod(keys[:most] % count**2, count)
    return left, right, not dropped and len(keys) <= most


def fitted_correlation(one: Thumbnail, other: Thumbnail) -> float:
    """Pearson's correlation, -1 to 1, of two grey thumbnails (uint8 [SIDE, SIDE]) without their shading, at the best
    fit of `one` onto `other`; 0 when one of them is flat."""
    plane = _without_shading(one)
    target = _normalised(_without_shading(other)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]).reshape(-1)
    fits = _fits()
    columns = rows = fits[len(fits) // 2]
    best = 0.0
    for _ in range(2):
        # Columns and rows move apart from each other: two searches in turn instead of one over all combinations.
        scores = _normalised((rows.T @ plane) @ fits).reshape(len(fits), -1) @ target
        columns = fits[int(scores.argmax())]
        scores = _normalised(fits.transpose(0, 2, 1) @ (plane @ columns)).reshape(len(fits), -1) @ target
        rows = fits[int(scores.argmax())]
        best = float(scores.max())
    return best


def _close(
    coarse: npt.NDArray[np.uint64], fine: npt.NDArray[np.uint64]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    count = len(coarse)
    start = 0
    while start < count:
        stop = min(count, start + max(1, _PAIRS_AT_ONCE // (count - start)))
        near = np.bitwise_count(coarse[start:stop, None] ^ coarse[None, start:]) <= COARSE_BITS
        left, right = (places + start for places in np.nonzero(near))
        left, right = left[left < right], right[left < right]
        bits = np.bitwise_count(fine[left] ^ fine[right]).sum(axis=1, dtype=np.int64)
        keep = bits <= FINE_BITS
        yield left[keep], right[keep], bits[keep]
        start = stop


def _judge(pairs: Sequence[tuple[str, str]], read_thumbnail: ReadThumbnail) -> Iterator[tuple[tuple[str, str], float]]:
    thumbnails: dict[str, Thumbnail | None] = {}
    for pair in pairs:
        for sha in pair:
            if sha not in thumbnails:
                thumbnails[sha] = read_thumbnail(sha)
        one, other = (thumbnails[sha] for sha in pair)
        if one is not None and other is not None:
            yield pair, round(fitted_correlation(one, other), 4)


@cache
def _shading() -> _Plane:
    """The matrix that averages over a window along one side."""
    places = np.arange(SIDE)
    window = (np.abs(places[:, None] - places[None]) <= _SHADING_RADIUS).astype(np.float32)
    return np.asarray(window / window.sum(axis=1, keepdims=True), dtype=np.float32)


@cache
def _fits() -> _Plane:
    """For each pair of edge shifts the matrix [SIDE, inner] that samples a side linearly; no shift is in the middle."""
    inner = np.arange(_MARGIN, SIDE - _MARGIN)
    made = []
    for first in _EDGE_SHIFTS:
        for last in _EDGE_SHIFTS:
            at = inner + first + (last - first) * inner / (SIDE - 1)
            below = np.floor(at).astype(np.int64)
            matrix = np.zeros((SIDE, len(inner)), np.float32)
            matrix[below, np.arange(len(inner))] = 1 - (at - below)
            matrix[below + 1, np.arange(len(inner))] += at - below
            made.append(matrix)
    return np.stack(made)


def _without_shading(thumbnail: Thumbnail) -> _Plane:
    """Without slow changes, and all parts of the same contrast: a white label weighs no more than the chest beside."""
    plane = thumbnail.astype(np.float32)
    detail = plane - _mean_around(plane)
    return np.asarray(detail / (np.sqrt(_mean_around(detail * detail)) + _LITTLE_CONTRAST), dtype=np.float32)


def _mean_around(plane: _Plane) -> _Plane:
    return np.asarray(_shading() @ plane @ _shading().T, dtype=np.float32)


def _normalised(planes: _Plane) -> _Plane:
    """Mean 0 and length 1 over the last two axes; zeros for a flat plane."""
    centred = planes - planes.mean(axis=(-2, -1), keepdims=True)
    length = np.sqrt((centred * centred).sum(axis=(-2, -1), keepdims=True))
    return np.asarray(centred / np.where(length > 1e-3, length, np.inf), dtype=np.float32)
