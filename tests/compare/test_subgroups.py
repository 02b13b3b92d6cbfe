"""Subgroups: who is in them, and how a model is judged in each."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.compare.metrics.ranking import roc_auc
from cxr.compare.nouns import Draws
from cxr.compare.subgroups.groups import Group, groups_of
from cxr.compare.subgroups.judge import MIN_PATIENTS, judge_groups, worst_group
from cxr.manifests.manifest import BLANK_ROW, Manifest, ManifestHeader, new_manifest

DRAWS = Draws(200, 1)


def _manifest(images: int = 120, *, seed: int = 3) -> Manifest:
    """Half of the images in test; a third of them normal, the rest bacterial or viral."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(images):
        kind = ("", "bacterial", "viral")[number % 3]
        label = "PNEUMONIA" if kind else "NORMAL"
        series = f"person-{kind}" if kind else ("IM" if number % 2 else "NORMAL2-IM")
        rows.append(
            BLANK_ROW
            | {
                "path": f"{number:04d}.jpeg",
                "label": label,
                "etiology": kind,
                "patient": f"{series}-{number}",
                "split": "test" if number % 4 < 2 else "train",
                "width": int(random.integers(400, 2_900)),
                "height": int(random.integers(400, 2_000)),
                "size": 1_000 + number,
                "sha256": f"{number:064x}",
            }
        )
    return new_manifest(pd.DataFrame(rows), ManifestHeader(root="."), Path("m.csv"))


def _judge(manifest: Manifest, score: np.ndarray, groups=None, threshold: float = 0.5):
    rows = manifest.split("test")
    return judge_groups(
        groups_of(manifest, "test").made if groups is None else groups,
        is_positive=(rows["label"] == "PNEUMONIA").to_numpy(),
        score=score,
        called=score >= threshold,
        patients=rows["patient"].tolist(),
        draws=DRAWS,
    )


def test_the_families_are_all_there():
    families = list(dict.fromkeys(group.family for group in groups_of(_manifest(), "test").made))
    assert families == ["etiology", "series of patients", "patients' numbers", "image size", "aspect ratio"]


def test_a_group_of_one_class_is_judged_against_all_others():
    manifest = _manifest()
    rows = manifest.split("test")
    viral = next(group for group in groups_of(manifest, "test").made if group.name == "viral")
    assert viral.completed
    expected = (rows["etiology"] == "viral") | (rows["label"] == "NORMAL")
    assert np.array_equal(viral.inside, expected.to_numpy())


def test_thirds_of_sizes_are_in_order_and_cover_all_once():
    manifest = _manifest()
    pixels = (manifest.split("test")["width"] * manifest.split("test")["height"]).to_numpy()
    thirds = [group.inside for group in groups_of(manifest, "test").made if group.family == "image size"]
    assert len(thirds) == 3
    assert (np.sum(thirds, axis=0) == 1).all()
    for below, above in itertools.pairwise(thirds):
        assert pixels[below].max() < pixels[above].min()


def test_equal_sizes_make_no_groups_and_unknown_ones_neither():
    frame = _manifest().frame
    for width in (224, 0):
        manifest = new_manifest(frame.assign(width=width, height=width), ManifestHeader(root="."), Path("m.csv"))
        assert not {group.family for group in groups_of(manifest, "test").made} & {"image size", "aspect ratio"}


def test_families_that_make_no_group_are_named_with_the_reason():
    frame = _manifest().frame.assign(width=224, height=224, etiology="", patient="the only one")
    groups = groups_of(new_manifest(frame, ManifestHeader(root="."), Path("m.csv")), "test")
    assert groups.made == ()
    assert groups.left_out == {
        "etiology": "no image's name tells one",
        "series of patients": "no patient's key ends in a number",
        "patients' numbers": "no patient's key ends in a number",
        "image size": "all images have the same, 0.05 megapixels",
        "aspect ratio": "all images have the same, 1.00",
        "duplicates": "no image is known to have one",
    }
    assert groups.note.startswith("no subgroups by etiology (no image's name tells one); series")
    assert list(groups_of(_manifest(), "test").left_out) == ["duplicates"]


