"""Every format says what the calibrated Keras model says, for each kind of net."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from label_file import read_labels
from PIL import Image

from cxr.bundle import Calibration, Preprocessing
from cxr.errors import Fault
from cxr.local_baseline.explain.graph import unfold
from cxr.local_baseline.explain.maps import Mapper
from cxr.local_baseline.exports.calibrated import EIGHT_BIT_FLOOR, shipped_model
from cxr.local_baseline.exports.class_maps import model_with_maps
from cxr.local_baseline.exports.edge_tpu import check_edge_tpu
from cxr.local_baseline.exports.edge_tpu import export as export_edge_tpu
from cxr.local_baseline.exports.nouns import Shipment
from cxr.local_baseline.exports.registry import FORMATS
from cxr.local_baseline.exports.tfjs_weights import TfjsForm, levelled
from cxr.local_baseline.exports.tflite import TfliteForm, convert
from cxr.local_baseline.judging.calibration import calibrated
from cxr.local_baseline.tensorflow_setup import load

SIDE = 32
LABELS = ("BACTERIAL", "NORMAL", "VIRAL")
CONTRACT = Preprocessing(SIDE, SIDE, 1, scale=1 / 127.5, offset=-1.0)
FAMILIES = ("sigmoid", "softmax", "three classes", "collapsed", "flattened", "dense")
ScoreInNode = Callable[[Path, np.ndarray], dict[str, Any]]


def temperature(value: float) -> Calibration:
    return Calibration("temperature", value, "smallest cross-entropy", "validation", 40, 0.4, 0.3)


def images(count: int = 24, seed: int = 5) -> np.ndarray:
    """Whole numbers 0..255, float32 [count, SIDE, SIDE, 1]: a blob of any size and brightness on noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    blobs = [
        rng.uniform(0, 90)
        + rng.uniform(40, 160) * np.exp(-((y - rng.random()) ** 2 + (x - rng.random()) ** 2) / rng.uniform(0.01, 0.3))
        for _ in range(count)
    ]
    return np.clip(np.rint(np.stack(blobs)[..., None] + rng.normal(0, 8, (count, SIDE, SIDE, 1))), 0, 255).astype("f4")


@lru_cache
def net(family: str) -> Any:
    """A small net with settled batch norm, whose probabilities differ from image to image."""
    keras = load().keras
    layers = keras.layers
    keras.utils.set_random_seed(11)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = layers.Rescaling(CONTRACT.scale, CONTRACT.offset, name="scaling")(image)
    if family == "dense":
        x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    elif family == "flattened":  # the order of the ancestors' five-block net
        for filters in (8, 8):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = layers.MaxPooling2D(2)(layers.BatchNormalization()(x))
        x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    else:
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, strides=2, use_bias=False)(x)))
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(24, 1, use_bias=False)(x)))
        x = layers.GlobalAveragePooling2D()(x)
    units, end = {"softmax": (2, "softmax"), "three classes": (3, "softmax"), "collapsed": (3, "softmax")}.get(
        family, (1, "sigmoid")
    )
    scores = layers.Dense(units, activation=end, name="scores")
    output = scores(x)
    if family == "collapsed":
        classes = layers.Dense(2, use_bias=False, trainable=False, name="classes")
        output = classes(output)
        classes.set_weights([np.array([[1, 0], [0, 1], [0, 1]], np.float32)])
    model = keras.Model(image, output, name="net")
    for part in np.split(images(96, seed=2), 4):
        model(part, training=True)
    features = keras.Model(image, x)(images(96, seed=2), training=False).numpy()
    kernel, _ = scores.get_weights()
    kernel = kernel * 2.0 / (features @ kernel).std(axis=0)
    scores.set_weights([kernel, -(features @ kernel).mean(axis=0)])
    return model


def labels_of(family: str) -> tuple[str, ...]:
    return LABELS if family == "three classes" else LABELS[1:]


