"""Rules on labels: too few, too unlike, and the same picture under two of them."""

from __future__ import annotations

from typing import Final

import pandas as pd

from cxr.manifests.check.leaks import content_key
from cxr.manifests.check.nouns import Hits, Rule, counted
from cxr.manifests.manifest import Manifest

#: From here on plain accuracy says little and the loss wants weights.
WEIGHTS_FROM_RATIO: Final = 10


def _one_label(manifest: Manifest) -> Hits:
    if len(manifest.classes) < 2:
        yield f"there is only one label, {manifest.classes[0]!r}", ()


def _bytes_under_two_labels(manifest: Manifest) -> Hits:
    torn = _rows_under_two_labels(manifest, content_key(manifest.frame))
    if len(torn):
        count = counted(content_key(torn).nunique(), "image")
        yield f"{count}, byte for byte the same, under two labels", torn["path"]


def _near_duplicates_under_two_labels(manifest: Manifest) -> Hits:
    groups = manifest.frame["duplicate_group"]
    torn = _rows_under_two_labels(manifest, groups.where(groups.str.startswith("near:"), ""))
    if len(torn):
        count = counted(torn["duplicate_group"].nunique(), "group")
        yield f"{count} of near-duplicates under two labels: one of them is suspect", torn["path"]


def _rows_under_two_labels(manifest: Manifest, keys: pd.Series) -> pd.DataFrame:
    pairs = pd.DataFrame({"key": keys[keys != ""], "label": manifest.frame["label"]}).dropna().drop_duplicates()
    return manifest.frame[keys.isin(pairs["key"][pairs["key"].duplicated()])]


def _repeats(manifest: Manifest) -> Hits:
    keys = content_key(manifest.frame)
    surplus = (keys != "") & keys.duplicated()
    if surplus.any():
        words = f"{counted(int(surplus.sum()), 'byte-identical repeat')}; Vertex AI drops all but the first"
        yield words, manifest.frame["path"][surplus]


def _near_duplicate_groups(manifest: Manifest) -> Hits:
    frame = manifest.frame
    near = frame[frame["duplicate_group"].str.startswith("near:")]
    if len(near):
        count = counted(near["duplicate_group"].nunique(), "group")
        yield f"{count} of images that are nearly the same, {len(near):,} images in all", near["path"]


def _imbalance(manifest: Manifest) -> Hits:
    counts = manifest.split("train")["label"].value_counts()
    if len(counts) > 1 and counts.max() >= WEIGHTS_FROM_RATIO * counts.min():
        ratio = counts.max() / counts.min()
        yield f"{counts.idxmax()!r} has {ratio:,.0f} times as many train images as {counts.idxmin()!r}", ()


RULES: Final = (
    Rule("one-label", "error", "scan a folder with at least two labels", _one_label),
    Rule(
        "bytes-under-two-labels",
        "error",
        "decide for one label, delete the other file, then scan again",
        _bytes_under_two_labels,
    ),
    Rule(
        "near-duplicates-under-two-labels",
        "warning",
        "look at each pair (cxr data check --html FILE shows them), correct the label or delete one, then scan again",
        _near_duplicates_under_two_labels,
    ),
    Rule("repeated-images", "note", "nothing to do: copies stay together in one split", _repeats),
    Rule("near-duplicates", "note", "nothing to do: they stay together in one split", _near_duplicate_groups),
    Rule("imbalance", "note", "add images of the rarer label, or weight the classes", _imbalance),
)
