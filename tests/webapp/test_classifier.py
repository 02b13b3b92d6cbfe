"""The page's classifier says what Keras says: in Chromium from the same files, in Node from the same pixels."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.bundle import Preprocessing
from cxr.golden import golden_images
from cxr.local_baseline.exports.tfjs import export_tfjs
from cxr.local_baseline.exports.tfjs_weights import TfjsForm
from cxr.local_baseline.images.preprocess import load_image
from cxr.local_baseline.models.build import build_model
from cxr.local_baseline.recipes import EDGE, FLAGSHIP, MOBILENET_V2
from cxr.local_baseline.tensorflow_setup import load

Run = Callable[..., Any]
CONTRACT = Preprocessing(32, 40, 3)
#: The activations that `--set activation=…` knows.
ACTIVATIONS = ("relu", "relu6", "elu", "selu", "gelu", "swish", "tanh", "leaky_relu")


def small_net() -> Any:
    """A net that uses every activation and both poolings; scores far from one half."""
    keras = load().keras
    keras.utils.set_random_seed(4)
    image = keras.Input((CONTRACT.height, CONTRACT.width, CONTRACT.channels))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = keras.layers.Conv2D(8, 3, padding="same")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.MaxPooling2D(padding="same")(x)
    for number, activation in enumerate(ACTIVATIONS):
        layer = (
            keras.layers.DepthwiseConv2D
            if number % 2
            else lambda size, **options: keras.layers.Conv2D(8, size, **options)
        )
        x = keras.layers.Activation(activation)(layer(3, padding="same")(x)) + x
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid", bias_initializer="ones")(x))


@pytest.fixture(scope="module")
def net() -> Any:
    """`small_net`, once."""
    return small_net()


@pytest.fixture(scope="module")
def exported(net: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its TF.js export."""
    folder = tmp_path_factory.mktemp("small-net")
    export_tfjs(net, folder, batch_size=1)
    return folder


def keras_scores(model: Any, files: Sequence[Path], contract: Preprocessing) -> np.ndarray:
    """Probability of the second class, by Keras from Python's pixels."""
    pixels = np.stack([load_image(path, contract) for path in files]).astype(np.float32)
    return np.asarray(model(pixels, training=False))[:, -1]


def exact_images() -> list[Path]:
    return [path for path in golden_images() if path.name != "cmyk.jpeg"]


def test_chromium_gives_kerass_probabilities_from_the_same_files(net: Any, exported: Path, verify: Run) -> None:
    files = exact_images()
    told = verify(files, CONTRACT, exported)
    assert told["backend"] == "wasm"
    scores = np.array([image["probabilities"] for image in told["images"]])
    assert np.abs(scores.sum(axis=1) - 1).max() < 1e-6
    expected = keras_scores(net, files, CONTRACT)
    assert np.ptp(expected) > 0.02
    assert np.abs(scores[:, 1] - expected).max() < 1e-4


def test_fifty_images_leave_no_tensor_behind(exported: Path, verify: Run) -> None:
    told = verify((exact_images() * 4)[:50], CONTRACT, exported, pixels=False)
    assert len(told["images"]) == 50
    before, after = told["tensors"]
    assert after == before


def test_nothing_is_asked_of_any_other_host_and_the_security_policy_holds(
    exported: Path, verify: Run, site: Any
) -> None:
    verify(exact_images()[:1], CONTRACT, exported)
    assert all(url.startswith("https://cxr.invalid/") for url in site.asked)
    wasm = [url for url in site.asked if url.endswith(".wasm")]
    assert [url.rsplit("/", 1)[1] for url in wasm] == ["tfjs-backend-wasm-simd.wasm"]
    assert site.problems == []


@pytest.mark.parametrize("missing", ["engine", "file"])
def test_without_webassembly_plain_javascript_gives_the_same(
    missing: str, net: Any, exported: Path, site: Any, request: pytest.FixtureRequest
) -> None:
    if missing == "engine":
        site.page.add_init_script("delete globalThis.WebAssembly")
    else:
        site.hide("wasm")
    files = exact_images()[:3]
    told = request.getfixturevalue("verify")(files, CONTRACT, exported)
    assert told["backend"] == "cpu"
    scores = np.array([image["probabilities"][1] for image in told["images"]])
    assert np.abs(scores - keras_scores(net, files, CONTRACT)).max() < 1e-4


