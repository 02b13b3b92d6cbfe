"""Models from elsewhere become bundles that say what the models say."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason='needs the extra: pip install "cxr[train]"')
pytest.importorskip("ai_edge_litert", reason='needs the extra: pip install "cxr[litert]"')

from typer.testing import CliRunner

from cxr.bundle import Bundle, ModelFormat, Origin, read_bundle
from cxr.cli.export.import_model import _Reader
from cxr.compare.predictors import open_predictor
from cxr.errors import CheckFailed, InputError, UsageError
from cxr.importing.contract_options import parse_contract_options
from cxr.importing.contracts import AUTOML_PREPROCESSING, TEACHABLE_PREPROCESSING
from cxr.importing.importing import Imported, ImportRequest, import_model
from cxr.importing.labels import without_numbers
from cxr.importing.recognise import recognise
from cxr.local_baseline.tensorflow_setup import load

SIDE = 24
CLASSES = ("NORMAL", "PNEUMONIA")
NUMBERED = "0 NORMAL\n1 PNEUMONIA\n"
SCALE = {"scale": 1 / 255, "offset": 0.0}
PIXELS = np.random.default_rng(3).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> Any:
    """As Teachable Machine nests its layers: a MobileNet-like body and a head, both Sequential."""
    keras = load().keras
    keras.utils.set_random_seed(5)
    layers = keras.layers
    inner = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(4, 3, strides=2),
            layers.DepthwiseConv2D(3),
            layers.GlobalAveragePooling2D(),
        ]
    )
    head = keras.Sequential([keras.Input((4,)), layers.Dense(6, "relu"), layers.Dense(2, "softmax", use_bias=False)])
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), inner, head])


@pytest.fixture(scope="module")
def tflite(model: Any) -> bytes:
    data: bytes = load().tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return data


def expected(model: Any, scale: float = 1 / 127.5, offset: float = -1.0) -> np.ndarray:
    values = PIXELS.astype(np.float32) * np.float32(scale) + np.float32(offset)
    return np.asarray(model(values, training=False))


def scores(bundle: Bundle) -> np.ndarray:
    return np.asarray(open_predictor(bundle).predict(PIXELS))


def imported(folder: Path, **wishes: Any) -> Imported:
    return import_model(ImportRequest(folder, **wishes), folder.parent / "bundle", _Reader())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "export").mkdir()
    return tmp_path / "export"


def legacy(model: Any, path: Path) -> None:
    """A Keras 2 file: with the argument that Keras 3 does not know."""
    import h5py

    model.save(path)
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"]
        named = json.loads(text)

        def older(value: Any) -> None:
            for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
                older(one)
            if isinstance(value, dict) and value.get("class_name") == "DepthwiseConv2D":
                value["config"]["groups"] = 1

        older(named)
        file.attrs["model_config"] = json.dumps(named)


def test_a_teachable_machines_tflite_is_fed_as_it_is_there(model: Any, tflite: bytes, folder: Path) -> None:
    (folder / "model_unquant.tflite").write_bytes(tflite)
    (folder / "labels.txt").write_text(NUMBERED)
    done = imported(folder)
    info = read_bundle(done.bundle.folder).info
    assert (info.origin, info.format, info.classes) == (Origin.IMPORTED, ModelFormat.TFLITE, CLASSES)
    assert (info.positive_class, info.threshold.value, info.provenance["made_by"]) == (
        "PNEUMONIA",
        0.5,
        "Teachable Machine",
    )
    contract = info.preprocessing
    wanted = TEACHABLE_PREPROCESSING
    assert (contract.height, contract.aspect, contract.scale) == (SIDE, "center-crop", wanted.scale)
    np.testing.assert_allclose(scores(done.bundle), expected(model), atol=1e-5)
    assert any("preprocessing as Teachable Machine" in guess for guess in done.guesses)


def test_a_keras_2_file_is_written_anew_and_says_the_same(model: Any, folder: Path) -> None:
    legacy(model, folder / "keras_model.h5")
    (folder / "labels.txt").write_text(NUMBERED)
    with pytest.raises(Exception, match="groups"):  # what makes the way round necessary
        load().keras.models.load_model(folder / "keras_model.h5", compile=False)
    done = imported(folder)
    assert done.bundle.info.model_path == "model/keras_model.keras"
    assert {path.name for path in done.bundle.model_path.parent.iterdir()} == {"keras_model.keras", "labels.txt"}
    np.testing.assert_allclose(scores(done.bundle), expected(model), atol=1e-5)


def test_a_bare_saved_model_has_to_be_explained(model: Any, folder: Path) -> None:
    model.export(folder / "1", verbose=False)
    with pytest.raises(UsageError, match="how its pixels are to be scaled") as refused:
        imported(folder, classes=CLASSES)
    assert "--preprocessing scale=" in (refused.value.hint or "")
    with pytest.raises(UsageError, match="names its classes") as nameless:
        imported(folder, preprocessing=SCALE)
    assert "--classes" in (nameless.value.hint or "")
    assert not (folder.parent / "bundle").exists()
    done = imported(folder, classes=CLASSES, preprocessing=SCALE, positive="NORMAL", threshold=0.3)
    info = done.bundle.info
    assert (info.preprocessing.height, info.preprocessing.channels, info.positive_class) == (SIDE, 3, "NORMAL")
    assert info.threshold.chosen_by == "the user"
    np.testing.assert_allclose(scores(done.bundle), expected(model, 1 / 255, 0.0), atol=1e-5)


def test_the_services_saved_model_answers_with_its_own_labels(model: Any, folder: Path) -> None:
    tf = load().tf

    class Serving(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.string)])  # type: ignore[untyped-decorator]
        def serve(self, image_bytes: Any, key: Any) -> Any:
            image = tf.image.resize(tf.io.decode_image(image_bytes[0], 3, expand_animations=False), (SIDE, SIDE))
            given = self.model(image[None] / 127.5 - 1, training=False)
            return {"scores": given, "labels": tf.constant([["b", "a"]]), "key": key}

    module = Serving()
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    done = imported(folder)
    assert (done.found.maker, done.bundle.info.classes) == ("AutoML", ("b", "a"))
    assert done.bundle.info.preprocessing == AUTOML_PREPROCESSING
    with pytest.raises(UsageError, match="cannot be given other classes"):
        imported(folder, classes=("x", "y"))


def test_an_automl_tflite_is_known_by_its_dictionary(tflite: bytes, folder: Path) -> None:
    (folder / "model.tflite").write_bytes(tflite)
    (folder / "dict.txt").write_text("NORMAL\nPNEUMONIA\n")
    done = imported(folder)
    assert (done.found.maker, done.bundle.info.preprocessing.scale_inside_model) == ("AutoML", True)
    assert done.bundle.info.preprocessing.aspect == "center-crop"


def test_an_unknown_tflite_takes_what_it_is_told(model: Any, tflite: bytes, folder: Path) -> None:
    (folder / "net.tflite").write_bytes(tflite)
    given = parse_contract_options(["scale=0.00784313725490196", "offset=-1", "aspect=pad"])
    done = imported(folder, classes=CLASSES, preprocessing=given)
    assert done.bundle.info.preprocessing.aspect == "pad"
    np.testing.assert_allclose(scores(done.bundle), expected(model), atol=1e-5)


def graph_model(folder: Path, *, lost: int = 0) -> None:
    shape = {"shape": {"dim": [{"size": str(size)} for size in (-1, SIDE, SIDE, 3)]}}
    nodes = [{"name": "image", "op": "Placeholder", "attr": {"shape": shape}}, {"name": "w", "op": "Const"}]
    weights = [{"name": "w", "shape": [1, 2], "dtype": "float32"}]
    document = {
        "format": "graph-model",
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["w.bin"], "weights": weights}],
    }
    (folder / "model.json").write_text(json.dumps(document))
    (folder / "w.bin").write_bytes(bytes(8 - lost))
    (folder / "dict.txt").write_text("NORMAL\nPNEUMONIA\n")


def test_an_automl_graph_model_is_known_by_its_dictionary(folder: Path) -> None:
    graph_model(folder)
    found = recognise(folder)
    assert (found.maker, found.format, found.labels) == ("AutoML", ModelFormat.TFJS, CLASSES)
    assert found.contract is not None
    assert (found.contract.scale_inside_model, found.contract.offset) == (False, -1.0)
    graph_model(folder, lost=1)
    with pytest.raises(InputError, match="weights have 7 bytes"):
        recognise(folder)


@pytest.mark.parametrize(
    "name", ["../payload", "{outside}", "sub/../../payload", "..\\payload", "C:payload", "", "a\0b", 7], ids=repr
)
def test_weights_outside_the_models_folder_are_refused(folder: Path, tmp_path: Path, name: Any) -> None:
    (tmp_path / "payload").write_bytes(bytes(8))  # as many bytes as the graph model's weights
    (folder / "sub").mkdir()
    graph_model(folder)
    document = json.loads((folder / "model.json").read_text())
    said = name.format(outside=tmp_path / "payload") if isinstance(name, str) else name
    document["weightsManifest"][0]["paths"] = [said]
    (folder / "model.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="out of its folder") as refused:
        imported(folder)
    assert repr(said) in refused.value.message
    assert {path.name for path in tmp_path.iterdir()} == {"export", "payload"}


@pytest.mark.parametrize("linked", ["w.bin", "model.json", "dict.txt"])
def test_a_graph_models_links_are_refused(folder: Path, linked: str) -> None:
    graph_model(folder)
    (folder / linked).rename(folder.parent / "private")
    (folder / linked).symlink_to(folder.parent / "private")
    with pytest.raises(InputError, match=f"{linked} is a symbolic link") as refused:
        recognise(folder)
    assert "cp -rL" in (refused.value.hint or "")


@pytest.mark.parametrize("linked", ["net.tflite", "labels.txt"])
def test_a_files_links_are_refused(folder: Path, linked: str) -> None:
    (folder / "net.tflite").write_bytes(b"....TFL3")
    (folder / "labels.txt").write_text(NUMBERED)
    recognise(folder)
    (folder / linked).rename(folder.parent / "private")
    (folder / linked).symlink_to(folder.parent / "private")
    with pytest.raises(InputError, match=f"{linked} is a symbolic link"):
        recognise(folder)


@pytest.mark.parametrize("kind", ["file", "folder", "pipe"])
def test_a_saved_models_links_do_not_reach_the_bundle(model: Any, folder: Path, kind: str) -> None:
    model.export(folder / "1", verbose=False)
    secret = folder.parent / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("private")
    strange = folder / "1" / "assets" / "extra"
    if kind == "pipe":
        os.mkfifo(strange)
    else:
        strange.symlink_to(secret if kind == "folder" else secret / "key.txt")
    with pytest.raises(InputError, match=r"extra is (a symbolic link|no file)"):
        imported(folder, classes=CLASSES, preprocessing=SCALE)
    assert not (folder.parent / "bundle").exists()


def test_the_folder_that_the_user_names_may_be_a_link(tflite: bytes, folder: Path) -> None:
    (folder / "model.tflite").write_bytes(tflite)
    (folder / "labels.txt").write_text(NUMBERED)
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert recognise(link).labels == CLASSES


def test_a_teachable_machines_saved_model_is_known_by_the_labels_beside_it(model: Any, folder: Path) -> None:
    model.export(folder / "model.savedmodel", verbose=False)
    (folder / "labels.txt").write_text(NUMBERED)
    done = imported(folder)
    info = read_bundle(done.bundle.folder).info
    assert (done.found.maker, info.format, info.classes) == ("Teachable Machine", ModelFormat.SAVED_MODEL, CLASSES)
    assert (info.preprocessing.aspect, info.preprocessing.offset) == ("center-crop", -1.0)
    assert (done.bundle.folder / "model" / "labels.txt").is_file()
    np.testing.assert_allclose(scores(done.bundle), expected(model), atol=1e-5)


def test_labels_beside_the_folder_that_is_named_are_not_taken(folder: Path) -> None:
    (folder / "model.savedmodel").mkdir()
    (folder / "model.savedmodel" / "saved_model.pb").write_bytes(b"x")
    (folder / "labels.txt").write_text(NUMBERED)
    assert recognise(folder).labels == CLASSES
    inside = recognise(folder / "model.savedmodel")
    assert (inside.maker, inside.labels) == ("an unknown program", None)


def test_a_layers_model_is_refused_with_the_way_round(folder: Path) -> None:
    topology = {"class_name": "Sequential", "config": {}}
    (folder / "model.json").write_text(json.dumps({"modelTopology": topology, "weightsManifest": []}))
    with pytest.raises(InputError, match="layers model") as plain:
        recognise(folder)
    assert "TFLite" in (plain.value.hint or "")
    (folder / "metadata.json").write_text(json.dumps({"packageName": "@teachablemachine/image", "labels": ["a", "b"]}))
    with pytest.raises(InputError) as teachable:
        recognise(folder)
    assert "in Teachable Machine: Export Model" in (teachable.value.hint or "")


def test_a_model_of_another_number_of_classes_is_refused(tflite: bytes, folder: Path) -> None:
    (folder / "model.tflite").write_bytes(tflite)
    with pytest.raises(CheckFailed, match="3 classes"):
        imported(folder, classes=("a", "b", "c"), preprocessing=SCALE)
    assert not (folder.parent / "bundle").exists()


def test_a_model_without_probabilities_is_refused(folder: Path) -> None:
    keras = load().keras
    net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    net.save(folder / "net.keras")
    with pytest.raises(CheckFailed, match=r"not probabilities|add up"):
        imported(folder, classes=CLASSES, preprocessing={"scale_inside_model": True})


@pytest.mark.parametrize(
    ("write", "error", "said"),
    [
        (lambda f: None, InputError, "no model that is known"),
        (lambda f: (f / "bundle.json").write_text("{}"), UsageError, "is a bundle already"),
        (lambda f: [(f / n).write_bytes(b"....TFL3") for n in ("a.tflite", "b.tflite")], InputError, "holds 2 models"),
        (lambda f: (f / "a.tflite").write_bytes(b"nothing"), InputError, "is no TFLite file"),
        (lambda f: (f / "a.tflite").write_bytes(b"....TFL3 edgetpu-custom-op"), InputError, "Edge TPU"),
    ],
    ids=["empty", "bundle", "two", "text", "compiled"],
)
def test_other_folders_are_refused(folder: Path, write: Callable[[Path], Any], error: Any, said: str) -> None:
    write(folder)
    with pytest.raises(error, match=said):
        recognise(folder)


@pytest.mark.parametrize(
    "option", ["colour=3", "scale=much", "scale_inside_model=perhaps", "height", "channels=2.5"], ids=str
)
def test_wrong_options_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match="--preprocessing"):
        parse_contract_options([option])


def test_what_the_file_declares_is_not_overruled(tflite: bytes, folder: Path) -> None:
    (folder / "model.tflite").write_bytes(tflite)
    with pytest.raises(UsageError, match=f"height is {SIDE}, not 224"):
        imported(folder, classes=CLASSES, preprocessing={**SCALE, "height": 224})


def test_only_lines_that_count_from_zero_are_numbered() -> None:
    assert without_numbers(("0 a b", "1 c")) == ("a b", "c")
    assert without_numbers(("1 a", "2 b")) is None
    assert without_numbers(("a", "b")) is None


def test_the_command_says_what_it_guessed(tflite: bytes, folder: Path, tmp_path: Path) -> None:
    from cxr.cli.export import app

    (folder / "model.tflite").write_bytes(tflite)
    (folder / "labels.txt").write_text(NUMBERED)
    out = tmp_path / "teachable"
    done = CliRunner().invoke(app, ["import", str(folder), "--out", str(out), "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert (said["schema"], said["classes"], said["bundle"]) == ("cxr.export.import", list(CLASSES), str(out))
    assert sum(said["probabilities"]) == pytest.approx(1)
    assert "guessed: preprocessing as Teachable Machine does it" in done.stderr
