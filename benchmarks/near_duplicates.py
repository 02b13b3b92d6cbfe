"""How many changed copies of real radiographs are found as near-duplicates, and how many look-alikes are joined.

Copies are made of 400 of the X-rays and of all unresized originals in ../shared/data, by each of CHANGES. Prints the
share found, by change; the verdicts on all X-rays as they are (nothing there is a copy but the byte-identical ones);
the same two for 100 X-rays by each of SURROUNDINGS, which all of them then share; and the seconds that the search of
100,000 hashes takes.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cxr.manifests.duplicates.near import (
    MIN_CORRELATION,
    SIDE,
    candidate_pairs,
    find_near_duplicates,
    fitted_correlation,
)
from cxr.manifests.duplicates.perceptual_hash import HEX_DIGITS, perceptual_hash, thumbnail
from cxr.manifests.scan.folder import scan_with_record

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
COPIED = 400
SURROUNDED = 100
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


def _framed(image: Image.Image, share: float, grey: int) -> Image.Image:
    plate = Image.new("L", (512, 512), grey)
    wide = round(512 * share)
    plate.paste(image.convert("L").resize((512 - 2 * wide, 512 - 2 * wide)), (wide, wide))
    return plate


def _small_field(image: Image.Image) -> Image.Image:
    plate = Image.new("L", (1024, 1024), 0)
    plate.paste(image.convert("L").resize((400, 400)), (312, 312))
    return plate


def _dark(image: Image.Image) -> Image.Image:
    return image.convert("L").resize((512, 512)).point([int(value * 0.15) for value in range(256)])


def _labelled(image: Image.Image) -> Image.Image:
    image = image.convert("L").resize((512, 512))
    draw = ImageDraw.Draw(image)
    draw.rectangle((10, 10, 200, 50), fill=255)
    draw.rectangle((400, 10, 505, 50), fill=255)
    draw.text((20, 470), "HOSPITAL GENERAL", fill=255, font_size=40)
    return image


def _round(image: Image.Image) -> Image.Image:
    mask, plate = Image.new("L", (512, 512), 0), Image.new("L", (512, 512), 0)
    ImageDraw.Draw(mask).ellipse((20, 20, 492, 492), fill=255)
    plate.paste(image.convert("L").resize((512, 512)), (0, 0), mask)
    return plate


SURROUNDINGS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "black frame, 12 %": lambda image: _framed(image, 0.12, 0),
    "black frame, 30 %": lambda image: _framed(image, 0.3, 0),
    "white frame, 20 %": lambda image: _framed(image, 0.2, 255),
    "frame with labels": lambda image: _labelled(_framed(image, 0.12, 0)),
    "small field": _small_field,
    "round collimator": _round,
    "labels": _labelled,
    "dark": _dark,
    "dark with labels": lambda image: _labelled(_dark(image)),
    "dark in a frame": lambda image: _framed(_dark(image), 0.12, 0),
}


def main() -> None:
    """Measure and print."""
    if (DATA / "chest_xray").is_dir():
        files = sorted((DATA / "chest_xray").rglob("*.jpeg"))
        drawn = random.Random(7).sample(files, min(COPIED, len(files)))
        _measure_recall("X-rays at 224 pixels", drawn)
        _measure_recall("unresized originals", sorted((DATA / "originals").rglob("*.jpeg")))
        _measure_false_pairs()
        for name, surround in SURROUNDINGS.items():
            _measure_surrounded(name, [surround(Image.open(path)) for path in drawn[:SURROUNDED]])
    else:
        print("the real X-rays are not here: recall and false pairs not measured")
    _measure_search()


def _measure_recall(kind: str, files: list[Path]) -> None:
    print(f"{kind}: {len(files)} images")
    for name, change in CHANGES.items():
        judged = [_judge_copy(Image.open(path), change) for path in files]
        found, lowest = sum(one for one, _ in judged) / len(judged), min(value for _, value in judged)
        print(f"  {name:18s} found {found:6.1%}, lowest correlation {lowest:.3f}")


def _judge_copy(image: Image.Image, change: Callable[[Image.Image], Image.Image]) -> tuple[bool, float]:
    """Whether a changed copy is found, and its correlation with the image."""
    pair = (image, change(image))
    correlation = fitted_correlation(*(np.asarray(thumbnail(one, SIDE)) for one in pair))
    candidates = len(candidate_pairs([perceptual_hash(one) for one in pair])[0])
    return bool(candidates) and correlation >= MIN_CORRELATION, correlation


def _measure_surrounded(name: str, images: list[Image.Image]) -> None:
    thumbnails = {f"{number:064x}": np.asarray(thumbnail(image, SIDE)) for number, image in enumerate(images)}
    hashes = dict(zip(thumbnails, map(perceptual_hash, images), strict=True))
    near = find_near_duplicates(hashes, thumbnails.__getitem__)
    highest = max(near.verdicts.values(), default=0.0)
    print(f"{len(images)} X-rays, {name}: {len(near.verdicts):,} candidates, {len(near.pairs)} joined", end=", ")
    print(f"highest correlation {highest:.3f}; their copies found (lowest correlation):")
    parts = []
    for change_name, change in CHANGES.items():
        judged = [_judge_copy(image, change) for image in images]
        found, lowest = sum(one for one, _ in judged) / len(judged), min(value for _, value in judged)
        parts.append(f"{change_name} {found:.0%} ({lowest:.2f})")
    print("  " + ", ".join(parts))


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
