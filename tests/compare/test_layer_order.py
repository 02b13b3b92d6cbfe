"""Why 8 bits may not do for a net, read from its Keras file."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxr.compare.parity.layer_order import unfoldable
from cxr.local_baseline.models.build import build_model
from cxr.local_baseline.recipes import CNN5, EDGE, MOBILENET_V2, Recipe


@pytest.mark.parametrize(("recipe", "folds"), [(CNN5, False), (EDGE, True), (MOBILENET_V2, True)], ids=lambda one: "")
def test_batch_norm_behind_an_activation_is_named(recipe: Recipe, folds: bool, tmp_path: Path) -> None:
    build_model(recipe, 2, "none").save(tmp_path / "model.keras")
    found = unfoldable(tmp_path / "model.keras")
    assert (found is None) == folds
    if found is not None:
        assert "norm" in found[0]
        assert "conv" in found[1]


def test_a_file_that_is_no_keras_model_has_no_reason(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"nothing")
    assert unfoldable(tmp_path / "model.keras") is None
    assert unfoldable(tmp_path / "absent.keras") is None
