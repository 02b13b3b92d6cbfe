"""What changed between two manifests: images that came, went or were renamed, and values that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from cxr.manifests.manifest import COLUMNS, Manifest, SplitPolicy
from cxr.manifests.splits.split import describe

#: What a manifest's header says of how it was made; its other fields follow from the rows or the place.
HEADER_FIELDS: Final = ("patient_key", "split_policy", "decoded", "near_duplicates")


@dataclass(frozen=True, slots=True)
class Change:
    """One value of one image that differs."""

    path: str
    column: str
    before: str | int
    after: str | int


@dataclass(frozen=True, slots=True)
class ManifestDiff:
    """`added` and `removed` paths; `renamed` pairs (before, after) of equal bytes, which are in neither; `changes` of
    images that both have, the renamed ones under their new path; `header` fields (name, before, after)."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    changes: tuple[Change, ...]
    header: tuple[tuple[str, str, str], ...]

    @property
    def is_empty(self) -> bool:
        """Whether the rows are the same (then the hashes are, too)."""
        return not (self.added or self.removed or self.renamed or self.changes)

    def moves(self) -> dict[tuple[str, str], int]:
        """(split before, split after) -> images that moved; "" is no split."""
        counts: dict[tuple[str, str], int] = {}
        for change in self.changes:
            if change.column == "split":
                key = (str(change.before), str(change.after))
                counts[key] = counts.get(key, 0) + 1
        return counts


def diff_manifests(before: Manifest, after: Manifest) -> ManifestDiff:
    """What changed from one manifest to another, in order of the paths."""
    left, right = before.frame.set_index("path"), after.frame.set_index("path")
    gone, come = left.index.difference(right.index), right.index.difference(left.index)
    renamed = _renamed(left.loc[gone], right.loc[come])
    common = left.index.intersection(right.index)
    # A renamed image may have moved to another label or split with its folder: it is compared, too, by its new name.
    sources, targets = [pair[0] for pair in renamed], [pair[1] for pair in renamed]
    old, new = left.loc[[*common, *sources]], right.loc[[*common, *targets]]
    names = new.index
    changes = [
        Change(str(path), column, before_value, after_value)
        for column in COLUMNS
        if column != "path"
        for differ in [old[column].to_numpy() != new[column].to_numpy()]
        for path, before_value, after_value in zip(
            names[differ], old[column][differ].tolist(), new[column][differ].tolist(), strict=True
        )
    ]
    return ManifestDiff(
        added=tuple(sorted(set(come) - set(targets))),
        removed=tuple(sorted(set(gone) - set(sources))),
        renamed=renamed,
        changes=tuple(sorted(changes, key=lambda change: (change.path, change.column))),
        header=_header_changes(before, after),
    )


def _renamed(gone: pd.DataFrame, come: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Images of equal bytes under another path: paired in order of the paths where several are alike."""
    waiting: dict[str, list[str]] = {}
    for path, content in sorted(_contents(come).items(), reverse=True):
        waiting.setdefault(content, []).append(path)
    pairs = []
    for path, content in sorted(_contents(gone).items()):
        if waiting.get(content):
            pairs.append((path, waiting[content].pop()))
    return tuple(pairs)


def _contents(frame: pd.DataFrame) -> dict[str, str]:
    """Path -> what names the bytes: sha256, else md5, else size with crc32c; images of which nothing is known left
    out."""
    sized = frame["size"].astype(str) + "/" + frame["crc32c"]
    content = frame["sha256"].where(frame["sha256"] != "", frame["md5"])
    content = content.where(content != "", sized.where(frame["crc32c"] != "", ""))
    return {str(path): str(value) for path, value in content.items() if value}


def _header_changes(before: Manifest, after: Manifest) -> tuple[tuple[str, str, str], ...]:
    pairs = [(name, _said(getattr(before.header, name)), _said(getattr(after.header, name))) for name in HEADER_FIELDS]
    return tuple((name, old, new) for name, old, new in pairs if old != new)


def _said(value: object) -> str:
    return describe(value) if isinstance(value, SplitPolicy) else str(value)
