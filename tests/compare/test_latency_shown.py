"""A model that takes files only is timed with decoding, and that is said wherever its milliseconds stand."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

from cxr.bundle import ModelFormat
from cxr.compare.comparison import compare
from cxr.compare.predictions.table import cached_predictions, predict, write_predictions


@pytest.fixture(scope="module")
def foreign(judged, world, tmp_path_factory):
    """A SavedModel as the service exports it."""
    from cxr.local_baseline.exports.encoded_saved_model import export_encoded_saved_model

    folder = tmp_path_factory.mktemp("foreign")
    keras = judged.load().keras
    image = keras.Input((judged.SIDE, judged.SIDE, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(scaled)))
    contract = replace(judged.EDGE, scale_inside_model=True)
    export_encoded_saved_model(model, folder / "saved-model", judged.CLASSES, contract)
    return judged.write(
        folder,
        world.manifest.hash,
        name="service",
        format=ModelFormat.SAVED_MODEL,
        model_path="saved-model",
        preprocessing=contract,
    )


def test_with_decoding_is_said_in_report_tables_card_and_results(judged, world, foreign, tmp_path):
    output = tmp_path / "out"
    compare(
        [foreign, world.keras],
        world.manifest,
        output=output,
        cache_dir=tmp_path / "cache",
        on_progress=judged.quiet,
        draws=50,
        pictures=False,
    )
    rows = json.loads((output / "results.json").read_text())["rows"]
    assert [row["latency_includes_decoding"] for row in rows[:2]] == [True, False]
    assert 0 < rows[0]["decoding_ms"] < rows[0]["latency_ms"]
    assert rows[1]["decoding_ms"] is None
    lines = list(csv.DictReader((output / "results.csv").open()))
    assert [line["latency_includes_decoding"] for line in lines[:3]] == ["true", "false", ""]
    table = (output / "results.md").read_text().splitlines()
    assert ["(with decoding)" in line for line in table if line.startswith(("| service", "| cnn5"))] == [True, False]
    report = (output / "report.html").read_text()
    assert report.count("(with decoding)") == 3
    assert "service takes image files only: its milliseconds hold the decoding of a PNG" in report
    cards = {path.parent.name: path.read_text() for path in output.glob("model-cards/*/MODEL_CARD.md")}
    assert {name: "(with decoding) ms an image" in text for name, text in cards.items()} == {
        "service": True,
        "cnn5": False,
    }


def test_predictions_that_do_not_tell_are_made_anew(judged, world, tmp_path):
    made = predict(world.keras, world.manifest, cache_dir=tmp_path, on_progress=judged.quiet)
    (folder,) = (path.parent for path in tmp_path.rglob("predictions.json"))
    assert cached_predictions(world.keras, world.manifest, cache_dir=tmp_path, split="test") is not None
    earlier = replace(made, header=replace(made.header, latency_includes_decoding=None))
    write_predictions(earlier, folder)
    assert cached_predictions(world.keras, world.manifest, cache_dir=tmp_path, split="test") is None