def expected(family: str, calibration: Calibration | None, pixels: np.ndarray) -> np.ndarray:
    """What the program says of these pixels: the model's own probabilities, calibrated outside."""
    raw = net(family)(pixels).numpy().astype(np.float64)
    columns = np.hstack([1.0 - raw, raw]) if raw.shape[1] == 1 else raw
    return calibrated(columns, calibration)


def shipment(family: str, name: str, calibration: Calibration | None) -> Shipment:
    form = FORMATS[name]
    floor = {"floor": EIGHT_BIT_FLOOR} if form.needs_representative else {}
    model = shipped_model(net(family), CONTRACT, calibration, **floor)
    pixels = images(64, seed=9).astype(np.uint8)
    mapped = model_with_maps(net(family), CONTRACT, calibration)
    return Shipment(model, labels_of(family), CONTRACT, "net", "a net", mapped, pixels, form.form)


def written(family: str, name: str, folder: Path) -> Path:
    """The file or folder of a net at temperature 1.4 in a format."""
    form = FORMATS[name]
    path = folder / form.model_path
    import_module(form.exporter).export(shipment(family, name, temperature(1.4)), path)
    return path


def lite_scores(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Scores of a TFLite file with a batch of one, dequantised."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    given, scores = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for image in pixels:
        stored = image - 128 if given["dtype"] is np.int8 else image
        interpreter.set_tensor(given["index"], stored[None].astype(given["dtype"]))
        interpreter.invoke()
        raw = interpreter.get_tensor(scores["index"])[0].astype(np.float64)
        scale, zero = scores["quantization"]
        rows.append((raw - zero) * scale if scale else raw)
    return np.array(rows)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("heat", [0.6, 1.7])
def test_the_shipped_model_is_the_calibrated_one(family: str, heat: float) -> None:
    pixels = images()
    shipped = shipped_model(net(family), CONTRACT, temperature(heat))(pixels).numpy()
    wanted = expected(family, temperature(heat), pixels)
    assert wanted.max() - wanted.min() > 0.3  # a net that says the same of all images would prove nothing
    assert np.abs(wanted - expected(family, None, pixels)).max() > 0.01
    np.testing.assert_allclose(shipped, wanted, atol=1e-6)


def test_without_a_calibration_the_shipped_model_says_what_the_model_says() -> None:
    pixels = images()
    shipped = shipped_model(net("sigmoid"), CONTRACT, None)(pixels).numpy()
    np.testing.assert_allclose(shipped, expected("sigmoid", None, pixels), atol=1e-6)


def test_a_scale_that_was_outside_is_brought_inside() -> None:
    keras = load().keras
    model = net("sigmoid")
    bare = keras.Model(model.get_layer("scaling").output, model.output)
    outside = replace(CONTRACT, scale_inside_model=False)
    pixels = images()
    shipped = shipped_model(bare, outside, temperature(1.4))(pixels).numpy()
    np.testing.assert_allclose(shipped, expected("sigmoid", temperature(1.4), pixels), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tflite", "tflite-float16", "tflite-dynamic"])
@pytest.mark.parametrize("family", FAMILIES)
def test_tflite_is_calibrated_and_close_to_keras(family: str, name: str, tmp_path: Path) -> None:
    path = written(family, name, tmp_path)
    pixels = images()
    difference = np.abs(lite_scores(path, pixels) - expected(family, temperature(1.4), pixels)).max()
    assert difference < {"tflite": 1e-5, "tflite-float16": 2e-3, "tflite-dynamic": 0.05}[name]
    assert read_labels(path.read_bytes()) == list(labels_of(family))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tflite-int8", "edgetpu"])
@pytest.mark.parametrize("family", ["sigmoid", "three classes", "collapsed"])
def test_eight_bits_are_calibrated_and_near_keras_where_batch_norm_folds(
    family: str, name: str, tmp_path: Path
) -> None:
    path = written(family, name, tmp_path)
    interpreter = Interpreter(str(path))
    ends = (*interpreter.get_input_details(), *interpreter.get_output_details())
    assert {details["dtype"] for details in ends} == {np.int8 if name == "tflite-int8" else np.uint8}
    assert interpreter.get_input_details()[0]["quantization"] == (1.0, -128 if name == "tflite-int8" else 0)
    pixels = images()
    difference = np.abs(lite_scores(path, pixels) - expected(family, temperature(1.4), pixels)).max()
    assert difference < 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_litert_takes_any_batch(family: str, tmp_path: Path) -> None:
    path = written(family, "litert", tmp_path)
    pixels = images(5)
    interpreter = Interpreter(str(path))
    assert interpreter.get_input_details()[0]["shape_signature"].tolist() == [-1, SIDE, SIDE, 1]
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], pixels.shape)
    run = interpreter.get_signature_runner("serving_default")
    np.testing.assert_allclose(run(image=pixels)["scores"], expected(family, temperature(1.4), pixels), atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_takes_files_and_pixels(family: str, tmp_path: Path) -> None:
    path = written(family, "saved-model", tmp_path)
    tf = load().tf
    loaded = tf.saved_model.load(str(path))
    pixels = images(3)
    files = []
    for number, image in enumerate(pixels):
        Image.fromarray(image[..., 0].astype(np.uint8)).save(tmp_path / f"{number}.png")
        files.append((tmp_path / f"{number}.png").read_bytes())
    answer = loaded.signatures["serving_default"](image_bytes=tf.constant(files), key=tf.constant(["a", "b", "c"]))
    wanted = expected(family, temperature(1.4), pixels)
    np.testing.assert_allclose(answer["scores"].numpy(), wanted, atol=1e-5)
    assert answer["labels"].numpy()[2].tolist() == [label.encode() for label in labels_of(family)]
    assert answer["key"].numpy().tolist() == [b"a", b"b", b"c"]
    np.testing.assert_allclose(loaded.signatures["pixels"](image=pixels)["scores"].numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_onnx_takes_any_batch_and_knows_its_labels(family: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX needs the extra export")
    pytest.importorskip("tf2onnx", reason="ONNX needs the extra export")
    session = onnxruntime.InferenceSession(str(written(family, "onnx", tmp_path)))
    pixels = images(5)
    (scores,) = session.run(["scores"], {"image": pixels})
    np.testing.assert_allclose(scores, expected(family, temperature(1.4), pixels), atol=1e-5)
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == list(labels_of(family))


@pytest.mark.slow
def test_core_ml_is_a_classifier_with_the_labels(tmp_path: Path) -> None:
    coremltools = pytest.importorskip("coremltools", reason="Core ML needs the extra export")
    spec = coremltools.utils.load_spec(str(written("collapsed", "coreml", tmp_path)))
    (image,) = spec.description.input
    assert (image.name, image.type.imageType.width, image.type.imageType.height) == ("image", SIDE, SIDE)
    assert spec.description.predictedFeatureName == "classLabel"
    assert spec.WhichOneof("Type") == "mlProgram"


@pytest.mark.parametrize("name", ["tfjs", "tfjs-float16", "tfjs-uint16", "tfjs-uint8"])
@pytest.mark.parametrize("family", ["sigmoid", "three classes", "collapsed", "flattened"])
def test_tfjs_is_calibrated_and_close_to_keras(
    family: str, name: str, score_in_node: ScoreInNode, tmp_path: Path
) -> None:
    path = written(family, name, tmp_path)
    pixels = images(6)
    said = score_in_node(path, pixels)
    assert said["outputs"] == (["scores"] if family == "flattened" else ["scores", "maps"])
    difference = np.abs(np.array(said["scores"]) - expected(family, temperature(1.4), pixels)).max()
    assert difference < {"tfjs": 1e-5, "tfjs-float16": 2e-3, "tfjs-uint16": 5e-4, "tfjs-uint8": 0.05}[name]
    if family != "flattened" and name == "tfjs":
        maps = model_with_maps(net(family), CONTRACT, None)(pixels)[1].numpy()
        np.testing.assert_allclose(np.array(said["maps"]).reshape(maps.shape), maps, atol=1e-4)


@pytest.mark.parametrize("family", ["sigmoid", "softmax", "three classes", "collapsed"])
def test_maps_are_the_class_activation_maps_of_every_class(family: str) -> None:
    pixels = images(4)
    scores, maps = model_with_maps(net(family), CONTRACT, temperature(1.4))(pixels)
    np.testing.assert_allclose(scores.numpy(), expected(family, temperature(1.4), pixels), atol=1e-6)
    mapper = Mapper(unfold(net(family)))
    for number in range(len(labels_of(family))):
        np.testing.assert_allclose(maps.numpy()[..., number], mapper.maps(pixels, number).heat, atol=1e-4)


@pytest.mark.parametrize("family", ["flattened", "dense"])
def test_nets_without_an_average_have_no_maps(family: str) -> None:
    assert model_with_maps(net(family), CONTRACT, None) is None


@pytest.mark.parametrize("form", [TfjsForm.UINT8, TfjsForm.UINT16])
def test_levels_are_within_half_a_step_of_each_channels_own_range(form: TfjsForm) -> None:
    rng = np.random.default_rng(4)
    value = (rng.normal(size=(3, 3, 4, 8)) * np.logspace(-4, 1, 8)).astype(np.float32)
    value[..., 5] = 0.0
    found = levelled("kernel", value, (3,), form)
    back = found.levels.value.astype(np.float32) * found.scale + found.shift
    rounding = 2e-7 * np.abs(found.shift)  # of float32, where the page puts it together
    assert (np.abs(back - value) <= found.scale * 0.501 + rounding).all()
    assert (back[..., 5] == 0).all()
    assert found.levels.entry()["quantization"]["dtype"] == form.value


def test_biases_and_small_constants_stay_exact(tmp_path: Path) -> None:
    path = written("sigmoid", "tfjs-uint8", tmp_path)
    (group,) = json.loads((path / "model.json").read_text())["weightsManifest"]
    for weight in group["weights"]:
        if "quantization" in weight:
            assert len(weight["shape"]) >= 2
            assert np.prod(weight["shape"]) >= 256
    assert any("quantization" in weight for weight in group["weights"])


def test_the_edge_tpu_check_names_what_the_compiler_would_refuse() -> None:
    model = shipped_model(net("sigmoid"), CONTRACT, None)
    pixels = images(64).astype(np.uint8)
    ready = check_edge_tpu(convert(model, form=TfliteForm.UINT8, representative=pixels))
    assert not ready.problems
    assert {"CONV_2D", "DEPTHWISE_CONV_2D"} <= set(ready.operators)
    floats = check_edge_tpu(convert(model))
    assert any("FLOAT32" in problem for problem in floats.problems)
    batch = check_edge_tpu(convert(model, batch_size=None))
    assert any("batch" in problem for problem in batch.problems)


def test_the_calibration_behind_added_up_classes_stays_on_the_cpu() -> None:
    model = shipped_model(net("collapsed"), CONTRACT, temperature(1.4), floor=EIGHT_BIT_FLOOR)
    check = check_edge_tpu(convert(model, form=TfliteForm.UINT8, representative=images(64).astype(np.uint8)))
    assert not check.problems
    assert check.on_cpu[0] == "LOG"


def exponential_net(scale: float) -> Any:
    keras = load().keras
    image = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(4, 3, activation=keras.ops.exp)(keras.layers.Rescaling(scale)(image))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(x))
    return keras.Model(image, keras.layers.Dense(2, activation="softmax")(x), name="net")


def test_a_net_that_the_edge_tpu_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    shipped = replace(shipment("sigmoid", "edgetpu", None), model=exponential_net(1 / 255))
    with pytest.raises(Fault, match="EXP"):
        export_edge_tpu(shipped, tmp_path / "model.tflite")
    assert not (tmp_path / "model.tflite").exists()


def test_activations_that_overflow_are_refused_before_they_end_the_process() -> None:
    """TensorFlow's quantizer ends in a segmentation fault there."""
    with pytest.raises(Fault, match=r"activations overflow \(at .*Exp"):
        convert(exponential_net(100.0), form=TfliteForm.UINT8, representative=images(24).astype(np.uint8))
    assert convert(exponential_net(100.0)), "in float32 it is the model's affair"
