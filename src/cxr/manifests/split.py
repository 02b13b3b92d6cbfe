"""A validation split made of whole patients, out of train; test is never touched."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace

import pandas as pd

from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import Manifest, SplitPolicy, new_manifest

POOL = ("train", "validation")


def make_validation(manifest: Manifest, *, validation: float = 0.1, seed: int = 7) -> Manifest:
    """Split train and the original validation images anew, by patient, into train and validation.

    Groups are the connected components of a shared patient or duplicate group. They are stratified by label and
    etiology (a group's commonest) and, within a stratum, taken in the order of sha256(seed, group) as long as each
    brings the share of images nearer to `validation` (0 < validation < 1): so a stratum is off by less than one
    group. Test rows are left alone; pool images whose group also occurs in test get no split. The result depends on
    the rows, not on their order, and splitting it again gives it again.

    Raises UsageError for a share outside (0, 1), InputError when there is nothing to split or a label would be
    missing on a side.
    """
    if not 0 < validation < 1:
        raise UsageError(f"the validation share is {validation}, but must lie between 0 and 1", hint="--validation 0.1")
    frame = manifest.frame.copy()
    groups = group_keys(frame)
    in_pool = frame["split"].isin(POOL)
    if not in_pool.any():
        raise InputError("the manifest has no train images to split", hint="scan the folder again: cxr data scan DIR")
    leaking = in_pool & groups.isin(set(groups[frame["split"] == "test"]))
    pool = frame[in_pool & ~leaking]
    chosen = _choose(pool, groups[pool.index], validation, seed)
    frame.loc[leaking, "split"] = ""
    frame.loc[pool.index, "split"] = groups[pool.index].isin(chosen).map({True: "validation", False: "train"})
    _check_sides(manifest.frame[in_pool], frame, validation)
    policy = SplitPolicy("grouped", validation, seed)
    return new_manifest(frame, replace(manifest.header, split_policy=policy), manifest.location)


def group_keys(frame: pd.DataFrame) -> pd.Series:
    """One key per row, shared by all rows that a patient or a duplicate group connects, directly or through others.

    The key is the component's first patient in order, so it does not depend on the order of the rows.
    """
    parent: dict[str, str] = {}

    def find(node: str) -> str:
        root = node
        while parent.setdefault(root, root) != root:
            root = parent[root]
        while parent[node] != root:
            parent[node], node = root, parent[node]
        return root

    for patient, duplicates in zip(frame["patient"], frame["duplicate_group"], strict=True):
        root = find(f"patient:{patient}")
        if duplicates:
            # The smaller name is the root. Patients sort before "same-bytes", so every root is a patient.
            low, high = sorted((root, find(f"same-bytes:{duplicates}")))
            parent[high] = low
    keys = [find(f"patient:{patient}") for patient in frame["patient"]]
    return pd.Series(keys, index=frame.index, dtype="object")


def _choose(pool: pd.DataFrame, groups: pd.Series, share: float, seed: int) -> set[str]:
    kinds_of: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for key, label, etiology in zip(groups, pool["label"], pool["etiology"], strict=True):
        kinds_of[key][label, etiology] += 1
    strata: defaultdict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for key, kinds in kinds_of.items():
        stratum = min(kinds, key=lambda kind: (-kinds[kind], kind))
        strata[stratum].append((key, kinds.total()))
    chosen: set[str] = set()
    for members in strata.values():
        target = share * sum(size for _, size in members)
        taken = 0
        for key, size in sorted(members, key=lambda member: _draw(seed, member[0])):
            if abs(taken + size - target) < abs(taken - target):
                chosen.add(key)
                taken += size
    return chosen


def _draw(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{key}".encode()).digest()


def _check_sides(before: pd.DataFrame, after: pd.DataFrame, validation: float) -> None:
    for split in POOL:
        present = set(after["label"][after["split"] == split])
        for label in sorted(set(before["label"])):
            if label not in present:
                raise InputError(
                    f"a {split} split without {label!r}: too few patients for a validation share of {validation}",
                    hint="choose another share: cxr data split --validation 0.3",
                )
