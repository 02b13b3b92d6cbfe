"""Every format is scored as its bundle says, and refused with a reason when it cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from cxr.bundle import ModelFormat, Preprocessing, read_bundle
from cxr.compare.predictors import PREDICTORS, measure_latency_ms, open_predictor
from cxr.errors import InputError


def pixels(contract: Preprocessing, count: int = 5) -> np.ndarray:
    shape = (count, contract.height, contract.width, contract.channels)
    return np.random.default_rng(0).integers(40, 160, size=shape, dtype=np.uint8)


def test_a_sigmoid_becomes_two_columns_in_class_order(judged, world):
    images = pixels(judged.GREY)
    probabilities = open_predictor(world.keras).predict(images)
    expected = judged.grey_model()(images.astype(np.float32)).numpy()[:, 0]
    assert probabilities.dtype == np.float64
    assert np.allclose(probabilities[:, 1], expected, atol=1e-6)
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_a_saved_model_gives_what_the_keras_model_gave_that_it_was_exported_from(judged, world):
    images = pixels(judged.GREY)
    expected = judged.grey_model(slope=25.0, middle=0.48, peak=True)(images.astype(np.float32)).numpy()[:, 0]
    assert np.allclose(open_predictor(world.saved_model).predict(images)[:, 1], expected, atol=1e-6)


def test_tflite_float_and_uint8_agree_with_keras_on_pixels_that_are_scaled_outside(judged, world, tmp_path):
    images = pixels(judged.EDGE)
    images[0], images[1] = 0, 255
    model = judged.edge_model()
    expected = np.concatenate([model(image[None] / np.float32(127.5) - 1).numpy() for image in images])
    floating = judged.tflite_bundle(tmp_path / "float", world.manifest.hash, quantised=False)
    assert np.allclose(open_predictor(floating).predict(images), expected, atol=1e-5)
    # One level of the pooled brightness (1/127) times the steep weights (24) moves a probability by up to a quarter
    # of 0.19.
    assert np.abs(open_predictor(world.tflite).predict(images) - expected).max() < 0.05


def test_one_image_and_many_give_the_same_probabilities(judged, world):
    for bundle in world.bundles:
        images = pixels(bundle.info.preprocessing, 40)
        predictor = open_predictor(bundle)
        singly = np.concatenate([predictor.predict(image[None]) for image in images])
        assert np.allclose(predictor.predict(images), singly, atol=1e-6), bundle.info.format


def test_a_saved_model_with_a_fixed_batch_is_padded(judged, world, tmp_path):
    judged.edge_model().export(str(tmp_path / "saved_model"), verbose=False)
    bundle = judged.write(
        tmp_path,
        world.manifest.hash,
        name="fixed batch",
        format=ModelFormat.SAVED_MODEL,
        model_path="saved_model",
        preprocessing=judged.EDGE,
    )
    images = pixels(judged.EDGE, 3)
    model = judged.edge_model()
    expected = np.concatenate([model(image[None] / np.float32(127.5) - 1).numpy() for image in images])
    assert np.allclose(open_predictor(bundle).predict(images), expected, atol=1e-6)


class TestPixelLevels:
    """What an 8-bit input tensor is fed (`input_levels`)."""

    service = Preprocessing(224, 224, 3, aspect="center-crop", scale=1 / 127.5, offset=-1.0, scale_inside_model=False)
    inside = replace(service, scale_inside_model=True)

    @pytest.mark.parametrize(
        ("contract", "scale", "zero_point"),
        [
            pytest.param(service, 1 / 127.5, 127, id="the service's own quantisation"),
            pytest.param(service, 0.0078125, 128, id="the service's own quantisation, rounded to a power of two"),
            pytest.param(inside, 1 / 127.5, 128, id="scaling inside, which the quantisation is"),
            pytest.param(inside, 1.0, 0, id="scaling inside, by a layer"),
            pytest.param(service, 0.0, 0, id="no quantisation given"),
        ],
    )
    def test_pixels_go_in_as_they_are(self, contract, scale, zero_point):
        from cxr.compare.predictors.tflite import Quantisation, input_levels

        levels = input_levels(Quantisation(np.dtype(np.uint8), scale, zero_point), contract)
        assert levels.dtype == np.uint8
        assert levels.tolist() == list(range(256))

    def test_int8_is_shifted(self):
        from cxr.compare.predictors.tflite import Quantisation, input_levels

        levels = input_levels(Quantisation(np.dtype(np.int8), 1.0, -128), self.inside)
        assert levels.tolist() == list(range(-128, 128))

    @pytest.mark.parametrize("dtype", [np.uint8, np.int8])
    @pytest.mark.parametrize("shifted", [False, True])
    def test_what_is_fed_is_what_the_table_says(self, judged, world, dtype, shifted):
        from cxr.compare.predictors.tflite import TflitePredictor, as_they_are

        predictor = TflitePredictor.__new__(TflitePredictor)  # without a model: only its table matters
        levels = as_they_are(np.dtype(dtype))
        predictor._levels = levels[::-1].copy() if shifted else levels
        predictor._as_they_are = not shifted
        images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
        fed = predictor._fed(images)
        assert fed.dtype == dtype
        assert np.array_equal(fed, predictor._levels[images])

    def test_another_quantisation_is_obeyed(self):
        from cxr.compare.predictors.tflite import Quantisation, input_levels

        quantisation = Quantisation(np.dtype(np.uint8), 0.5, 10)
        levels = input_levels(quantisation, self.inside)
        assert np.abs(quantisation.real(levels)[:100] - np.arange(100)).max() <= 0.25

    def test_stored_and_real_values_are_each_others_inverse(self):
        from cxr.compare.predictors.tflite import Quantisation

        quantisation = Quantisation(np.dtype(np.uint8), 1 / 256, 0)
        stored = np.arange(256, dtype=np.uint8)
        assert np.array_equal(quantisation.stored(quantisation.real(stored)), stored)


def test_latency_is_the_time_of_single_images(judged, world):
    class Counting:
        sizes: tuple[int, ...] = ()

        def predict(self, images):
            self.sizes += (len(images),)
            return np.zeros((len(images), 2))

    counting = Counting()
    assert measure_latency_ms(counting, pixels(judged.GREY, 3), runs=10) >= 0
    assert counting.sizes == (1,) * 15
    assert 0 < measure_latency_ms(open_predictor(world.keras), pixels(judged.GREY)) < 1_000


def test_a_model_whose_outputs_do_not_fit_the_classes_is_refused(judged, world, tmp_path):
    bundle = judged.keras_bundle(
        tmp_path / "three", world.manifest.hash, classes=("A", "B", "PNEUMONIA"), name="three classes"
    )
    with pytest.raises(InputError, match="1 values an image, its 3 classes need 3"):
        open_predictor(bundle).predict(pixels(judged.GREY))


def test_a_model_that_ends_in_logits_is_refused(judged, world, tmp_path):
    model = judged.grey_model()
    model.layers[-1].activation = judged.load().keras.activations.linear
    (tmp_path / "logits").mkdir()
    model.save(tmp_path / "logits" / "model.keras")
    bundle = judged.write(
        tmp_path / "logits",
        world.manifest.hash,
        name="logits",
        format=ModelFormat.KERAS,
        model_path="model.keras",
        preprocessing=judged.GREY,
    )
    with pytest.raises(InputError, match="not probabilities"):
        open_predictor(bundle).predict(np.zeros((2, judged.SIDE, judged.SIDE, 1), np.uint8))


@pytest.mark.parametrize("model_format", list(PREDICTORS))
def test_a_file_that_is_no_model_is_refused_with_its_path(judged, world, tmp_path, model_format):
    (tmp_path / "model.keras").write_text("not a model")
    bundle = judged.write(
        tmp_path,
        world.manifest.hash,
        name="torn",
        format=model_format,
        model_path="model.keras",
        preprocessing=judged.GREY,
    )
    with pytest.raises(InputError, match=r"cannot load the model .*model\.keras"):
        open_predictor(bundle)


def test_a_format_that_runs_elsewhere_only_is_refused(judged, world, tmp_path):
    (tmp_path / "model.mlpackage").write_text("{}")
    bundle = judged.write(
        tmp_path,
        world.manifest.hash,
        name="phone",
        format=ModelFormat.CORE_ML,
        model_path="model.mlpackage",
        preprocessing=judged.EDGE,
    )
    with pytest.raises(InputError, match="core-ml model, which cannot be scored here"):
        open_predictor(bundle)


def test_a_tflite_file_of_another_size_than_its_preprocessing_is_refused(judged, world, tmp_path):
    bundle = judged.tflite_bundle(tmp_path / "edge", world.manifest.hash)
    description = json.loads((bundle.folder / "bundle.json").read_text())
    description["preprocessing"]["height"] = 99
    (bundle.folder / "bundle.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"takes \(1, 24, 24, 3\), but .* makes \(1, 99, 24, 3\)"):
        open_predictor(read_bundle(bundle.folder))


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("keras", "tensorflow", "train"), ("tflite", "ai_edge_litert", "litert")]
)
def test_a_runtime_that_is_not_installed_is_named_with_the_line_that_installs_it(world, name, package, extra):
    # A process of its own: a name that is None in sys.modules cannot be imported.
    script = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from pathlib import Path\n"
        "from cxr.bundle import read_bundle\n"
        "from cxr.compare.predictors import open_predictor\n"
        "from cxr.errors import MissingPackage\n"
        "try:\n"
        f"    open_predictor(read_bundle(Path({str(getattr(world, name).folder)!r})))\n"
        "except MissingPackage as error:\n"
        "    print(error.message, '|', error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert package in done.stdout
    assert f'| pip install "cxr[{extra}]"' in done.stdout
