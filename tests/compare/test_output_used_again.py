"""A folder that is written to again holds what this comparison names, and whatever anybody else put there."""

from __future__ import annotations

import json
import shutil

import pytest

from cxr.compare.comparison import compare


@pytest.fixture
def folder(comparison, tmp_path):
    """The output of a comparison of three models, in a folder of its own."""
    shutil.copytree(comparison.output, tmp_path / "out")
    return tmp_path / "out"


def compared_again(judged, world, output, folder, bundles):
    return compare(
        bundles, world.manifest, output=folder, cache_dir=output / "cache", on_progress=judged.quiet, draws=20,
        pictures=False,
    )  # fmt: skip


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_cards_and_predictions_of_models_that_are_gone_are_removed(judged, world, output, folder):
    compared_again(judged, world, output, folder, [world.keras])
    assert {name for name in files_in(folder) if "/" in name} == {
        "model-cards/cnn5/MODEL_CARD.md",
        f"predictions/{world.keras.hash[:16]}/predictions.csv",
        f"predictions/{world.keras.hash[:16]}/predictions.json",
    }
    assert {path.name for path in (folder / "predictions").iterdir()} == {world.keras.hash[:16]}


def test_what_somebody_else_put_there_stays(judged, world, output, folder):
    notes = folder / "model-cards" / "automl-edge" / "notes.txt"
    mine = folder / "model-cards" / "mine" / "MODEL_CARD.md"
    other = folder / "predictions" / "0123456789abcdef" / "predictions.csv"
    for path in (notes, mine, other):
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    card = folder / "model-cards" / "custom-cnn5" / "MODEL_CARD.md"
    card.write_text("another text that names no bundle")
    compared_again(judged, world, output, folder, [world.keras])
    assert all(path.read_text() == "mine" for path in (notes, mine, other))
    assert not (notes.parent / "MODEL_CARD.md").exists()
    assert card.exists()


def test_a_link_is_not_followed(judged, world, output, folder, tmp_path):
    place = folder / "predictions" / world.tflite.hash[:16]
    shutil.move(place, tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    compared_again(judged, world, output, folder, [world.keras])
    assert (tmp_path / "elsewhere" / "predictions.csv").is_file()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        json.dumps({"schema": "another"}),
        json.dumps({"schema": "cxr.comparison", "rows": [1, {"kind": "model"}]}),
    ],
    ids=["torn", "no object", "another program's", "rows of nothing"],
)
def test_a_results_file_that_is_not_ours_removes_nothing(judged, world, output, folder, text):
    (folder / "results.json").write_text(text)
    before = files_in(folder)
    compared_again(judged, world, output, folder, [world.keras])
    assert files_in(folder) == before
