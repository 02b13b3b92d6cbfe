"""Known data sets: do the counts agree with the published ones, so that published results may be compared?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cxr.manifests.check.nouns import Hits, Rule, counted
from cxr.manifests.manifest import Manifest
from cxr.manifests.patients.keys import PATTERNS

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """A release: its images by split and label as published, and where that is said."""

    name: str
    source: str
    counts: Counts

    @property
    def pool(self) -> dict[str, int]:
        """Images by label of train and validation together: what a validation split is made of."""
        return _pool(self.counts)

    @property
    def images(self) -> int:
        """All images."""
        return sum(sum(labels.values()) for labels in self.counts.values())


#: Kermany et al., Cell 172 (2018) 1122-1131. Mendeley Data has the images in train and test; the Kaggle copy
#: (paultimothymooney/chest-xray-pneumonia) keeps 16 of the train images in a folder val.
KAGGLE: Final = PublishedSet(
    "Kaggle release of Kermany 2018",
    "kaggle.com/paultimothymooney/chest-xray-pneumonia",
    {
        "train": {"NORMAL": 1341, "PNEUMONIA": 3875},
        "validation": {"NORMAL": 8, "PNEUMONIA": 8},
        "test": {"NORMAL": 234, "PNEUMONIA": 390},
    },
)
MENDELEY: Final = PublishedSet(
    "Mendeley release of Kermany 2018",
    "Kermany et al., Cell 172 (2018) 1122-1131",
    {"train": {"NORMAL": 1349, "PNEUMONIA": 3883}, "test": {"NORMAL": 234, "PNEUMONIA": 390}},
)
#: Names by which a release is recognised when at least this share of the images has them.
RECOGNISED_FROM: Final = 0.99


def known_release(manifest: Manifest) -> PublishedSet | None:
    """The release that the file names and labels look like; None for other data.

    By names alone it cannot be told from a part of it, or from a set drawn in its likeness; more
    images are another set.
    """
    if manifest.classes != ("NORMAL", "PNEUMONIA") or len(manifest.frame) > KAGGLE.images:
        return None
    stems = manifest.frame["path"].str.extract(r"([^/]*?)(?:\.[^./]*)?$", expand=False)
    kaggle = "|".join(_without_names(pattern.pattern.pattern) for pattern in PATTERNS if "kermany" in pattern.name)
    if stems.str.fullmatch(kaggle).mean() >= RECOGNISED_FROM:
        return KAGGLE
    if stems.str.fullmatch(r"(?:NORMAL|BACTERIA|VIRUS)-[0-9]+-[0-9]+").mean() >= RECOGNISED_FROM:
        return MENDELEY
    return None


def _without_names(pattern: str) -> str:
    """The pattern with its groups unnamed: two patterns joined may not name a group alike."""
    return f"(?:{re.sub(r'[?]P<[a-z]+>', '?:', pattern)})"


def _counts(manifest: Manifest) -> Hits:
    release = known_release(manifest)
    if release is None:
        return
    counts = manifest.header.counts
    as_released = _filled(counts) == _filled(release.counts)
    pool, test = _pool(counts), dict(counts.get("test", {}))
    if as_released or (pool == release.pool and test == dict(release.counts["test"])):
        how = "counts" if as_released else "counts (train and validation together, and test)"
        yield f"the {how} are those of the {release.name}: {_words(release.counts)}{_junk(manifest)}", ()
        return
    if _changed_test(manifest, release):
        return  # the other rule's word
    differ = [
        f"{label} in {side} {found.get(label, 0):,} instead of {published.get(label, 0):,}"
        for side, found, published in (
            ("train and validation", pool, release.pool),
            ("test", test, release.counts["test"]),
        )
        for label in ("NORMAL", "PNEUMONIA")
        if found.get(label, 0) != published.get(label, 0)
    ]
    yield (
        f"named like the {release.name}, but with {len(manifest.frame):,} of {release.images:,} images"
        f" ({'; '.join(differ)}): results on this part are not comparable with published ones{_junk(manifest)}",
        (),
    )


def _test_changed(manifest: Manifest) -> Hits:
    release = known_release(manifest)
    if release is not None and _changed_test(manifest, release):
        found, published = len(manifest.split("test")), sum(release.counts["test"].values())
        yield (
            f"all {release.images:,} images of the {release.name} are here, but test has {found:,} instead of the"
            f" published {published:,}: results are not comparable with published ones",
            (),
        )


def _changed_test(manifest: Manifest, release: PublishedSet) -> bool:
    whole = len(manifest.frame) == release.images
    return whole and dict(manifest.header.counts.get("test", {})) != dict(release.counts["test"])


def _junk(manifest: Manifest) -> str:
    """Why other tools count more, where leftovers lie in the folders."""
    junk = sum(found.rule == "junk" for found in manifest.header.problems)
    if not junk:
        return ""
    return (
        f"; {counted(junk, 'leftover')} of a desktop (.DS_Store) in the folders {'is' if junk == 1 else 'are'} not"
        " counted here: tools that list the folders count one more for each"
    )


def _pool(counts: Counts) -> dict[str, int]:
    # Images in no split came out of the pool: their patients also occur in test.
    sides = [counts.get(split, {}) for split in ("train", "validation", "unused")]
    labels = sorted({label for side in sides for label in side})
    return {label: sum(side.get(label, 0) for side in sides) for label in labels}


def _filled(counts: Counts) -> dict[str, dict[str, int]]:
    return {split: dict(sorted(labels.items())) for split, labels in sorted(counts.items())}


def _words(counts: Counts) -> str:
    return ", ".join(f"{split} {'/'.join(f'{n:,}' for n in labels.values())}" for split, labels in counts.items())


RULES: Final = (
    Rule("published-counts", "note", "nothing to do: say with every result which images it was measured on", _counts),
    Rule(
        "published-test-changed",
        "warning",
        "scan the original folders again and split with the official test: cxr data split",
        _test_changed,
    ),
)
