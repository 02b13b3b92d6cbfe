"""Every exported file says what the Keras model says, on the same golden pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from label_file import read_labels

from cxr.bundle import Bundle
from cxr.local_baseline.exports.saved_model import export_saved_model
from cxr.local_baseline.exports.tfjs import SHARD_BYTES, export_tfjs
from cxr.local_baseline.exports.tflite import TfliteForm, export_tflite
from cxr.local_baseline.models.build import build_model, without_scaling
from cxr.local_baseline.recipes import EDGE, MOBILENET_V2
from cxr.local_baseline.tensorflow_setup import load

LABELS = ("NORMAL", "PNEUMONIA")
ScoreInNode = Callable[[Path, np.ndarray], dict[str, Any]]


@pytest.fixture(scope="module")
def cnn5(small_bundle: Bundle) -> Any:
    """The trained five-block net."""
    return load().keras.models.load_model(small_bundle.model_path)


@pytest.fixture(scope="module")
def edge() -> Any:
    """The edge net with batch-norm statistics as after training, so that its scores differ from image to image."""
    load().keras.utils.set_random_seed(3)
    model = build_model(EDGE, 2, "none")
    for images in np.split(golden(model, 24), 3):
        model(images, training=True)
    return model


def golden(model: Any, count: int = 4) -> np.ndarray:
    """Pixels 0..255, float32 [count, H, W, C]: blobs of different size and place."""
    _, height, width, channels = model.input_shape
    y, x = np.mgrid[:height, :width] / height
    rng = np.random.default_rng(5)
    images = [
        40 + 200 * np.exp(-((y - rng.random()) ** 2 + (x - rng.random()) ** 2) / rng.uniform(0.01, 0.2))
        for _ in range(count)
    ]
    stacked = np.stack(images)[..., None].repeat(channels, -1) + rng.normal(0, 8, (count, height, width, channels))
    return np.clip(np.rint(stacked), 0, 255).astype(np.float32)


def lite_scores(path: Path, images: np.ndarray) -> np.ndarray:
    """Scores of a TFLite file in LiteRT, dequantised by the tensor's details."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    given, scores = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for image in images:
        interpreter.set_tensor(given["index"], image[None].astype(given["dtype"]))
        interpreter.invoke()
        raw = interpreter.get_tensor(scores["index"])[0].astype(np.float64)
        scale, zero = scores["quantization"]
        rows.append((raw - zero) * scale if scale else raw)
    return np.array(rows)


def test_saved_model_says_what_keras_says(cnn5: Any, tmp_path: Path) -> None:
    export_saved_model(cnn5, tmp_path / "saved_model")
    served = load().tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    images = golden(cnn5)
    assert list(served.structured_input_signature[1]) == ["image"]
    assert np.abs(served(image=images)["scores"].numpy() - cnn5(images).numpy()).max() < 1e-6


def test_tflite_says_what_keras_says_with_a_score_for_each_label(cnn5: Any, tmp_path: Path) -> None:
    export_tflite(cnn5, tmp_path / "model.tflite", LABELS)
    images = golden(cnn5)
    expected = cnn5(images).numpy()[:, 0]
    scores = lite_scores(tmp_path / "model.tflite", images)
    assert scores.shape == (4, 2)
    assert np.abs(scores[:, 1] - expected).max() < 1e-5
    assert np.abs(scores.sum(axis=1) - 1).max() < 1e-6