def test_a_family_that_tells_no_more_than_the_label_makes_no_group():
    frame = _manifest().frame
    frame["etiology"] = np.where(frame["label"] == "PNEUMONIA", "viral", "")
    groups = groups_of(new_manifest(frame, ManifestHeader(root="."), Path("m.csv")), "test")
    assert groups.left_out["etiology"] == "it tells no more than the label"
    assert not any(group.inside.all() for group in groups.made)


def test_the_positive_class_may_be_another_than_the_manifests():
    manifest = _manifest()
    normal = manifest.split("test")["label"] == "NORMAL"
    viral = next(group for group in groups_of(manifest, "test", "NORMAL").made if group.name == "viral")
    expected = (manifest.split("test")["etiology"] == "viral") | normal
    assert np.array_equal(viral.inside, expected.to_numpy())


def test_ten_patients_of_either_side_make_a_group_judged_and_not_ten_images():
    manifest = _manifest(240)
    rows = manifest.split("test")
    positive = (rows["label"] == "PNEUMONIA").to_numpy()
    inside = np.zeros(len(rows), dtype=bool)
    inside[np.r_[np.flatnonzero(positive)[:20], np.flatnonzero(~positive)[:20]]] = True
    for patients_of_either, judged in ((MIN_PATIENTS - 1, False), (MIN_PATIENTS, True)):
        numbers = {True: itertools.count(), False: itertools.count()}
        keys = [f"{side}-{next(numbers[bool(side)]) % patients_of_either}" for side in positive]
        (result,) = judge_groups(
            [Group("half", "some", inside)], is_positive=positive, score=np.linspace(0, 1, len(rows)),
            called=positive, patients=keys, draws=DRAWS,
        )  # fmt: skip
        assert (result.positives, result.negatives) == (20, 20)
        assert (result.positive_patients, result.negative_patients) == (patients_of_either, patients_of_either)
        assert result.is_judged == judged


def test_duplicates_are_left_out_once_and_those_of_train_wholly():
    frame = _manifest().frame
    paths = frame[frame["split"] == "test"]["path"].tolist()
    trained = frame[frame["split"] == "train"]["path"].iloc[0]
    group = (
        frame["path"].map({paths[0]: "same:a", paths[1]: "same:a", paths[2]: "same:b", trained: "same:b"}).fillna("")
    )
    manifest = new_manifest(frame.assign(duplicate_group=group), ManifestHeader(root="."), Path("m.csv"))
    alone = next(made for made in groups_of(manifest, "test").made if made.family == "duplicates")
    left_out = manifest.split("test")["path"][~alone.inside].tolist()
    assert left_out == [paths[1], paths[2]]


def test_a_model_that_is_blind_for_one_etiology_has_it_for_its_worst_group():
    manifest = _manifest()
    rows = manifest.split("test")
    random = np.random.default_rng(0)
    score = np.where(rows["etiology"] == "bacterial", 0.9, 0.1) + random.uniform(-0.05, 0.05, len(rows))
    results = _judge(manifest, score)
    worst = worst_group(results)
    assert worst is not None
    # The viral patients are a series of their own: both names mean the same images.
    assert worst.group.name in {"viral", "person-viral"}
    assert worst.difference.high < 0
    assert worst.sensitivity.value == 0


def test_small_groups_are_never_called_the_worst():
    results = _judge(_manifest(24), np.linspace(0, 1, 12))
    assert all(min(result.positive_patients, result.negative_patients) < MIN_PATIENTS for result in results)
    assert worst_group(results) is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_each_auc_is_that_of_the_groups_images_alone(seed: int):
    manifest = _manifest(60, seed=seed)
    positive = (manifest.split("test")["label"] == "PNEUMONIA").to_numpy()
    score = np.random.default_rng(seed).integers(0, 6, len(positive)) / 5
    for result in _judge(manifest, score):
        inside = result.group.inside
        assert result.auc.value == pytest.approx(roc_auc(positive[inside], score[inside]), nan_ok=True)
        assert result.sensitivity.value == pytest.approx((score[inside & positive] >= 0.5).mean(), nan_ok=True)
        assert result.positives == (inside & positive).sum()
