"""Cross-validation on drawn images: each pool image judged once by a model that had not seen it, and taken up again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cxr.bundle import Bundle, read_bundle
from cxr.compare.crossval.nouns import CrossValidation, FoldResult
from cxr.compare.crossval.run import cross_validate
from cxr.compare.nouns import Draws
from cxr.errors import UsageError
from cxr.local_baseline.judging.folds import make_folds
from cxr.local_baseline.request import TrainRequest
from cxr.local_baseline.train import train
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import read_manifest

#: Nets are trained fold by fold.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def request_of_three(
    make_manifest: Callable[..., Manifest], cache_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainRequest:
    manifest = make_manifest(tmp_path_factory.mktemp("pool"), counts={"train": 15, "validation": 3, "test": 3})
    output = tmp_path_factory.mktemp("runs") / "crossval"
    return TrainRequest(manifest, str(manifest.root), "cnn5", output, cache_dir, epochs=1, name="cnn5")


def run(request: TrainRequest, trained: list[str], *, stop_after: int = 99) -> CrossValidation:
    """Cross-validate in three folds; the names of the folds that were really trained are added to `trained`."""

    def train_fold(own: TrainRequest) -> Bundle:
        if len(trained) >= stop_after:
            raise KeyboardInterrupt
        return train(own, quiet, lambda result: trained.append(own.output.name))

    def on_fold(result: FoldResult) -> None:
        assert 0 <= result.measures["accuracy"] <= 1

    return cross_validate(
        request,
        make_folds(request.manifest, folds=3, seed=7, validation=0.25),
        blocks=False,
        train_fold=train_fold,
        on_progress=quiet,
        on_fold=on_fold,
        draws=Draws(100, 1),
    )


def quiet(done: int, total: int, note: str) -> None:
    del done, total, note


@pytest.fixture(scope="module")
def trained() -> list[str]:
    return []


@pytest.fixture(scope="module")
def result(request_of_three: TrainRequest, trained: list[str]) -> CrossValidation:
    """Left after the first fold, then taken up again."""
    with pytest.raises(KeyboardInterrupt):
        run(request_of_three, trained, stop_after=1)
    return run(request_of_three, trained)


def test_finished_folds_are_not_trained_again(result: CrossValidation, trained: list[str]) -> None:
    assert trained == ["fold-1", "fold-2", "fold-3"]
    assert [fold.was_finished for fold in result.folds] == [True, False, False]


def test_every_pool_image_is_judged_once_by_a_model_that_had_not_seen_it(result: CrossValidation) -> None:
    pool = result.manifest.frame[result.manifest.frame["split"] != "test"]
    held_out = result.held_out
    assert list(held_out["path"]) == sorted(pool["path"])
    for fold in result.folds:
        assert fold.bundle.info.manifest_hash == fold.manifest.hash
        assert read_manifest(result.folder / "manifests" / f"fold-{fold.number}.csv").hash == fold.manifest.hash
        seen = set(fold.manifest.split("train")["path"]) | set(fold.manifest.split("validation")["path"])
        assert not seen & set(fold.held_out["path"])


def test_the_pooled_figures_are_of_all_held_out_images(result: CrossValidation) -> None:
    held_out = result.held_out
    truth = held_out["label"] == "PNEUMONIA"
    assert result.pooled["auc"].value == pytest.approx(roc_auc_score(truth, held_out["p_PNEUMONIA"]))
    assert result.pooled["accuracy"].value == pytest.approx((held_out["called"] == held_out["label"]).mean())
    for name, spread in result.spread.items():
        values = [fold.measures[name] for fold in result.folds]
        assert spread.mean == pytest.approx(np.mean(values))
        assert spread.standard_deviation == pytest.approx(np.std(values, ddof=1))


def test_a_fold_calls_at_its_own_threshold(result: CrossValidation) -> None:
    for fold in result.folds:
        called = fold.held_out["p_PNEUMONIA"] >= fold.bundle.info.threshold.value
        assert list(fold.held_out["called"] == "PNEUMONIA") == list(called)


def test_the_files_say_the_same(result: CrossValidation) -> None:
    document = json.loads((result.folder / "crossval.json").read_text())
    assert (document["schema"], document["schema_version"]) == ("cxr.baseline.crossvalidation", 1)
    table = pd.read_csv(result.folder / "crossval.csv")
    assert list(table["fold"]) == [1, 2, 3]
    for name in ("auc", "accuracy", "sensitivity", "specificity"):
        assert list(table[name]) == pytest.approx([fold["measures"][name] for fold in document["folds"]])
    assert len(pd.read_csv(result.folder / "out-of-fold.csv")) == len(result.held_out)


def test_the_images_are_decoded_once_for_all_folds(result: CrossValidation, request_of_three: TrainRequest) -> None:
    contract = result.folds[0].bundle.info.preprocessing
    from cxr.local_baseline.images.cache import cache_path

    places = {cache_path(fold.manifest, contract, request_of_three.cache_dir) for fold in result.folds}
    assert places == {cache_path(request_of_three.manifest, contract, request_of_three.cache_dir)}


@pytest.mark.parametrize("change", ["folds", "seed", "epochs"])
def test_the_folds_of_another_cross_validation_are_not_replaced(
    result: CrossValidation, request_of_three: TrainRequest, change: str
) -> None:
    kept = {fold.bundle.folder: fold.bundle.hash for fold in result.folds}
    folds = make_folds(request_of_three.manifest, folds=2 if change == "folds" else 3, seed=7, validation=0.25)
    other = {"folds": {}, "seed": {"seed": 8}, "epochs": {"epochs": 2}}[change]
    trained: list[str] = []

    def train_fold(own: TrainRequest) -> Bundle:
        trained.append(own.output.name)
        raise KeyboardInterrupt

    with pytest.raises(UsageError, match=r"fold-\d is of another cross-validation"):
        cross_validate(
            replace(request_of_three, **other),
            folds,
            blocks=False,
            train_fold=train_fold,
            on_progress=quiet,
            on_fold=lambda fold: None,
        )
    assert not trained
    assert {folder: read_bundle(folder).hash for folder in kept} == kept


def test_a_bundle_is_no_place_for_folds(request_of_three: TrainRequest, small_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="the folds need a folder of their own"):
        run(replace(request_of_three, output=small_bundle.folder), [])
