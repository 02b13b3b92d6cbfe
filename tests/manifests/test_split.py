"""The splits: whole groups, every row once, the same in any order, shares within one group's size, nobody moved when
data is added."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from manifest_rows import manifest_of, row

from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import Manifest, SplitPolicy
from cxr.manifests.splits.groups import group_keys
from cxr.manifests.splits.split import keep_assignments, make_validation, split

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


@st.composite
def policies(draw: st.DrawFn) -> SplitPolicy:
    """Any policy that makes a split."""
    seed = draw(st.integers(0, 5))
    kind = draw(st.sampled_from(["grouped", "folds", "resplit"]))
    if kind == "grouped":
        return SplitPolicy("grouped", validation=draw(st.floats(0.05, 0.9)), seed=seed)
    if kind == "folds":
        return SplitPolicy("folds", folds=draw(st.integers(2, 5)), seed=seed)
    return SplitPolicy("resplit", validation=draw(st.floats(0, 0.4)), test=draw(st.floats(0, 0.4)), seed=seed)


def _made(manifest: Manifest, policy: SplitPolicy, earlier: Manifest | None = None) -> Manifest:
    try:
        return split(manifest, policy, earlier=earlier)
    except InputError:
        assume(False)
        raise


def _split(manifest: Manifest, share: float, seed: int = 7) -> Manifest:
    return _made(manifest, SplitPolicy("grouped", validation=share, seed=seed))


def _dealt(manifest: Manifest, made: Manifest) -> pd.DataFrame:
    """The rows that the policy dealt out, with their `side`, `group` and `stratum`."""
    policy = made.header.split_policy
    rows = made.frame.assign(group=group_keys(made.frame))
    if policy.name != "resplit":
        rows = rows[manifest.frame["split"].isin(["train", "validation"]) & (rows["split"] != "")]
    rows = rows.assign(side=rows["fold"] if policy.name == "folds" else rows["split"])
    strata = {}
    for group, members in rows.groupby("group"):
        kinds = Counter(zip(members["label"], members["etiology"], strict=True))
        strata[group] = min(kinds, key=lambda kind: (-kinds[kind], kind))
    return rows.assign(stratum=rows["group"].map(strata))


def _shares(policy: SplitPolicy) -> dict[str, float]:
    validation, test = policy.validation or 0.0, policy.test or 0.0
    if policy.name == "folds":
        return {str(fold): 1 / (policy.folds or 1) for fold in range(1, (policy.folds or 1) + 1)}
    return {"train": 1 - validation - test, "validation": validation, "test": test}


@given(manifests(), policies())
@settings(max_examples=25, deadline=None)
def test_no_group_is_on_two_sides_and_every_row_stays_once(manifest: Manifest, policy: SplitPolicy) -> None:
    made = _made(manifest, policy)
    assert list(made.frame["path"]) == list(manifest.frame["path"])
    rows = _dealt(manifest, made)
    assert rows.groupby("group")["side"].nunique().max() == 1
    assert set(rows["side"]) <= {name for name, share in _shares(policy).items() if share > 0}
    used = made.frame[made.frame["split"] != ""]
    assert used.groupby(group_keys(made.frame)[used.index])["split"].nunique().max() == 1


@given(manifests(), policies())
@settings(max_examples=25, deadline=None)
def test_each_side_misses_its_share_of_each_stratum_by_less_than_one_group(
    manifest: Manifest, policy: SplitPolicy
) -> None:
    _check_shares(_dealt(manifest, _made(manifest, policy)), policy)


def _check_shares(rows: pd.DataFrame, policy: SplitPolicy) -> None:
    for _, members in rows.groupby("stratum"):
        largest = members.groupby("group").size().max()
        for side, share in _shares(policy).items():
            assert abs((members["side"] == side).sum() - share * len(members)) <= largest


@given(manifests(), manifests(), policies())
# Where many small manifests in a row cannot be split, that is chance, not a finding.
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_new_patients_move_nobody_and_the_shares_still_hold(
    manifest: Manifest, more: Manifest, policy: SplitPolicy
) -> None:
    made = _made(manifest, policy)
    new = more.frame.assign(
        path="new-" + more.frame["path"],
        patient="new-" + more.frame["patient"],
        sha256=more.frame["sha256"].str[::-1],
        duplicate_group=more.frame["duplicate_group"].map(lambda key: key and f"new-{key}"),
    )
    grown = manifest_of([*manifest.frame.to_dict("records"), *new.to_dict("records")])
    try:
        kept = keep_assignments(grown, made)
    except InputError:
        assume(False)
        raise
    columns = ["path", "split", "fold"]
    before = kept.frame[kept.frame["path"].isin(made.frame["path"])]
    assert before[columns].values.tolist() == made.frame[columns].values.tolist()
    assert kept.header.split_policy == policy
    _check_shares(_dealt(grown, kept), policy)


@given(manifests(), policies(), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_rows_does_not_matter(manifest: Manifest, policy: SplitPolicy, random: object) -> None:
    rows = manifest.frame.to_dict("records")
    random.shuffle(rows)  # type: ignore[attr-defined]
    shuffled = Manifest(pd.DataFrame(rows), manifest.header)
    assert _made(shuffled, policy).hash == _made(manifest, policy).hash


@given(manifests(), policies())
@settings(max_examples=25, deadline=None)
def test_splitting_again_changes_nothing(manifest: Manifest, policy: SplitPolicy) -> None:
    once = _made(manifest, policy)
    for twice in (split(once, policy), split(once, policy, earlier=once)):
        assert twice.hash == once.hash
        assert twice.header.split_policy == once.header.split_policy


@given(manifests(), st.floats(0.05, 0.9))
@settings(max_examples=25, deadline=None)
def test_test_and_unused_rows_are_left_alone(manifest: Manifest, share: float) -> None:
    split = _split(manifest, share)
    for name in ("test", ""):
        before = set(manifest.split(name)["path"])
        after = set(split.split(name)["path"])
        assert before == after if name == "test" else before <= after


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


def _grown(extra: dict[str, str]) -> tuple[Manifest, Manifest]:
    """A split manifest, and the same data with one more image of these fields."""
    rows = [row(f"{i}.jpeg", "AB"[i % 2]) for i in range(40)]
    made = make_validation(manifest_of(rows), validation=0.25)
    return made, manifest_of([*rows, row("new.jpeg", **{"label": "A", **extra})])


def test_a_new_image_of_a_known_patient_goes_where_the_patient_is() -> None:
    made, _ = _grown({})
    for side in ("train", "validation"):
        patient = made.split(side)["patient"].iloc[0]
        _, grown = _grown({"patient": patient})
        kept = keep_assignments(grown, made)
        assert dict(zip(kept.frame["path"], kept.frame["split"], strict=True))["new.jpeg"] == side


def test_a_renamed_image_stays_where_its_bytes_were() -> None:
    made, _ = _grown({})
    renamed = made.frame.assign(path="b/" + made.frame["path"], patient="b" + made.frame["patient"], split="train")
    kept = keep_assignments(manifest_of(renamed.to_dict("records")), made)
    assert kept.frame.set_index("sha256")["split"].to_dict() == made.frame.set_index("sha256")["split"].to_dict()


def test_an_image_that_was_taken_out_by_hand_stays_out() -> None:
    made, grown = _grown({})
    frame = made.frame.copy()
    frame.loc[frame["path"] == "3.jpeg", "split"] = ""
    kept = keep_assignments(grown, manifest_of(frame.to_dict("records"), split_policy=made.header.split_policy))
    assert list(kept.split("")["path"]) == ["3.jpeg"]


def test_where_two_sides_are_joined_evenly_nobody_goes_into_test() -> None:
    rows = [row(f"{i}.jpeg", "AB"[i % 2]) for i in range(40)]
    made = split(manifest_of(rows), SplitPolicy("resplit", validation=0.2, test=0.2, seed=7))
    train, test = made.split("train")["path"].iloc[0], made.split("test")["path"].iloc[0]
    joined = [entry | {"patient": "one" if entry["path"] in {train, test} else entry["patient"]} for entry in rows]
    kept = keep_assignments(manifest_of(joined), made)
    assert set(kept.frame["split"][kept.frame["patient"] == "one"]) == {"train"}


def test_a_new_label_of_one_patient_does_not_stop_a_kept_split() -> None:
    made, grown = _grown({"label": "C"})
    assert len(keep_assignments(grown, made).frame) == len(made.frame) + 1


def test_an_unsplit_earlier_manifest_binds_nobody() -> None:
    _, grown = _grown({})
    assert keep_assignments(grown, manifest_of([row("0.jpeg", "A")])) is grown


def test_another_policy_cannot_be_kept() -> None:
    made, grown = _grown({})
    with pytest.raises(UsageError, match=r"validation 0.25 .*seed 7"):
        split(grown, SplitPolicy("folds", folds=3, seed=7), earlier=made)


def test_folds_are_written_down_and_the_first_validates() -> None:
    made = split(_plain(), SplitPolicy("folds", folds=4, seed=1))
    assert set(made.frame["fold"]) == {"1", "2", "3", "4"}
    assert set(made.frame["fold"][made.frame["split"] == "validation"]) == {"1"}
    assert set(make_validation(made, validation=0.2).frame["fold"]) == {""}


def test_what_was_split_anew_as_a_whole_has_no_official_test() -> None:
    made = split(_plain(), SplitPolicy("resplit", validation=0.1, test=0.2, seed=7))
    assert {name: sum(counts.values()) for name, counts in made.header.counts.items()} == {
        "train": 28,
        "validation": 4,
        "test": 8,
    }
    with pytest.raises(UsageError, match="official test is gone"):
        make_validation(made)


@pytest.mark.parametrize("policy", [SplitPolicy("folds", folds=1), SplitPolicy("folds", folds=101), SplitPolicy()])
def test_an_impossible_policy_is_a_usage_error(policy: SplitPolicy) -> None:
    with pytest.raises(UsageError):
        split(_plain(), policy)


def test_shares_above_one_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="train share"):
        split(_plain(), SplitPolicy("resplit", validation=0.6, test=0.6, seed=7))
