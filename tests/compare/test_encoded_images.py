"""SavedModels that take image files, as the service exports them: scored on the pixels that the other formats see."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bundles import model_info
from cxr.bundle import Bundle, ModelFormat, Origin, Preprocessing, Threshold, write_bundle
from cxr.compare.predictors import measure_latency, open_predictor
from cxr.compare.predictors.encoded_images import decode_png, png_file, saved_model_labels
from cxr.errors import InputError
from cxr.local_baseline.exports.encoded_saved_model import export_encoded_saved_model
from cxr.local_baseline.exports.saved_model import export_saved_model
from cxr.local_baseline.images.preprocess import load_image
from cxr.local_baseline.tensorflow_setup import load

LABELS = ("NORMAL", "PNEUMONIA")
EDGE = Preprocessing(24, 24, 3, "center-crop", scale=1 / 127.5, offset=-1.0)


@pytest.fixture(scope="module")
def model() -> Any:
    keras = load().keras
    keras.utils.set_random_seed(3)
    image = keras.Input((24, 24, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    flat = keras.layers.Flatten()(keras.layers.AveragePooling2D(6)(scaled))
    return keras.Model(image, keras.layers.Dense(2, activation="softmax")(flat))


@pytest.fixture(scope="module")
def bundle(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    export_encoded_saved_model(model, folder / "saved-model", LABELS, EDGE)
    info = model_info(
        name="edge",
        origin=Origin.AUTOML,
        format=ModelFormat.SAVED_MODEL,
        model_path="saved-model",
        preprocessing=EDGE,
        threshold=Threshold(0.5, "test", "nothing"),
    )
    return write_bundle(folder, info)


def test_the_model_sees_the_contracts_pixels(bundle: Bundle, model: Any) -> None:
    images = np.random.default_rng(5).integers(0, 256, (3, 24, 24, 3), dtype=np.uint8)
    expected = model(images.astype(np.float32), training=False).numpy()
    assert open_predictor(bundle).predict(images) == pytest.approx(expected, abs=1e-5)


def test_columns_follow_the_bundles_classes_by_the_models_own_labels(bundle: Bundle) -> None:
    image = np.full((1, 24, 24, 3), 90, np.uint8)
    turned = Bundle(bundle.folder, replace(bundle.info, classes=LABELS[::-1]))
    assert open_predictor(turned).predict(image)[0] == pytest.approx(open_predictor(bundle).predict(image)[0][::-1])
    other = Bundle(bundle.folder, replace(bundle.info, classes=("CAT", "DOG")))
    with pytest.raises(InputError, match="answers NORMAL, PNEUMONIA, its classes are CAT, DOG"):
        open_predictor(other).predict(image)


def test_the_labels_are_read_from_the_model(bundle: Bundle, model: Any, tmp_path: Path) -> None:
    assert saved_model_labels(bundle.model_path) == LABELS
    export_saved_model(model, tmp_path / "plain")
    with pytest.raises(InputError, match="takes image_bytes"):
        saved_model_labels(tmp_path / "plain")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="cannot load"):
        saved_model_labels(tmp_path / "none")


def test_the_latency_of_a_foreign_model_says_that_decoding_is_in_it_and_of_ours_is_of_pixels(
    bundle: Bundle, model: Any, tmp_path: Path
) -> None:
    images = np.random.default_rng(5).integers(0, 256, (3, 24, 24, 3), dtype=np.uint8)
    foreign = measure_latency(open_predictor(bundle), images, runs=6)
    assert foreign.includes_decoding
    assert foreign.decoding_ms is not None
    assert 0 < foreign.decoding_ms < foreign.ms
    export_encoded_saved_model(model, tmp_path / "saved-model", LABELS, EDGE, with_halves=True)
    ours = write_bundle(tmp_path, replace(bundle.info, files=()))
    measured = measure_latency(open_predictor(ours), images, runs=6)
    assert (measured.includes_decoding, measured.decoding_ms) == (False, None)
    assert measured.ms > 0
    predictor = open_predictor(ours)
    assert predictor.predict_pixels(images) == pytest.approx(predictor.predict(images), abs=1e-6)  # type: ignore[attr-defined]


def test_a_png_comes_out_of_every_decoder_as_it_was() -> None:
    for channels in (1, 3):
        pixels = np.random.default_rng(1).integers(0, 256, (9, 7, channels), dtype=np.uint8)
        file = png_file(pixels)
        assert np.array_equal(decode_png(file), pixels)
        with Image.open(io.BytesIO(file)) as opened:
            opened.verify()  # checksums too
        with Image.open(io.BytesIO(file)) as opened:
            assert np.array_equal(np.asarray(opened).reshape(pixels.shape), pixels)


@pytest.fixture(scope="module", params=["squash", "center-crop", "pad"])
def contract(request: pytest.FixtureRequest) -> Preprocessing:
    """One for each aspect policy."""
    return Preprocessing(12, 16, 1, request.param)


@pytest.fixture(scope="module")
def mirror(contract: Preprocessing, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A "model" that gives back its pixels: what it is served with is seen, too."""
    keras = load().keras
    image = keras.Input((12, 16, 1))
    pixels = keras.Model(image, keras.layers.Flatten()(image))
    labels = [str(number) for number in range(12 * 16)]
    folder = tmp_path_factory.mktemp("mirror") / "model"
    export_encoded_saved_model(pixels, folder, labels, contract, with_halves=True)
    loaded = load().tf.saved_model.load(str(folder))
    assert set(loaded.signatures) == {"serving_default", "preprocess", "pixels"}
    return loaded


@pytest.mark.parametrize("size", [(30, 47), (61, 20), (8, 8), (1, 40)], ids=str)
def test_the_preprocessing_inside_the_model_is_the_contracts(
    contract: Preprocessing, mirror: Any, size: tuple[int, int]
) -> None:
    """To the last level."""
    signatures = mirror.signatures
    grey = np.random.default_rng(2).integers(0, 256, size, dtype=np.uint8)
    for form in ("PNG", "JPEG"):
        stream = io.BytesIO()
        Image.fromarray(grey).save(stream, form, quality=92)
        data = stream.getvalue()
        tf = load().tf
        image = signatures["preprocess"](image_bytes=tf.constant([data, data]))["image"].numpy()
        served = signatures["serving_default"](image_bytes=tf.constant([data]), key=tf.constant(["one"]))["scores"]
        ours = load_image(data, contract)
        assert np.array_equal(image, [ours, ours])
        assert np.array_equal(served.numpy().reshape(12, 16), ours[..., 0])