def test_software_graphics_are_not_used_even_when_asked_for(exported: Path, verify: Run) -> None:
    assert verify([], CONTRACT, exported, backends=["webgpu", "webgl"])["backend"] == "wasm"


def test_an_image_that_cannot_be_read_does_not_end_the_others(exported: Path, verify: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    first, second = verify([tmp_path / "broken.png", *exact_images()[:1]], CONTRACT, exported)["images"]
    assert first["error"]["code"] == "damaged"
    assert len(second["probabilities"]) == 2


# ---- in Node


@pytest.fixture
def score_in_node(node: str, static_files: Path) -> Run:
    """verify-node.mjs: `score(model_folder, pixels, *options)` to its lines, or its errors as text."""

    def run(folder: Path, pixels: np.ndarray, *options: str) -> Any:
        command = [node, static_files / "verify-node.mjs", folder, "-", *map(str, pixels.shape[1:]), *options]
        ran = subprocess.run(command, input=pixels.tobytes(), capture_output=True, timeout=240, check=False)
        if ran.returncode:
            return ran.stderr.decode()
        return [json.loads(line) for line in ran.stdout.splitlines()]

    return run


def noise(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(8).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet-v2", "flagship", "edge"])
def test_recipes_run_on_the_kernels_that_the_page_carries(name: str, score_in_node: Run, tmp_path: Path) -> None:
    recipe = {"mobilenet-v2": MOBILENET_V2, "flagship": FLAGSHIP, "edge": EDGE}[name]
    load().keras.utils.set_random_seed(5)
    model = build_model(recipe, 2, "none")
    pixels = noise(2, *model.input_shape[1:])
    model(pixels.astype(np.float32), training=True)  # statistics that are not those of the first moment
    export_tfjs(model, tmp_path, batch_size=1)
    head, *images, tail = score_in_node(tmp_path, pixels)
    assert (head["backend"], len(images)) == ("wasm", 2)
    expected = model(pixels.astype(np.float32)).numpy()[:, -1]
    assert np.abs([image["probabilities"][1] for image in images] - expected).max() < 1e-4
    assert tail["tensors"][0] == tail["tensors"][1]


@pytest.mark.parametrize("form", [TfjsForm.UINT8, TfjsForm.UINT16])
def test_levels_become_weights_once_when_the_model_is_loaded(
    form: TfjsForm, net: Any, exported: Path, score_in_node: Run, tmp_path: Path
) -> None:
    export_tfjs(net, tmp_path, batch_size=1, form=form)
    entries = json.loads((tmp_path / "model.json").read_text())["weightsManifest"][0]["weights"]
    assert sum("quantization" in entry for entry in entries) >= 3
    pixels = noise(1, CONTRACT.height, CONTRACT.width, CONTRACT.channels)
    alive = [score_in_node(folder, pixels)[-1]["tensors"][1] for folder in (exported, tmp_path)]
    assert alive[1] == alive[0]  # no levels, scales and shifts beside the weights


def graph_model(folder: Path, nodes: list[dict[str, Any]], weights: dict[str, np.ndarray], outputs: list[str]) -> None:
    """A TF.js graph model written by hand: input `image` [-1, 4, 6, 1]."""
    shapes = {name: [{"size": str(size)} for size in value.shape] for name, value in weights.items()}
    kinds = {np.dtype(np.float32): "DT_FLOAT", np.dtype(np.int32): "DT_INT32"}
    constants = [
        {
            "name": name,
            "op": "Const",
            "attr": {
                "dtype": {"type": kinds[value.dtype]},
                "value": {"tensor": {"dtype": kinds[value.dtype], "tensorShape": {"dim": shapes[name]}}},
            },
        }
        for name, value in weights.items()
    ]
    image = {"dim": [{"size": size} for size in ("-1", "4", "6", "1")]}
    placeholder = {
        "name": "image",
        "op": "Placeholder",
        "attr": {"dtype": {"type": "DT_FLOAT"}, "shape": {"shape": image}},
    }
    signature = {
        "inputs": {"image": {"name": "image:0", "dtype": "DT_FLOAT", "tensorShape": image}},
        "outputs": {name: {"name": f"{name}:0", "dtype": "DT_FLOAT"} for name in outputs},
    }
    entries = [{"name": name, "shape": list(value.shape), "dtype": str(value.dtype)} for name, value in weights.items()]
    document = {
        "format": "graph-model",
        "signature": signature,
        "modelTopology": {"node": [placeholder, *constants, *nodes], "versions": {"producer": 1}},
        "weightsManifest": [{"paths": ["weights.bin"], "weights": entries}],
    }
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(json.dumps(document))
    (folder / "weights.bin").write_bytes(b"".join(value.tobytes() for value in weights.values()))


FLOAT = {"T": {"type": "DT_FLOAT"}}


def test_maps_are_handed_on_beside_the_probabilities(score_in_node: Run, tmp_path: Path) -> None:
    kernel = np.array([0.5, -0.25], np.float32).reshape(1, 1, 1, 2)
    nodes = [
        {"name": "maps", "op": "Conv2D", "input": ["image", "kernel"], "attr": {
            **FLOAT, "strides": {"list": {"i": ["1", "1", "1", "1"]}}, "padding": {"s": "VkFMSUQ="},
            "data_format": {"s": "TkhXQw=="}, "dilations": {"list": {"i": ["1", "1", "1", "1"]}}}},
        {"name": "mean", "op": "Mean", "input": ["maps", "places"], "attr": {**FLOAT, "keep_dims": {"b": False}}},
        {"name": "scores", "op": "Softmax", "input": ["mean"], "attr": FLOAT},
    ]  # fmt: skip
    graph_model(tmp_path, nodes, {"kernel": kernel, "places": np.array([1, 2], np.int32)}, ["scores", "maps"])
    pixels = noise(2, 4, 6, 1) // 64
    _, *images, _ = score_in_node(tmp_path, pixels, "--maps")
    for image, grey in zip(images, pixels, strict=True):
        expected = grey.astype(np.float32) * kernel.reshape(1, 1, 2)
        assert (image["maps"]["height"], image["maps"]["width"]) == (4, 6)
        assert np.abs(np.array(image["maps"]["data"]).reshape(4, 6, 2) - expected).max() < 1e-5
        logits = expected.mean(axis=(0, 1))
        assert np.abs(image["probabilities"] - np.exp(logits) / np.exp(logits).sum()).max() < 1e-5


def test_a_model_for_another_use_is_refused_with_what_is_wrong(score_in_node: Run, tmp_path: Path) -> None:
    graph_model(tmp_path / "odd", [{"name": "scores", "op": "Acos", "input": ["image"], "attr": FLOAT}], {}, ["scores"])
    assert score_in_node(tmp_path / "odd", noise(1, 4, 6, 1)).startswith("missing-kernel: ")
    same = [{"name": "scores", "op": "Relu", "input": ["image"], "attr": FLOAT}]
    graph_model(tmp_path / "small", same, {}, ["scores"])
    assert "wrong-input" in score_in_node(tmp_path / "small", noise(1, 5, 6, 1))
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers" / "model.json").write_text('{"format": "layers-model", "weightsManifest": []}')
    assert "no-model" in score_in_node(tmp_path / "layers", noise(1, 5, 6, 1))


def test_pixels_are_scaled_outside_where_the_contract_says_so(score_in_node: Run, tmp_path: Path) -> None:
    graph_model(tmp_path, [{"name": "scores", "op": "Relu", "input": ["image"], "attr": FLOAT}], {}, ["scores"])
    pixels = noise(1, 4, 6, 1)
    _, image, _ = score_in_node(tmp_path, pixels, "--scale", "0.5", "--offset", "3")
    assert np.abs(np.array(image["probabilities"]) - (pixels.ravel() * 0.5 + 3)).max() < 1e-5
