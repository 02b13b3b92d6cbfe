"""Folds: whole groups, every pool image in exactly one, test in none, shares within one group, the same by seed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cxr.errors import InputError, UsageError
from cxr.local_baseline.judging.folds import Fold, make_folds
from cxr.manifests.manifest import Manifest, ManifestHeader, new_manifest
from cxr.manifests.manifest_file import read_manifest, write_manifest
from cxr.manifests.splits.groups import group_keys

KINDS = (("NORMAL", "", "IM"), ("PNEUMONIA", "bacterial", "person-bacterial"), ("PNEUMONIA", "viral", "person-viral"))


def manifest_of(rows: list[dict[str, object]]) -> Manifest:
    return new_manifest(pd.DataFrame(rows), ManifestHeader(root="images"))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Up to 120 images with shared patients, copies, and all splits."""
    count = draw(st.integers(40, 120))
    rows = []
    for index in range(count):
        label, etiology, series = draw(st.sampled_from(KINDS))
        rows.append(
            {
                "path": f"{index}.jpeg",
                "label": label,
                "etiology": etiology,
                "patient": f"{series}-{draw(st.integers(0, count // 2))}",
                "split": draw(st.sampled_from(["train", "train", "train", "validation", "test", ""])),
                "duplicate_group": draw(st.sampled_from([""] * 30 + ["same:a"])),
            }
        )
    return manifest_of(rows)


def made(manifest: Manifest, folds: int, seed: int, blocks: bool) -> tuple[Fold, ...]:
    try:
        return make_folds(manifest, folds=folds, seed=seed, blocks=blocks, validation=0.25)
    except InputError:
        assume(False)
        raise


@settings(deadline=None, max_examples=12)
@given(manifests(), st.integers(2, 4), st.integers(0, 3), st.booleans())
def test_no_group_is_in_two_parts_and_every_image_is_held_out_once(
    manifest: Manifest, folds: int, seed: int, blocks: bool
) -> None:
    groups = group_keys(manifest.frame)
    tested = set(groups[manifest.frame["split"] == "test"])
    in_pool = manifest.frame["split"].isin(["train", "validation"]) & ~groups.isin(tested)
    held_out: list[str] = []
    for fold in made(manifest, folds, seed, blocks):
        frame = fold.manifest.frame
        assert list(frame["path"]) == list(manifest.frame["path"])
        used = frame["split"] != ""
        assert (used == in_pool).all(), "the test split and its patients are in no part"
        assert (pd.DataFrame({"g": groups[used], "s": frame.loc[used, "split"]}).groupby("g")["s"].nunique() == 1).all()
        for part in ("train", "validation", "test"):
            assert set(fold.manifest.split(part)["label"]) == set(manifest.classes)
        held_out += list(fold.manifest.split("test")["path"])
    assert sorted(held_out) == sorted(manifest.frame.loc[in_pool, "path"])


@settings(deadline=None, max_examples=12)
@given(manifests(), st.integers(2, 4), st.integers(0, 3), st.booleans())
def test_each_fold_has_its_share_of_every_stratum_to_within_a_group(
    manifest: Manifest, folds: int, seed: int, blocks: bool
) -> None:
    # Without copies: a copy joins patients of several strata, and only one of these is theirs.
    manifest = manifest_of(manifest.frame.assign(duplicate_group="").to_dict("records"))
    for fold in made(manifest, folds, seed, blocks):
        frame = fold.manifest.frame
        pool = frame[frame["split"] != ""]
        for _, stratum in pool.groupby(["label", "etiology"]):
            largest = stratum["patient"].value_counts().max()
            share = (stratum["split"] == "test").sum()
            assert abs(share - len(stratum) / folds) <= largest


