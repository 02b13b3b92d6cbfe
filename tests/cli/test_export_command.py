"""`cxr export`, as its users call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundles import keras_bundle

SIDE = 16


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a net of three numbers."""
    from cxr.local_baseline.tensorflow_setup import load

    keras = pytest.importorskip("keras") and load().keras
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(keras.layers.Rescaling(1 / 255)(image)))
    model = keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(x), name="tiny")
    return keras_bundle(model, tmp_path_factory.mktemp("runs") / "tiny").folder


@pytest.mark.slow
def test_a_bundle_is_exported_beside_itself_and_kept_the_second_time(run_cxr, bundle: Path) -> None:
    done = run_cxr("export", str(bundle), "--to", "tflite,tfjs-float16", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [one["format"] for one in said["exports"]] == ["tflite", "tfjs-float16"]
    assert (bundle.with_name("tiny-exports") / "tflite" / "model.tflite").is_file()
    assert "not a medical device" in done.stderr
    again = run_cxr("export", str(bundle), "--to", "tflite,tfjs-float16")
    assert again.stdout.count("kept") == 2


def test_a_dry_run_makes_nothing_and_all_says_what_is_left_out(run_cxr, bundle: Path, tmp_path: Path) -> None:
    done = run_cxr("export", str(bundle), "--to", "all", "--out", str(tmp_path / "out"), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "tfjs-float16" in done.stdout
    assert "left out: tflite-int8" in done.stderr  # there is no manifest here
    assert not (tmp_path / "out").exists()


def test_wrong_values_are_refused_with_the_next_thing_to_type(run_cxr, bundle: Path) -> None:
    unknown = run_cxr("export", str(bundle), "--to", "tflight")
    assert unknown.returncode == 2
    assert "there is no format 'tflight'" in unknown.stderr
    named = run_cxr("export", str(bundle), "--to", "tflite-int8")
    assert named.returncode == 2
    assert "--manifest" in named.stderr
    export = run_cxr("export", str(bundle.with_name("nothing")))
    assert export.returncode == 2
    assert "is not a bundle" in export.stderr


def test_help_shows_the_command_and_takes_options_first(run_cxr, bundle: Path) -> None:
    shown = run_cxr("export", "--help")
    assert "cxr export [OPTIONS]" in shown.stdout
    assert "--to" in shown.stdout
    first = run_cxr("export", "--dry-run", "--to", "tflite", str(bundle))
    assert first.returncode == 0, first.stderr
