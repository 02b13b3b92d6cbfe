"""How many changed copies of real radiographs are found as near-duplicates, and how many look-alikes are joined.

Copies are made of 400 of the X-rays and of all unresized originals in ../shared/data, by each of CHANGES. Prints the
share found, by change; the verdicts on all X-rays as they are (nothing there is a copy but the byte-identical ones);
and the seconds that the search of 100,000 hashes takes.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from cxr.manifests.near_duplicates import MIN_CORRELATION, SIDE, candidate_pairs, fitted_correlation
from cxr.manifests.perceptual_hash import HEX_DIGITS, perceptual_hash, thumbnail
from cxr.manifests.scan import scan_with_record

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
COPIED = 400
MANY = 100_000


def _saved(image: Image.Image, quality: int = 90) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue()))


def _trimmed(image: Image.Image, share: float, *, all_sides: bool) -> Image.Image:
    width, height = image.size
    across, down = max(1, round(width * share)), max(1, round(height * share))
    return image.crop((across, down, width - across * all_sides, height - down * all_sides))


def _brighter(image: Image.Image, factor: float) -> Image.Image:
    return image.point([min(255, round(value * factor)) for value in range(256)] * len(image.getbands()))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "quality 50": lambda image: _saved(image, 50),
    "quality 75": lambda image: _saved(image, 75),
    "quality 95": lambda image: _saved(image, 95),
    "half size": lambda image: _saved(image.resize((image.width // 2, image.height // 2))),
    "1 % off all sides": lambda image: _saved(_trimmed(image, 0.01, all_sides=True)),
    "1 % off two sides": lambda image: _saved(_trimmed(image, 0.01, all_sides=False)),
    "2 % off all sides": lambda image: _saved(_trimmed(image, 0.02, all_sides=True)),
    "2 % off two sides": lambda image: _saved(_trimmed(image, 0.02, all_sides=False)),
    "5 % darker": lambda image: _saved(_brighter(image, 0.95)),
    "5 % brighter": lambda image: _saved(_brighter(image, 1.05)),
}


def main() -> None:
    """Measure and print."""
    if (DATA / "chest_xray").is_dir():
        files = sorted((DATA / "chest_xray").rglob("*.jpeg"))
        _measure_recall("X-rays at 224 pixels", random.Random(7).sample(files, min(COPIED, len(files))))
        _measure_recall("unresized originals", sorted((DATA / "originals").rglob("*.jpeg")))
        _measure_false_pairs()
    else:
        print("the real X-rays are not here: recall and false pairs not measured")
    _measure_search()


def _measure_recall(kind: str, files: list[Path]) -> None:
    print(f"{kind}: {len(files)} images")
    for name, change in CHANGES.items():
        found, lowest = 0, 1.0
        for path in files:
            with Image.open(path) as image:
                image.load()
                copy = change(image)
                correlation = fitted_correlation(*(np.asarray(thumbnail(one, SIDE)) for one in (image, copy)))
                candidates = len(candidate_pairs([perceptual_hash(image), perceptual_hash(copy)])[0])
            lowest = min(lowest, correlation)
            found += bool(candidates) and correlation >= MIN_CORRELATION
        print(f"  {name:18s} found {found / len(files):6.1%}, lowest correlation {lowest:.3f}")


def _measure_false_pairs() -> None:
    near = scan_with_record(DATA / "chest_xray").record.near
    assert near is not None
    values = sorted(near.verdicts.values())
    print(f"all X-rays: {len(values)} candidates, {len(near.pairs)} joined, highest correlations {values[-3:]}")


def _measure_search() -> None:
    # Clustered like real ones: each is one of 5,000 with a quarter of its bits drawn anew.
    draw = np.random.default_rng(7)
    bases = draw.integers(0, 256, (5000, HEX_DIGITS // 2), dtype=np.uint8)
    noise = draw.integers(0, 256, (2, MANY, HEX_DIGITS // 2), dtype=np.uint8)
    hashes = [row.tobytes().hex() for row in bases[draw.integers(0, 5000, MANY)] ^ (noise[0] & noise[1])]
    start = time.process_time()
    pairs = len(candidate_pairs(hashes)[0])
    print(f"search of {MANY:,} hashes: {time.process_time() - start:.1f} s of CPU, {pairs:,} candidates")


if __name__ == "__main__":
    main()