@settings(deadline=None, max_examples=5)
@given(manifests(), st.integers(0, 3), st.booleans())
def test_folds_are_decided_by_rows_and_seed(manifest: Manifest, seed: int, blocks: bool) -> None:
    first = made(manifest, 3, seed, blocks)
    turned = manifest_of(manifest.frame[::-1].to_dict("records"))
    assert [fold.manifest.hash for fold in made(turned, 3, seed, blocks)] == [fold.manifest.hash for fold in first]
    others = [fold.manifest.hash for fold in made(manifest, 3, seed + 1, blocks)]
    assert blocks or others != [fold.manifest.hash for fold in first]


def counted(patients: int = 30) -> Manifest:
    rows = [
        {
            "path": f"{series}-{number}-{image}.jpeg",
            "label": label,
            "etiology": etiology,
            "patient": f"{series}-{number}",
            "split": "train",
        }
        for label, etiology, series in KINDS
        for number in range(patients)
        for image in range(2)
    ]
    return manifest_of(rows)


def test_a_block_is_a_stretch_of_every_counter_series() -> None:
    for fold in make_folds(counted(), folds=5, seed=7, blocks=True):
        held = fold.manifest.split("test")["patient"]
        for _, _, series in KINDS:
            numbers = sorted({int(key.rpartition("-")[2]) for key in held if key.rpartition("-")[0] == series})
            assert numbers == list(range(6 * (fold.number - 1), 6 * fold.number))


def test_scattered_folds_are_no_stretches() -> None:
    held = make_folds(counted(), folds=5, seed=7)[0].manifest.split("test")["patient"]
    numbers = sorted({int(key.rpartition("-")[2]) for key in held if key.startswith("IM")})
    assert numbers != list(range(numbers[0], numbers[0] + len(numbers)))


def test_blocks_need_numbers() -> None:
    frame = counted().frame
    nameless = manifest_of(frame.assign(patient="image:" + frame["path"]).to_dict("records"))
    with pytest.raises(InputError, match="have no number to put them in order"):
        make_folds(nameless, folds=5, seed=7, blocks=True)


@pytest.mark.parametrize("folds", [1, 0, 101])
def test_an_impossible_number_of_folds_is_refused(folds: int) -> None:
    with pytest.raises(UsageError, match="there must be 2 to 100"):
        make_folds(counted(), folds=folds, seed=7)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_an_impossible_inner_share_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="must lie between 0 and 1"):
        make_folds(counted(), folds=5, seed=7, validation=share)


def test_too_few_patients_for_a_label_are_told() -> None:
    frame = counted(3).frame
    with pytest.raises(InputError, match=r"fold 1: .* would have no image of"):
        make_folds(manifest_of(frame.to_dict("records")), folds=20, seed=7)


def test_a_folds_manifest_can_be_written_and_read(tmp_path: Path) -> None:
    fold = make_folds(counted(), folds=3, seed=7)[1]
    write_manifest(fold.manifest, tmp_path / "folds" / "fold-2.csv")
    assert read_manifest(tmp_path / "folds" / "fold-2.csv").hash == fold.manifest.hash


def test_a_block_of_the_full_release_is_a_fifth_of_every_counter(kermany_listing: Path) -> None:
    from cxr.manifests.patients.names import patient_of

    listing = pd.read_csv(kermany_listing, dtype=str, keep_default_na=False)
    who = [patient_of(name) for name in listing["file_name"]]
    frame = pd.DataFrame(
        {
            "path": listing["split"] + "/" + listing["label"] + "/" + listing["file_name"],
            "label": listing["label"],
            "split": listing["split"].replace("val", "validation"),
            "etiology": [one.etiology for one in who],
            "patient": [one.key for one in who],
        }
    )
    manifest = manifest_of(frame.to_dict("records"))
    for fold in make_folds(manifest, folds=5, seed=7, blocks=True):
        held = fold.manifest.split("test")
        assert len(held) == pytest.approx((5_216 + 16) / 5, abs=30)
        for _, series in held.groupby(["label", "etiology"]):
            assert len(series) > 200
