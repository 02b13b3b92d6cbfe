"""The validation split: whole groups, every row once, the same in any order, the share within one group's size."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from manifest_rows import manifest_of, row

from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import Manifest
from cxr.manifests.split import group_keys, make_validation

KINDS = (("NORMAL", ""), ("PNEUMONIA", "bacterial"), ("PNEUMONIA", "viral"))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Manifests of up to 60 images with shared patients, copies and all splits."""
    count = draw(st.integers(6, 60))
    rows = []
    for index in range(count):
        label, etiology = draw(st.sampled_from(KINDS))
        copy = draw(st.sampled_from(["", "", "", "a", "b"]))
        rows.append(
            row(
                f"{index}.jpeg",
                label,
                etiology=etiology,
                patient=f"p{draw(st.integers(0, count))}",
                split=draw(st.sampled_from(["train", "train", "train", "validation", "test", ""])),
                duplicate_group=copy,
            )
        )
    return manifest_of(rows)


def _split(manifest: Manifest, share: float, seed: int = 7) -> Manifest:
    try:
        return make_validation(manifest, validation=share, seed=seed)
    except InputError:
        assume(False)
        raise


@given(manifests(), st.floats(0.05, 0.9), st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_no_group_is_on_two_sides_and_every_row_stays_once(manifest: Manifest, share: float, seed: int) -> None:
    split = _split(manifest, share, seed)
    assert list(split.frame["path"]) == list(manifest.frame["path"])
    used = split.frame[split.frame["split"] != ""]
    # Test may have been left with a group of its own making; nothing else shares a group with it or across.
    assert used.groupby(group_keys(split.frame)[used.index])["split"].nunique().max() == 1


@given(manifests(), st.floats(0.05, 0.9))
@settings(max_examples=60, deadline=None)
def test_test_and_unused_rows_are_left_alone(manifest: Manifest, share: float) -> None:
    split = _split(manifest, share)
    for name in ("test", ""):
        before = set(manifest.split(name)["path"])
        after = set(split.split(name)["path"])
        assert before == after if name == "test" else before <= after


@given(manifests(), st.floats(0.05, 0.9), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_rows_does_not_matter(manifest: Manifest, share: float, random: object) -> None:
    rows = manifest.frame.to_dict("records")
    random.shuffle(rows)  # type: ignore[attr-defined]
    shuffled = Manifest(pd.DataFrame(rows), manifest.header)
    assert _split(shuffled, share).hash == _split(manifest, share).hash


@given(manifests(), st.floats(0.05, 0.9))
@settings(max_examples=60, deadline=None)
def test_splitting_again_changes_nothing(manifest: Manifest, share: float) -> None:
    once = _split(manifest, share)
    twice = make_validation(once, validation=share)
    assert twice.hash == once.hash
    assert twice.header.split_policy == once.header.split_policy


@given(manifests(), st.floats(0.05, 0.9))
@settings(max_examples=60, deadline=None)
def test_each_stratum_misses_its_share_by_less_than_one_group(manifest: Manifest, share: float) -> None:
    split = _split(manifest, share)
    pool = split.frame[split.frame["split"].isin(["train", "validation"])]
    groups = group_keys(split.frame)[pool.index]
    strata: dict[tuple[str, str], list[tuple[int, bool]]] = {}
    for _, members in pool.groupby(groups):
        kinds = Counter(zip(members["label"], members["etiology"], strict=True))
        stratum = min(kinds, key=lambda kind: (-kinds[kind], kind))
        strata.setdefault(stratum, []).append((len(members), members["split"].iloc[0] == "validation"))
    for members in strata.values():
        taken = sum(size for size, chosen in members if chosen)
        assert abs(taken - share * sum(size for size, _ in members)) < max(size for size, _ in members)


def _plain(images: int = 40) -> Manifest:
    return manifest_of([row(f"{i}.jpeg", "NORMAL" if i % 2 else "PNEUMONIA") for i in range(images)])


def test_another_seed_gives_another_split_and_another_hash() -> None:
    splits = {make_validation(_plain(), validation=0.3, seed=seed).hash for seed in range(5)}
    assert len(splits) == 5


def test_the_policy_is_written_into_the_header() -> None:
    policy = make_validation(_plain(), validation=0.25, seed=3).header.split_policy
    assert (policy.name, policy.validation, policy.seed) == ("grouped", 0.25, 3)


def test_original_validation_images_are_folded_back() -> None:
    rows = [row(f"{i}.jpeg", "AB"[i % 2], split="validation" if i < 10 else "train") for i in range(100)]
    split = make_validation(manifest_of(rows), validation=0.1)
    assert split.header.counts["validation"] == {"A": 5, "B": 5}
    assert set(split.split("validation")["path"]) != {f"{i}.jpeg" for i in range(10)}


def test_a_chain_of_patients_and_copies_is_one_group() -> None:
    rows = [
        row("1.jpeg", "A", patient="p"),
        row("2.jpeg", "A", patient="p", duplicate_group="d"),
        row("3.jpeg", "B", patient="q", duplicate_group="d"),
        row("4.jpeg", "B", patient="q"),
        row("5.jpeg", "B", patient="r"),
    ]
    assert list(group_keys(manifest_of(rows).frame)) == ["patient:p"] * 4 + ["patient:r"]


def test_pool_images_of_test_patients_get_no_split() -> None:
    rows = [row(f"{i}.jpeg", "AB"[i % 2]) for i in range(40)]
    rows += [row("t.jpeg", "A", split="test", patient="shared"), row("u.jpeg", "A", patient="shared")]
    split = make_validation(manifest_of(rows), validation=0.2)
    assert dict(zip(split.frame["path"], split.frame["split"], strict=True))["u.jpeg"] == ""
    assert split.header.counts["unused"] == {"A": 1}


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_an_impossible_share_is_a_usage_error(share: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        make_validation(_plain(), validation=share)


def test_too_few_patients_for_a_label_on_each_side_is_told() -> None:
    with pytest.raises(InputError, match="validation split without 'NORMAL'"):
        make_validation(_plain(6), validation=0.1)


def test_nothing_to_split_is_told() -> None:
    with pytest.raises(InputError, match="no train images"):
        make_validation(manifest_of([row("a.jpeg", "A", split="test")]))
