"""A model from elsewhere is layers and weights, or it is not loaded."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.compare.predictors.saved_model_files import allowed_operations, load_saved_model
from cxr.errors import InputError
from cxr.local_baseline.models.keras_files import check_keras_file, load_keras
from cxr.local_baseline.tensorflow_setup import load

DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}, "registered_name": None}


def keras_file(path: Path, *layers: Any) -> Path:
    """A .keras file with these layers, as far as they are looked at before it is loaded."""
    model = {"module": "keras", "class_name": "Sequential", "config": {"name": "net", "layers": list(layers)}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(model))
    return path


def test_layers_of_keras_may_be_loaded(tmp_path: Path) -> None:
    activation = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}
    source = {"module": "keras.src.layers.core.dense", "class_name": "Dense", "config": {"activation": activation}}
    check_keras_file(keras_file(tmp_path / "a.keras", DENSE, source))


@pytest.mark.parametrize(
    "layer",
    [
        {"module": "keras.layers", "class_name": "Lambda", "config": {"function": {"class_name": "__lambda__"}}},
        {"module": "os", "class_name": "function", "config": "system"},
        {"module": "subprocess", "class_name": "Popen", "config": {"args": "id"}},
        {"module": "keras.utils", "class_name": "function", "config": "get_file"},
        {"module": "keras.models", "class_name": "function", "config": "load_model"},
        {"module": "keras.src.saving.saving_api", "class_name": "function", "config": "load_model"},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/tmp/other"}},
        {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
        {"module": "evil", "class_name": "Dense", "config": {}},
        {"module": "keras.layers.evil\nimport os", "class_name": "Dense", "config": {}},
        {"module": "keras_evil", "class_name": "Dense", "config": {}},
        {"module": ["os"], "class_name": "Dense", "config": {}},
        {**DENSE, "config": {"activation": {"deep": [{"module": "builtins2", "class_name": "eval"}]}}},
        {"class_name": "Lambda", "config": {}},
        {"module": None, "class_name": "Custom>Lambda", "config": {}},
        {"module": "keras", "class_name": "layers.Lambda", "config": {}},
        {"module": "keras", "class_name": "layers.core.lambda_layer.Lambda", "config": {}},
        {"module": "keras", "class_name": "Custom>layers.Lambda", "config": {}},
        {"module": "keras", "class_name": "Custom>a>Lambda", "config": {}},
        {"module": "keras", "class_name": ["Lambda"], "config": {}},
        {"module": "builtins", "class_name": "function", "config": "models.load_model"},
        {"module": "keras.random", "class_name": "shuffle", "config": {}},
        {"module": "keras.random", "class_name": "function", "config": "SeedGenerator"},
    ],
    ids=lambda layer: f"{layer.get('module')}-{layer['class_name']}-{str(layer.get('config'))[:12]}".replace("\n", ""),
)
def test_a_keras_file_with_code_is_refused_before_it_is_loaded(tmp_path: Path, layer: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="more than layers and weights"):
        check_keras_file(keras_file(tmp_path / "a.keras", DENSE, layer))


def test_the_seed_of_an_initializer_and_whole_numbers_of_a_net_may_be_loaded(tmp_path: Path) -> None:
    """As Keras writes them: the slow test beside this one has it write them."""
    for module in ("keras.random", "keras.src.random.seed_generator"):
        seed = {"module": module, "class_name": "SeedGenerator", "config": {"seed": 1}, "registered_name": None}
        quantizer = {"module": "keras.quantizers", "class_name": "AbsMaxQuantizer", "config": {"axis": [-1]}}
        layer = {**DENSE, "config": {"kernel_initializer": {"config": {"seed": seed}}, "inputs_quantizer": quantizer}}
        check_keras_file(keras_file(tmp_path / "a.keras", layer))


@pytest.mark.slow
def test_a_seeded_and_a_quantized_net_are_loaded(tmp_path: Path) -> None:
    import keras

    seed = keras.random.SeedGenerator(1)
    dense = keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed=seed))
    net = keras.Sequential([keras.Input((4,)), dense, keras.layers.Dropout(0.1, seed=1)])
    net.save(tmp_path / "seeded.keras")
    net.quantize("int8")
    net.save(tmp_path / "quantized.keras")
    for name, named in (("seeded", "SeedGenerator"), ("quantized", "keras.quantizers")):
        path = tmp_path / f"{name}.keras"
        with zipfile.ZipFile(path) as archive:
            assert named in archive.read("config.json").decode()
        assert load_keras(path).output_shape == (None, 2)


def test_a_keras_file_of_nests_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", '{"a":' * 50_000)
    with pytest.raises(InputError, match="nested too deeply"):
        check_keras_file(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"pickled"], ids=repr)
def test_what_is_no_keras_file_is_refused_in_words(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.keras").write_bytes(data)
    with pytest.raises(InputError, match="cannot load the model"):
        check_keras_file(tmp_path / "a.keras")


def h5_file(path: Path, *layers: Any) -> Path:
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
    return path


def test_the_older_files_of_keras_are_looked_at_too(tmp_path: Path) -> None:
    layer = {"class_name": "Lambda", "config": {"function": ["cGlja2xl", None, None]}}
    with pytest.raises(InputError, match="more than layers and weights"):
        check_keras_file(h5_file(tmp_path / "a.h5", DENSE, layer))
    with pytest.raises(InputError, match="more than layers and weights"):
        check_keras_file(h5_file(tmp_path / "a.hdf5", layer))
    check_keras_file(h5_file(tmp_path / "plain.h5", DENSE))


def test_a_file_that_is_both_of_keras_formats_is_neither(tmp_path: Path) -> None:
    """Keras goes by the end of the name, and would load what no one has looked at."""
    path = h5_file(tmp_path / "a.h5", {"class_name": "Lambda", "config": {}})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(InputError, match="zip archive too"):
        check_keras_file(path)
    with pytest.raises(InputError, match="no zip archive"):
        check_keras_file(h5_file(tmp_path / "a.keras", DENSE))
    with pytest.raises(InputError, match=r"end in \.keras"):
        check_keras_file(keras_file(tmp_path / "a.zip", DENSE))


def test_arrays_that_are_pickles_are_not_loaded(tmp_path: Path) -> None:
    """NumPy loads objects only when asked; nothing here asks (see test_forbidden_calls)."""
    from cxr.local_baseline.images.row_file import open_rows

    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name in ("a.npy", "a.sums.npy", "a.crc.npy"):
        (tmp_path / name).write_bytes(stream.getvalue())
    assert open_rows(tmp_path / "a.npy", (1, 2, 2, 1)) is None


@pytest.mark.slow
def test_code_in_a_real_keras_file_does_not_run(tmp_path: Path) -> None:
    import keras

    marker = tmp_path / "ran"
    path = tmp_path / "a.keras"
    code = f"open({str(marker)!r}, 'w') and x"
    layer = keras.layers.Lambda(eval(f"lambda x: {code}"), output_shape=(2,))
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), layer]).save(path)
    marker.unlink(missing_ok=True)
    with pytest.raises(InputError, match="more than layers and weights"):
        load_keras(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "operation",
    [
        "ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "EagerPyFunc", "ImmutableConst", "RecordInput",
        "Skipgram", "FixedUnigramCandidateSampler", "DecodeProtoV2", "EncodeProto", "FileSystemSetConfiguration",
        "LMDBReader", "InitializeTableFromTextFileV2", "LoadAndRemapMatrix", "GenerateVocabRemapping",
        "TextLineDataset", "SaveDatasetV2", "WriteSummary", "DebugIdentityV2", "DumpTensor", "RpcCall",
        "RemoteCall", "BigQueryReader", "Save", "SaveSlices", "Restore", "RestoreSlice", "CollectiveReduceV2",
        "XlaCallModule", "XlaCustomCall", "TPUExecute", "Abort", "_Recv", "CheckpointHasV2", "of-no-kind",
    ],
)  # fmt: skip
def test_what_reaches_out_is_on_no_list(operation: str) -> None:
    assert operation not in allowed_operations()


def test_what_image_classifiers_are_made_of_is() -> None:
    """As this program, the service's exports, Teachable Machine and Keras write them."""
    usual = [
        "Const", "Placeholder", "Identity", "NoOp", "VarHandleOp", "ReadVariableOp", "AssignVariableOp",
        "VarIsInitializedOp", "DisableCopyOnRead", "StatefulPartitionedCall", "PartitionedCall", "While",
        "StatelessWhile", "If", "StatelessIf", "Conv2D", "Relu", "Relu6", "DepthwiseConv2dNative",
        "FusedBatchNormV3", "MaxPool", "AvgPool", "Mean", "BiasAdd", "MatMul", "Softmax", "Sigmoid", "AddV2", "Mul",
        "Pad", "Erfc", "DecodeJpeg", "DecodePng", "DecodeImage", "ResizeBilinear", "ExpandDims", "Cast",
        "StaticRegexFullMatch", "StringJoin", "Substr", "TensorListReserve", "TensorListStack", "TensorArrayV3",
        "ParseExampleV2", "HashTableV2", "LookupTableImportV2", "LookupTableFindV2", "Select", "ShardedFilename",
        "SaveV2", "MergeV2Checkpoints", "RestoreV2", "Assert", "StatelessRandomUniformV2",
        "ImageProjectiveTransformV3", "PrintV2", "Einsum", "Rsqrt",
    ]  # fmt: skip
    assert set(usual) - allowed_operations() == set()


