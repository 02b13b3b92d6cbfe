"""Robustness: every corruption is scored at the bundle's own threshold, with intervals over patients."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from cxr.bundle import Bundle, Threshold
from cxr.compare.nouns import Draws
from cxr.compare.predictors import open_predictor
from cxr.compare.robustness import robustness, robustness_csv, tuned_note
from cxr.errors import RulerMismatch
from cxr.local_baseline.images.corruptions import CORRUPTIONS, find_corruptions
from cxr.local_baseline.images.preprocess import load_image

SOME = ("clean", "gamma-dark", "pad")


@pytest.fixture(scope="module")
def results(judged, world, tmp_path_factory):
    return robustness(
        [world.keras],
        world.manifest,
        find_corruptions(SOME),
        split="test",
        images=None,
        cache_dir=tmp_path_factory.mktemp("cache"),
        draws=Draws(200, 1),
        on_progress=judged.quiet,
    )


def test_each_corruption_is_what_the_model_says_of_corrupted_images(world, results):
    (result,) = results
    info, rows = world.keras.info, world.manifest.split("test")
    images = np.stack([load_image(world.manifest.root / path, info.preprocessing) for path in rows["path"]])
    predictor = open_predictor(world.keras)
    positive = info.classes.index(info.positive_class)
    truth = (rows["label"] == info.positive_class).to_numpy()
    for score in result.scores:
        scores = predictor.predict(CORRUPTIONS[score.corruption].applied(images))[:, positive]
        assert score.accuracy == pytest.approx(((scores >= info.threshold.value) == truth).mean())
        pairs = scores[truth][:, None] - scores[~truth][None]
        assert score.auc == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert [score.corruption for score in result.scores] == list(SOME)


def test_the_summary_is_the_mean_with_an_interval_around_it(results):
    (result,) = results
    for name, field in (("mean_auc", "auc"), ("mean_accuracy", "accuracy")):
        estimate = result.summary[name]
        assert estimate.value == pytest.approx(np.mean([getattr(score, field) for score in result.scores]))
        assert estimate.low <= estimate.value <= estimate.high
    pooled = result.summary["pooled_auc"]
    assert 0 <= pooled.low <= pooled.value <= pooled.high <= 1


def test_the_table_is_written_as_csv(results, tmp_path):
    robustness_csv(results, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["corruption"] for line in lines] == list(SOME)
    assert float(lines[0]["auc"]) == pytest.approx(results[0].scores[0].auc)


@pytest.mark.parametrize(
    ("chosen_on", "split", "is_told"),
    [
        ("corrupted-validation", "validation", True),
        ("corrupted-validation", "test", False),
        ("validation", "validation", False),
    ],
)
def test_a_threshold_that_was_chosen_on_these_images_is_told(world, chosen_on, split, is_told):
    info = replace(world.keras.info, threshold=Threshold(0.5, "max-youden", chosen_on))
    assert bool(tuned_note(Bundle(world.keras.folder, info), split)) == is_told


def test_a_bundle_of_another_manifest_is_refused(judged, world, tmp_path):
    from cxr.manifests.manifest import new_manifest

    manifest = world.manifest
    other = new_manifest(manifest.frame.iloc[:-1], manifest.header, manifest.location)
    with pytest.raises(RulerMismatch):
        robustness(
            [world.keras],
            other,
            find_corruptions(SOME),
            split="test",
            images=None,
            cache_dir=tmp_path,
            draws=Draws(10, 1),
            on_progress=judged.quiet,
        )
