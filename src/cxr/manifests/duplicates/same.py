"""Which images are one and the same: by their bytes, and by near-duplicate pairs that somebody has confirmed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from cxr.manifests.joined import Joined
from cxr.manifests.manifest import Manifest, Problem, new_manifest
from cxr.manifests.scan.problems import problem
from cxr.manifests.splits.groups import KEY_PREFIX, group_keys

_KEY_DIGITS = 16


def duplicate_groups(frame: pd.DataFrame, near: Iterable[tuple[str, str]] = ()) -> pd.Series:
    """The `duplicate_group` of each row: `same:…` for equal bytes, `near:…` for a group with different bytes, else "".

    `frame` has the manifest's columns path, size, sha256, md5 and crc32c; `near` are pairs of sha256 (hex) of images
    that show the same. A group is a connected component; its key comes from its first member by path.
    """
    contents = _contents(frame)
    ordered = contents.iloc[frame["path"].argsort(kind="stable")]
    first_at = {content: place for place, content in enumerate(ordered.drop_duplicates())} if near else {}
    joined = _components(near, first_at)
    leaders = contents.map(joined).fillna(contents) if joined else contents
    shared = leaders.duplicated(keep=False)
    groups = pd.Series("", index=frame.index, dtype="object")
    kinds = leaders[shared].isin(set(joined.values())).map({True: "near:", False: "same:"})
    groups[shared] = kinds + leaders[shared].str.slice(0, _KEY_DIGITS)
    return groups


def drop_duplicates(manifest: Manifest) -> Manifest:
    """The manifest with one image of each duplicate group: the first by path, one of test before any other.

    A group under several labels is left as it is: somebody has to decide which label is right (`cxr data check` tells).
    Each dropped path is a note in the header. Patients that only a dropped image joins get one key, the first of them:
    they still may not stand on two sides of a split.
    """
    frame = manifest.frame
    grouped = frame[frame["duplicate_group"] != ""]
    labels = grouped.groupby("duplicate_group")["label"].transform("nunique")
    clear = grouped[labels == 1]
    in_order = clear.assign(elsewhere=clear["split"] != "test").sort_values(["elsewhere", "path"], kind="stable")
    kept = in_order.drop_duplicates("duplicate_group")
    dropped = clear.drop(index=kept.index)
    if dropped.empty:
        return manifest
    keeper = dict(zip(kept["duplicate_group"], kept["path"], strict=True))
    notes: list[Problem] = [
        problem("dropped-duplicate", path, f"left out, as {keeper[group]} shows the same image")
        for path, group in zip(dropped["path"], dropped["duplicate_group"], strict=True)
    ]
    patients, joined = _one_key_each(frame, dropped)
    left = frame.assign(patient=patients).drop(index=dropped.index)
    left.loc[left.index.isin(kept.index), "duplicate_group"] = ""
    notes += joined
    header = replace(manifest.header, problems=(*manifest.header.problems, *notes))
    return new_manifest(left, header, manifest.location)


def _one_key_each(frame: pd.DataFrame, dropped: pd.DataFrame) -> tuple[pd.Series, list[Problem]]:
    """The patients, those that `dropped` images join under the first of them, and a note for each of these."""
    keys = group_keys(frame)
    several = frame.groupby(keys)["patient"].nunique()
    touched = keys.isin(several.index[several > 1]) & keys.isin(keys[dropped.index])
    patients = frame["patient"].where(~touched, keys.str.removeprefix(KEY_PREFIX))
    notes = []
    for _, members in frame[touched].groupby(keys[touched]):
        names = sorted(set(members["patient"]))
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        words = f"the patients {', '.join(names[:3])}{more} share an image: they count as one, {names[0]}"
        notes.append(problem("joined-patients", members["path"].iloc[0], words))
    return patients, notes


def _contents(frame: pd.DataFrame) -> pd.Series:
    """What names the bytes of each row, in hex: the sha256 if it is known, or the md5, or size and crc32c."""
    contents = frame["sha256"].where(frame["sha256"] != "", frame["md5"]).astype("object")
    unknown = (contents == "") & (frame["crc32c"] != "")
    if unknown.any():
        # An object that was composed from parts has no md5; it may still be a copy of one that has.
        sums = frame["size"].astype("str") + ":" + frame["crc32c"]
        known = dict(zip(sums[~unknown][::-1], contents[~unknown][::-1], strict=True))
        contents[unknown] = [known.get(text) or _hex(text) for text in sums[unknown]]
    nothing = contents == ""
    contents[nothing] = [_hex(f"path {path}") for path in frame["path"][nothing]]
    return contents


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _components(pairs: Iterable[tuple[str, str]], first_at: dict[str, int]) -> dict[str, str]:
    """Content -> the content of its component that comes first by path, for contents that some pair joins."""
    joined = Joined(order=first_at.__getitem__)
    for pair in pairs:
        joined.join(pair)
    return joined.leaders()