@pytest.mark.slow
def test_the_list_of_operations_names_none_that_takes_a_file() -> None:
    """By what TensorFlow says of each: all are there, and none has a name of a file or a place among its settings."""
    load()
    from tensorflow.core.framework.op_def_pb2 import OpList
    from tensorflow.python.client import pywrap_tf_session

    known = OpList()
    known.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    by_name = {operation.name: operation for operation in known.op}
    assert allowed_operations() - set(by_name) == set()
    telling = re.compile(r"file|path|folder|director|descriptor|address|host|url|memory_region|library|vocab")
    of_weights = {"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "ShardedFilespec"}
    for name in sorted(allowed_operations() - of_weights):
        operation = by_name[name]
        texts = [one.name for one in operation.attr if one.type == "string"]
        texts += [one.name for one in operation.input_arg]
        assert [text for text in texts if telling.search(text)] == [], name


@pytest.mark.slow
def test_keras_own_exports_are_on_the_list(tmp_path: Path) -> None:
    import keras

    layers = keras.layers
    net = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            layers.SeparableConv2D(4, 3, activation="swish"),
            layers.BatchNormalization(),
            layers.Resizing(8, 8),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.1),
            layers.Dense(2, activation="softmax"),
        ]
    )
    net.export(tmp_path / "net", verbose=False)
    load_saved_model(tmp_path / "net")


