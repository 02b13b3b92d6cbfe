"""Floors: what they learn from train, and what they do where they cannot be laid."""

from __future__ import annotations

import numpy as np
import pytest

from cxr.compare.floors import BYTE_COUNT, MAJORITY, THUMBNAIL, lay_floors
from cxr.compare.metrics.ranking import roc_auc
from cxr.manifests.manifest import ManifestHeader, new_manifest


@pytest.fixture(scope="module")
def floors(judged, world, tmp_path_factory):
    return lay_floors(
        world.manifest, "test", images=None, cache_dir=tmp_path_factory.mktemp("cache"), on_progress=judged.quiet
    )


def _positive(manifest):
    return (manifest.split("test")["label"] == manifest.positive_class).to_numpy()


def test_all_three_are_laid_on_images_that_are_there(floors, world):
    assert [floor.name for floor in floors.laid] == [MAJORITY, BYTE_COUNT, THUMBNAIL]
    assert floors.left_out == ()
    for floor in floors.laid:
        assert floor.probabilities.shape == (len(world.manifest.split("test")), len(world.manifest.classes))
        assert floor.probabilities.sum(axis=1) == pytest.approx(1)


def test_the_majority_is_that_of_train(floors, world):
    commonest = world.manifest.split("train")["label"].value_counts().sort_index().idxmax()
    assert floors.laid[0].learned == f"always {commonest}"


def test_the_byte_count_ranks_as_the_bytes_do_in_one_direction_or_the_other(floors, world):
    positive = _positive(world.manifest)
    sizes = world.manifest.split("test")["size"].to_numpy(dtype=float)
    score = floors.laid[1].probabilities[:, world.manifest.classes.index(world.manifest.positive_class)]
    one_way = roc_auc(positive, sizes)
    assert roc_auc(positive, score) == pytest.approx(one_way) or roc_auc(positive, score) == pytest.approx(1 - one_way)


def test_what_is_learned_does_not_depend_on_the_test_labels(judged, world, floors, tmp_path):
    frame = world.manifest.frame.copy()
    test = frame["split"] == "test"
    frame.loc[test, "label"] = frame.loc[test, "label"].to_numpy()[::-1]
    turned = new_manifest(frame, world.manifest.header, world.manifest.location)
    again = lay_floors(turned, "test", images=None, cache_dir=tmp_path, on_progress=judged.quiet)
    for before, after in zip(floors.laid, again.laid, strict=True):
        assert np.array_equal(before.probabilities, after.probabilities)


def test_without_the_images_and_sizes_only_the_majority_is_left_with_reasons(judged, world, tmp_path):
    frame = world.manifest.frame.assign(size=0)
    listed = new_manifest(frame, ManifestHeader(root=str(tmp_path / "gone")), world.manifest.location)
    made = lay_floors(listed, "test", images=None, cache_dir=tmp_path / "cache", on_progress=judged.quiet)
    assert [floor.name for floor in made.laid] == [MAJORITY]
    assert [reason.partition(":")[0] for reason in made.left_out] == [BYTE_COUNT, THUMBNAIL]
    assert "not known" in made.left_out[0]


def test_a_train_of_one_class_teaches_nothing(judged, world, tmp_path):
    frame = world.manifest.frame
    kept = frame[(frame["split"] != "train") | (frame["label"] == world.manifest.positive_class)]
    made = lay_floors(
        new_manifest(kept, world.manifest.header, world.manifest.location),
        "test",
        images=None,
        cache_dir=tmp_path,
        on_progress=judged.quiet,
    )
    assert [floor.name for floor in made.laid] == [MAJORITY]
    assert all("two classes" in reason for reason in made.left_out)
