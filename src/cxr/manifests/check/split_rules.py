"""Rules on the splits themselves: there, large enough, with every label, and what is in none of them."""

from __future__ import annotations

from typing import Final

from cxr.manifests.check.nouns import Hits, Rule, counted
from cxr.manifests.manifest import SPLITS, Manifest
from cxr.manifests.splits.groups import group_keys

#: Below this one image is worth more than two percentage points.
MIN_JUDGING_IMAGES: Final = 50
#: Labels named in one message; the rest is counted.
NAMED_LABELS: Final = 5

_SPLIT_AGAIN: Final = "make a grouped split: cxr data split"
_KEEP_ASIDE: Final = "keep some patients' images aside in a test folder, then scan again"


def _train(manifest: Manifest) -> Hits:
    if manifest.split("train").empty:
        yield "there is no train split to learn from", ()


def _validation(manifest: Manifest) -> Hits:
    if manifest.split("validation").empty:
        yield "there is no validation split to choose a model or a threshold on", ()
    else:
        yield from _too_small(manifest, "validation")


def _test(manifest: Manifest) -> Hits:
    if manifest.split("test").empty:
        yield "there is no test split: no result can be reported", ()
    else:
        yield from _too_small(manifest, "test")


def _too_small(manifest: Manifest, split: str) -> Hits:
    count = len(manifest.split(split))
    if count < MIN_JUDGING_IMAGES:
        yield (
            f"the {split} split has {counted(count, 'image')}: one image is {100 / count:.1f} percentage points",
            (),
        )


def _labels(manifest: Manifest) -> Hits:
    for split in SPLITS:
        counts = manifest.header.counts.get(split)
        absent = [label for label in manifest.classes if not counts.get(label)] if counts else []
        if absent:
            more = f" and {len(absent) - NAMED_LABELS:,} more" if len(absent) > NAMED_LABELS else ""
            yield f"the {split} split has no image of {', '.join(map(repr, absent[:NAMED_LABELS]))}{more}", ()


def _unused(manifest: Manifest) -> Hits:
    unused = manifest.frame["split"] == ""
    if not unused.any():
        return
    groups = group_keys(manifest.frame)
    tied = int(groups[unused].isin(set(groups[manifest.frame["split"] == "test"])).sum())
    words = f"{counted(int(unused.sum()), 'image')} in no split"
    if tied:
        which = "" if tied == unused.sum() else f" of {tied:,} of them"
        words += f" (the patients or duplicates{which} also occur in test)"
    yield words, manifest.frame["path"][unused]


RULES: Final = (
    Rule("train-split", "error", "put images into a train folder, then scan again", _train),
    Rule("validation-split", "warning", _SPLIT_AGAIN, _validation),
    Rule("test-split", "warning", _KEEP_ASIDE, _test),
    Rule("label-missing-in-split", "warning", "split anew by patient, or add images of this label", _labels),
    Rule("unused-images", "note", "nothing to do where it was meant: nothing may learn from them", _unused),
)