@pytest.mark.slow
def test_a_saved_model_that_writes_files_is_refused_and_a_plain_one_loaded(tmp_path: Path) -> None:
    import tensorflow as tf

    class Net(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 1], tf.float32)])
        def plain(self, x: Any) -> Any:
            return x * 2.0

        @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 1], tf.float32)])
        def writes(self, x: Any) -> Any:
            tf.io.write_file(str(tmp_path / "ran"), "code")
            return x

        @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 1], tf.float32)])
        def prints(self, x: Any) -> Any:
            tf.print("code", output_stream=f"file://{tmp_path}/ran")
            return x

        @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 1], tf.float32)])
        def reads(self, x: Any) -> Any:
            return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/passwd")), tf.float32)

    net = Net()
    for name in ("plain", "writes", "prints", "reads"):
        folder = tmp_path / name
        tf.saved_model.save(net, str(folder), signatures={"serving_default": getattr(net, name)})
    # One module holds them all: a graph of its own for the plain one.
    alone = tf.Module()
    alone.call = tf.function(lambda x: x * 2.0, input_signature=[tf.TensorSpec([None, 2, 2, 1], tf.float32)])
    tf.saved_model.save(alone, str(tmp_path / "alone"), signatures={"serving_default": alone.call})
    load_saved_model(tmp_path / "alone")
    for name in ("writes", "prints", "reads"):
        with pytest.raises(InputError, match="more than a model"):
            load_saved_model(tmp_path / name)
    assert not (tmp_path / "ran").exists()
