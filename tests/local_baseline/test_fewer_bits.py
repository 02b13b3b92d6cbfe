"""Weights in fewer bits: which of them lose any, and that biases make up for what rounding does on average."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from cxr.local_baseline.exports import tflite
from cxr.local_baseline.exports.bias_correction import with_corrected_biases
from cxr.local_baseline.exports.flatbuffer import constant, linear_operators, operator_names, packed, read_tree
from cxr.local_baseline.exports.tflite import TfliteForm, convert
from cxr.local_baseline.exports.tflite_weights import MIDDLE, in_half_precision, with_finer_kernels
from cxr.local_baseline.tensorflow_setup import load

pytestmark = pytest.mark.slow

SIDE = 24
#: Filters of the net's last convolution: 3 x 3 x 24 x 96 values are more than MIDDLE.
WIDE = 96
#: Values of its second last one: more than the converter leaves alone, fewer than MIDDLE.
MIDDLING = 3 * 3 * 16 * 24


@lru_cache
def net() -> Any:
    """Convolutions small, middling and large, and a depthwise one whose channels differ by orders of magnitude;
    no batch norm, so that the converter folds nothing."""
    keras = load().keras
    layers = keras.layers
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = layers.Rescaling(1 / 127.5, -1.0)(image)
    x = layers.Conv2D(16, 3, strides=2, activation="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = layers.Conv2D(24, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(WIDE, 3, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(2, activation="softmax")(x))
    depthwise = model.get_layer("depthwise")
    kernel, bias = depthwise.get_weights()
    spread = np.logspace(-1.5, 1, kernel.shape[2], dtype=np.float32)[None, None, :, None]
    depthwise.set_weights([kernel * spread, bias + 0.05])
    dense = model.layers[-1]
    kernel, bias = dense.get_weights()
    sums = keras.Model(image, dense.input).predict(pixels().astype(np.float32), verbose=0)
    # So that probabilities differ from image to image and lie on both sides of a half.
    steep = 2.0 / (sums @ (kernel[:, 1] - kernel[:, 0])).std()
    middle = (sums @ kernel * steep).mean(axis=0)
    dense.set_weights([kernel * steep, bias - middle])
    return model


@lru_cache
def pixels(seed: int = 1, count: int = 48) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, SIDE, SIDE, 1), dtype=np.uint8) // random.integers(1, 6, (count, 1, 1, 1))


@lru_cache
def exact() -> bytes:
    return convert(net())


def kernels(model: bytes) -> dict[str, Any]:
    """`KIND values` -> the type that the kernel is stored in, and its values."""
    tree = read_tree(model)
    tensors = tree.subgraphs[0].tensors
    made_by = {operator.outputs[0]: operator.inputs[0] for operator in tree.subgraphs[0].operators}
    found = {}
    for name, operator in linear_operators(tree):
        place = operator.inputs[1]
        stored = constant(tree, place)
        if stored is None:
            stored = constant(tree, made_by[place])
        assert stored is not None
        found[f"{name} {int(np.prod(tensors[place].shape))}"] = stored
    return found


def scores(model: bytes, images: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    [given], [made] = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for image in images:
        values = image[None].astype(np.float32)
        if given["dtype"] == np.int8:
            values = (values - 128).astype(np.int8)
        interpreter.set_tensor(given["index"], values)
        interpreter.invoke()
        out = interpreter.get_tensor(made["index"])[0].astype(np.float64)
        scale, zero = made["quantization"]
        found.append((out - zero) * scale if scale else out)
    return np.array(found)


def test_in_half_precision_depthwise_kernels_and_biases_are_exact() -> None:
    halved, full = kernels(in_half_precision(exact())), kernels(exact())
    assert {name: kernel.dtype.name for name, kernel in halved.items()} == {
        "CONV_2D 144": "float32",  # too small to count
        "DEPTHWISE_CONV_2D 144": "float32",
        f"CONV_2D {MIDDLING}": "float16",
        f"CONV_2D {3 * 3 * 24 * WIDE}": "float16",
        "FULLY_CONNECTED 192": "float32",
    }
    for name, kernel in halved.items():
        assert np.array_equal(kernel, full[name].astype(kernel.dtype)), name


def test_a_halved_file_is_about_half_as_large_and_says_nearly_the_same() -> None:
    halved = in_half_precision(exact())
    assert len(halved) < 0.65 * len(exact())
    assert np.abs(scores(halved, pixels()) - scores(exact(), pixels())).max() < 2e-3


def test_of_8_bit_weights_only_large_kernels_are_left() -> None:
    found = {name: kernel.dtype.name for name, kernel in kernels(convert(net(), form=TfliteForm.DYNAMIC)).items()}
    assert found[f"CONV_2D {3 * 3 * 24 * WIDE}"] == "int8"
    assert 3 * 3 * 24 * WIDE >= MIDDLE
    assert found["DEPTHWISE_CONV_2D 144"] == "float32"
    assert found[f"CONV_2D {MIDDLING}"] == "float16"  # the converter has it in 8 bits


@pytest.mark.slow
def test_finer_kernels_come_closer_than_the_converters_own(monkeypatch: pytest.MonkeyPatch) -> None:
    finer = convert(net(), form=TfliteForm.DYNAMIC)
    monkeypatch.setattr(tflite, "with_finer_kernels", lambda model, _: model)
    plain = convert(net(), form=TfliteForm.DYNAMIC)
    wanted = scores(exact(), pixels())
    assert np.abs(scores(finer, pixels()) - wanted).mean() < np.abs(scores(plain, pixels()) - wanted).mean()


def _plain_int8(monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(tflite, "with_corrected_biases", lambda model, *_: model)
    return convert(net(), form=TfliteForm.INT8, representative=pixels())


def test_corrected_biases_halve_the_mean_shift_of_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _plain_int8(monkeypatch)
    corrected = with_corrected_biases(plain, exact(), pixels())
    fresh = pixels(seed=2)
    wanted = scores(exact(), fresh)

    def shift(model: bytes) -> float:
        return float(np.abs((scores(model, fresh) - wanted).mean(axis=0)).max())

    assert shift(corrected) < 0.5 * shift(plain)


def test_the_correction_changes_biases_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _plain_int8(monkeypatch)
    before, after = read_tree(plain), read_tree(with_corrected_biases(plain, exact(), pixels()))
    assert list(operator_names(before)) == list(operator_names(after))
    biases = {operator.inputs[2] for _, operator in linear_operators(before)}
    changed = set()
    for place, (old, new) in enumerate(zip(before.subgraphs[0].tensors, after.subgraphs[0].tensors, strict=True)):
        assert old.type == new.type
        if old.quantization is not None and old.quantization.scale is not None:
            assert np.array_equal(old.quantization.scale, new.quantization.scale)
        values = constant(before, place)
        if values is not None and not np.array_equal(values, constant(after, place)):
            changed.add(place)
    assert changed
    assert changed <= biases


@pytest.mark.slow
def test_nets_whose_layers_do_not_correspond_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _plain_int8(monkeypatch)
    tree = read_tree(exact())
    graph = tree.subgraphs[0]
    last = max(i for i, name in enumerate(operator_names(tree)) if name == "FULLY_CONNECTED")
    graph.outputs = [graph.operators[last].inputs[0]]
    graph.operators = graph.operators[:last]
    tree.signatureDefs = None
    shorter = packed(tree)
    assert with_corrected_biases(plain, shorter, pixels()) == plain
    assert with_finer_kernels(plain, shorter) == plain
