"""Whether what a model learned from holds images or patients of what it is judged on."""

from __future__ import annotations

from dataclasses import dataclass

from cxr.manifests.check.leaks import content_key
from cxr.manifests.manifest import Manifest
from cxr.manifests.patients.keys import UNKNOWN_PREFIX

LEARNED_FROM = ("train", "validation")
#: How many paths are told as examples.
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Overlap:
    """Images of the judged split that show the same bytes, or nearly the same image, as an image that the model
    learned from, and patients who are in both. `examples` are paths of the judged split."""

    split: str
    images: int
    patients: int
    examples: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing of the judged split was learned from."""
        return not self.images and not self.patients


def overlap_with(learned: Manifest, judged: Manifest, split: str) -> Overlap:
    """What `split` of `judged` shares with train and validation of `learned` (which may be the same manifest): by
    checksum, by duplicate group where both are one manifest, and by patient key."""
    source = learned.frame[learned.frame["split"].isin(LEARNED_FROM)]
    rows = judged.split(split)
    contents = set(content_key(learned.frame).loc[source.index]) - {""}
    same = content_key(judged.frame).loc[rows.index].isin(contents)
    if learned.hash == judged.hash:
        same |= rows["duplicate_group"].isin(set(source["duplicate_group"]) - {""})
    known = ~rows["patient"].str.startswith(UNKNOWN_PREFIX)
    shared = known & rows["patient"].isin(set(source["patient"]))
    return Overlap(
        split=split,
        images=int(same.sum()),
        patients=int(rows.loc[shared, "patient"].nunique()),
        examples=tuple(rows.loc[same | shared, "path"].iloc[:EXAMPLES]),
    )