@pytest.mark.slow
def test_the_uint8_tflite_keeps_the_contracts_tensors_and_nearly_the_scores(edge: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    images = golden(edge, 24)
    export_tflite(edge, path, LABELS, form=TfliteForm.UINT8, representative=images.astype(np.uint8))
    interpreter = Interpreter(str(path))
    given, scores = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert (given["dtype"], given["shape"].tolist()) == (np.uint8, [1, 224, 224, 3])
    assert (scores["dtype"], scores["shape"].tolist()) == (np.uint8, [1, 2])
    assert given["quantization"] == (1.0, 0)
    assert np.abs(lite_scores(path, images) - edge(images).numpy()).max() < 0.05


def test_the_labels_and_what_they_label_are_inside_the_tflite_file(edge: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    export_tflite(edge, path, LABELS, description="a stand-in")
    data = path.read_bytes()
    assert read_labels(data) == list(LABELS)
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    model = schema.Model.GetRootAsModel(data, 0)
    assert model.Metadata(model.MetadataLength() - 1).Name() == b"TFLITE_METADATA"
    buffer = model.Buffers(model.Metadata(model.MetadataLength() - 1).Buffer()).DataAsNumpy().tobytes()
    assert buffer[4:8] == b"M001"
    root = Table(buffer, flatbuffers.encode.Get(flatbuffers.packer.uoffset, buffer, 0))
    assert root.text(1) == "a stand-in"
    graph = root.tables(3)[0]
    assert [table.text(0) for table in (*graph.tables(2), *graph.tables(3))] == ["image", "scores"]
    file = graph.tables(3)[0].tables(6)[0]
    assert file.text(0) == "labels.txt"
    assert file.byte(2) == 2  # TENSOR_AXIS_LABELS


def test_a_graph_model_has_the_contracts_ends_and_shards_of_four_megabytes(cnn5: Any, tmp_path: Path) -> None:
    export_tfjs(cnn5, tmp_path, batch_size=1, metadata={"stand_in": True})
    document = json.loads((tmp_path / "model.json").read_text())
    nodes = {node["name"]: node["op"] for node in document["modelTopology"]["node"]}
    assert nodes["image"] == "Placeholder"
    assert "scores" in nodes
    assert document["signature"]["outputs"]["scores"]["tensorShape"] == {"dim": [{"size": "1"}, {"size": "2"}]}
    assert document["userDefinedMetadata"] == {"stand_in": True}
    (group,) = document["weightsManifest"]
    assert group["paths"] == ["group1-shard1of2.bin", "group1-shard2of2.bin"]
    sizes = [(tmp_path / name).stat().st_size for name in group["paths"]]
    assert sizes[0] == SHARD_BYTES
    assert sum(sizes) == sum(4 * int(np.prod(weight["shape"])) for weight in group["weights"])
    assert {weight["name"] for weight in group["weights"]} == {name for name, op in nodes.items() if op == "Const"}


def test_batch_norm_is_folded_into_the_edge_nets_convolutions(edge: Any, tmp_path: Path) -> None:
    export_tfjs(without_scaling(edge), tmp_path, batch_size=1)
    nodes = json.loads((tmp_path / "model.json").read_text())["modelTopology"]["node"]
    ops = [node["op"] for node in nodes]
    assert ops.count("_FusedConv2D") == 6
    assert "Conv2D" not in ops
    assert "Rsqrt" not in ops
    assert "FusedBatchNormV3" not in ops


@pytest.mark.parametrize("name", ["cnn5", "edge", "mobilenet-v2"])
def test_tfjs_in_node_says_what_keras_says(
    name: str, cnn5: Any, edge: Any, score_in_node: ScoreInNode, tmp_path: Path
) -> None:
    models = {"cnn5": lambda: cnn5, "edge": lambda: edge, "mobilenet-v2": lambda: build_model(MOBILENET_V2, 2, "none")}
    model = models[name]()
    images = golden(model, 2)
    expected = model(images).numpy()
    if name == "edge":  # the AutoML contract: scaled outside
        model, images = without_scaling(model), images / np.float32(127.5) - np.float32(1)
    export_tfjs(model, tmp_path / "tf-js", batch_size=1)
    said = score_in_node(tmp_path / "tf-js", images)
    assert (said["inputs"], said["outputs"]) == (["image"], ["scores"])
    scores = np.array(said["scores"])
    assert scores.shape == (2, 2)
    assert np.abs(scores[:, 1] - expected[:, -1]).max() < 1e-4


class Table:
    """A flatbuffer table, read by field number: enough to check what was written."""

    def __init__(self, data: bytes, position: int) -> None:
        self._table = flatbuffers.table.Table(bytearray(data), position)
        self._data = data

    def text(self, field: int) -> str:
        return self._table.String(self._at(field)).decode()

    def byte(self, field: int) -> int:
        return self._data[self._at(field)]

    def tables(self, field: int) -> list[Table]:
        offset = self._table.Offset(4 + 2 * field)
        start, count = self._table.Vector(offset), self._table.VectorLen(offset)
        return [Table(self._data, self._table.Indirect(start + 4 * number)) for number in range(count)]

    def _at(self, field: int) -> int:
        return self._table.Pos + self._table.Offset(4 + 2 * field)
