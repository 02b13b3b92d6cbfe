"""What an export said of the images, held against what the source bundle says of them: pixels first, where it made them
by itself, then probabilities and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle
from cxr.compare.parity.images import ImageSet
from cxr.compare.parity.nouns import (
    KNOWN_DIFFERENCES,
    PIXEL_TOLERANCE,
    Difference,
    FormatCheck,
    KnownDifference,
    Reading,
    Runtime,
    Scores,
    Verdict,
    compared,
    compared_pixels,
)
from cxr.local_baseline.exports.nouns import Format

#: So many files that cannot be read are named.
NAMED_FILES = 5


@dataclass(frozen=True)
class Reference:
    """The images that exports are verified with, and the source bundle's probabilities of them: golden images, then
    those of the split."""

    golden: ImageSet
    split: ImageSet | None
    scores: Scores

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """uint8 [N, H, W, C], as Python makes them."""
        return np.concatenate([self.golden.pixels, self.split.pixels]) if self.split else self.golden.pixels

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, in the same order; of a split in a bucket none."""
        return (*self.golden.files, *(self.split.files if self.split else ()))

    def within(self, kept: Sequence[int]) -> Reference:
        """Only the golden images with these numbers, and of a split only one whose files are here."""
        golden = ImageSet(self.golden.pixels[list(kept)], tuple(self.golden.files[number] for number in kept))
        split = self.split if self.split and self.split.files else None
        rows = [*kept, *range(len(self.golden), len(self.golden) + (len(split) if split else 0))]
        return Reference(golden, split, replace(self.scores, probabilities=self.scores.probabilities[rows]))


def judged(form: Format, export: Bundle, runtime: Runtime, reference: Reference, scores: Scores) -> FormatCheck:
    """The probabilities of the reference's images, in its order, at the format's tolerance."""
    ours, theirs, at = reference.scores.probabilities, scores.probabilities, len(reference.golden)
    golden = compared(ours[:at], theirs[:at], export)
    split = compared(ours[at:], theirs[at:], export) if reference.split else None
    why = _excess(form, golden, split)
    verdict = Verdict.FAILED if why else Verdict.PASSED
    return FormatCheck(form, export, runtime, verdict, golden=golden, split=split, cost=scores.cost, why=why)


def judged_reading(
    form: Format, export: Bundle, runtime: Runtime, reference: Reference, reading: Reading
) -> FormatCheck:
    """What a runtime made of the reference's files: its pixels must be Python's to the last level, but for the known
    differences, which are held to their own; its probabilities are judged as `judged` does."""
    if reading.unreadable:
        return FormatCheck(form, export, runtime, Verdict.FAILED, cost=reading.cost, why=_unread(reference, reading))
    known = KNOWN_DIFFERENCES.get(runtime, {})
    kept = [number for number, path in enumerate(reference.golden.files) if path.name not in known]
    within = reference.within(kept)
    rows = [*kept, *range(len(reference.golden), len(reading.pixels))]
    pixels = compared_pixels(within.pixels, reading.pixels[rows])
    check = judged(form, export, runtime, within, Scores(reading.probabilities[rows], reading.cost))
    faults, left_out = [], []
    if pixels.largest > PIXEL_TOLERANCE:
        faults.append(f"its own pixels differ by up to {pixels.largest} levels")
    for number, path in enumerate(reference.golden.files):
        if path.name in known:
            found = compared_pixels(reference.golden.pixels[number], reading.pixels[number]).largest
            left_out.append(_known(path, known[path.name], found))
            if found > known[path.name].levels:
                faults.append(f"{path.name} differs by {found} levels, {known[path.name].levels} are known")
    check = replace(check, pixels=pixels, left_out=tuple(left_out))
    if not faults:
        return check
    return replace(check, verdict=Verdict.FAILED, why="; ".join(filter(None, [*faults, check.why])))


def _known(path: Path, known: KnownDifference, found: int) -> str:
    return f"{path.name} ({known.words}: {found} of at most {known.levels} levels)"


def _unread(reference: Reference, reading: Reading) -> str:
    names = [f"{reference.files[number].name} ({why})" for number, why in reading.unreadable.items()]
    more = f" and {len(names) - NAMED_FILES} more" if len(names) > NAMED_FILES else ""
    return f"it cannot read {', '.join(names[:NAMED_FILES])}{more}"


def _excess(form: Format, golden: Difference, split: Difference | None) -> str:
    """What is beyond the tolerance, in words; empty when nothing is. Golden images are no X-rays, and few: a call of
    theirs that lies at the threshold by chance would be many percent, so only the split's calls and mean count."""
    tolerance, words = form.tolerance, []
    for name, difference in (("golden images", golden), ("the split", split)):
        if difference is not None and not difference.largest <= tolerance.difference:
            words.append(f"{name}: off by up to {difference.largest:.2g}, {tolerance.difference:g} is allowed")
    judged_on = split or golden
    if not judged_on.mean <= tolerance.mean:
        words.append(f"off by {judged_on.mean:.2g} on average, {tolerance.mean:g} is allowed")
    if split is not None and split.flipped_share > tolerance.flipped:
        words.append(f"{split.flipped} of {split.images} calls flipped, {tolerance.flipped:.1%} is allowed")
    return "; ".join(words)
