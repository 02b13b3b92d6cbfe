"""Bundles: complete, unchanged, and refused otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bundles import model_info
from cxr.bundle import Bundle, Calibration, Preprocessing, Threshold, read_bundle, with_decision, write_bundle
from cxr.errors import InputError

INFO = model_info(
    preprocessing=Preprocessing(150, 150, 1),
    threshold=Threshold(0.4, "youden", "validation", 0.9, 0.8),
    provenance={"seed": 7},
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    folder = tmp_path / "bundle"
    (folder / "assets").mkdir(parents=True)
    (folder / "model.keras").write_bytes(b"weights")
    (folder / "assets" / "training.csv").write_text("epoch,loss\n")
    return write_bundle(folder, INFO)


def test_what_is_written_is_read(bundle: Bundle) -> None:
    assert read_bundle(bundle.folder) == bundle
    assert read_bundle(bundle.folder).hash == bundle.hash
    assert bundle.model_size_bytes == len(b"weights")


def test_a_changed_file_is_named(bundle: Bundle) -> None:
    (bundle.folder / "model.keras").write_bytes(b"wEights")
    with pytest.raises(InputError, match=r"model\.keras has changed"):
        read_bundle(bundle.folder)


def test_a_missing_file_is_named(bundle: Bundle) -> None:
    (bundle.folder / "assets" / "training.csv").unlink()
    with pytest.raises(InputError, match=r"lacks its file assets/training\.csv"):
        read_bundle(bundle.folder)


def test_a_folder_without_a_description_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a bundle"):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        {"schema_version": 99},
        {"origin": "elsewhere"},
        {"surprise": 1},
        {"classes": None},
        {"calibration": {"method": "platt"}},
    ],
)
def test_a_damaged_description_is_refused(bundle: Bundle, damage: dict[str, object]) -> None:
    path = bundle.folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(InputError):
        read_bundle(bundle.folder)


@pytest.mark.parametrize(
    "damage",
    [{"aspect": "centre-crop"}, {"channels": 4}, {"resize": "nearest"}, {"height": 0}, {"width": 24.5}],
    ids=lambda damage: next(iter(damage)),
)
def test_a_preprocessing_that_is_not_known_is_refused(bundle: Bundle, damage: dict[str, object]) -> None:
    path = bundle.folder / "bundle.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "preprocessing": raw["preprocessing"] | damage}))
    (name,) = damage
    with pytest.raises(InputError, match=f"preprocessing's {name}"):
        read_bundle(bundle.folder)


def test_another_decision_is_read_back_and_leaves_the_files(bundle: Bundle) -> None:
    hot = Calibration("temperature", 1.5, "smallest cross-entropy", "validation", 40, 0.4, 0.3)
    changed = with_decision(bundle, Threshold(0.6, "max-youden", "validation"), hot)
    assert read_bundle(bundle.folder) == changed
    assert changed.info.calibration == hot
    assert changed.hash != bundle.hash
    assert changed.info.files == bundle.info.files


def test_a_calibration_inside_the_model_is_said_only_where_it_is(bundle: Bundle) -> None:
    outside = Calibration("temperature", 1.5, "smallest cross-entropy", "validation", 40, 0.4, 0.3)
    threshold = bundle.info.threshold
    with_decision(bundle, threshold, outside)
    path = bundle.folder / "bundle.json"
    # Earlier programs read it, and its hash stays what it was.
    assert "inside_model" not in json.loads(path.read_text())["calibration"]
    inside = with_decision(bundle, threshold, replace(outside, inside_model=True))
    assert json.loads(path.read_text())["calibration"]["inside_model"] is True
    assert read_bundle(bundle.folder) == inside


def test_the_hash_names_model_and_description(bundle: Bundle) -> None:
    other = write_bundle(bundle.folder, replace(INFO, threshold=Threshold(0.5, "default", "nothing")))
    assert other.hash != bundle.hash
    (bundle.folder / "model.keras").write_bytes(b"other weights")
    assert write_bundle(bundle.folder, INFO).hash not in {bundle.hash, other.hash}


def test_the_cache_key_names_the_pixels_and_not_the_scale() -> None:
    contract = INFO.preprocessing
    assert contract.key == replace(contract, scale=1.0).key
    assert len({contract.key, replace(contract, channels=3).key, replace(contract, aspect="center-crop").key}) == 3
