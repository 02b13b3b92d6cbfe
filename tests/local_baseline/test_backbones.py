"""Known nets below a head: each gets pixels as its weights expect them, from any file; a wrong file is named."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.errors import Fault, InputError
from cxr.local_baseline.models.backbone_facts import FACTS, IMAGENET_DEVIATION, IMAGENET_MEAN
from cxr.local_baseline.models.build import FEATURES, build_model, in_float32
from cxr.local_baseline.recipes import IMAGENET, MOBILENET_V2, RECIPES, BackboneKind, Precision, Recipe
from cxr.local_baseline.recipes.overrides import apply_overrides
from cxr.local_baseline.tensorflow_setup import load

SIDE = 32
SMALL = (BackboneKind.MOBILENET_V1, BackboneKind.MOBILENET_V2)
EACH_BACKBONE = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in SMALL else [pytest.mark.slow]) for kind in BackboneKind]
)
#: keras.applications' own module of each net's preprocess_input.
PREPROCESSING = {
    BackboneKind.MOBILENET_V1: "mobilenet",
    BackboneKind.MOBILENET_V2: "mobilenet_v2",
    BackboneKind.RESNET50: "resnet50",
    BackboneKind.VGG16: "vgg16",
    BackboneKind.DENSENET121: "densenet",
}


def recipe_on(kind: BackboneKind, weights: str) -> Recipe:
    """A small input and one flat head on that net."""
    contract = replace(MOBILENET_V2.preprocessing, height=SIDE, width=SIDE)
    return apply_overrides(replace(MOBILENET_V2, preprocessing=contract), {"backbone": kind.value}, weights)


def keras_net(kind: BackboneKind) -> Any:
    keras = load().keras
    keras.utils.set_random_seed(1)
    function = getattr(keras.applications, FACTS[kind].function)
    return function(input_shape=(SIDE, SIDE, 3), include_top=False, weights=None, **dict(FACTS[kind].arguments))


def pixels() -> np.ndarray:
    """Colours that differ from channel to channel: a net that takes BGR for RGB would tell."""
    values = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)) * np.array([1.0, 0.6, 0.3])
    return np.round(values).astype(np.float32)


def features(model: Any) -> np.ndarray:
    keras = load().keras
    return np.asarray(keras.Model(model.input, model.get_layer(FEATURES).output)(pixels(), training=False))


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert np.abs(ours - theirs).max() <= 1e-4 * max(np.abs(theirs).max(), 1e-3)


def test_only_a_failed_download_is_called_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    framework = load()
    get_file = framework.keras.utils.get_file
    full = framework.tf.errors.ResourceExhaustedError

    def out_of_reach(**_: Any) -> None:
        get_file("net.h5", "http://127.0.0.1:1/net.h5", cache_dir=tmp_path)  # nobody listens there

    def out_of_memory(**_: Any) -> None:
        raise full(None, None, "OOM when allocating a tensor")

    function = FACTS[BackboneKind.MOBILENET_V2].function
    recipe = recipe_on(BackboneKind.MOBILENET_V2, IMAGENET)
    monkeypatch.setattr(framework.keras.applications, function, out_of_reach)
    with pytest.raises(Fault, match=r"could not download the ImageNet weights of .*: URL fetch failure"):
        build_model(recipe, 2, IMAGENET)
    monkeypatch.setattr(framework.keras.applications, function, out_of_memory)
    with pytest.raises(full, match="OOM"):
        build_model(recipe, 2, IMAGENET)


@pytest.mark.slow
@EACH_BACKBONE
def test_a_net_from_a_file_sees_pixels_as_keras_prepares_them(kind: BackboneKind, tmp_path: Path) -> None:
    if kind not in PREPROCESSING:
        pytest.skip("EfficientNet's own test is below")
    net = keras_net(kind)
    path = tmp_path / "net.weights.h5"
    net.save_weights(path)
    prepare = getattr(load().keras.applications, PREPROCESSING[kind]).preprocess_input
    theirs = np.asarray(net(prepare(pixels().copy()), training=False)).mean(axis=(1, 2))
    assert_close(features(build_model(recipe_on(kind, str(path)), 2, str(path))), theirs)


@pytest.mark.slow
def test_an_efficientnet_from_a_file_is_normalised_as_keras_does_its_download(tmp_path: Path) -> None:
    net = keras_net(BackboneKind.EFFICIENTNET_B0)
    normalise = next(layer for layer in net.layers if type(layer).__name__ == "Normalization")
    # What Keras's file holds: the mean, and as variance the deviation.
    values = [np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_DEVIATION, np.float32)]
    normalise.set_weights([*values, *normalise.get_weights()[2:]])
    normalise.finalize_state()
    path = tmp_path / "net.weights.h5"
    net.save_weights(path)
    rest = load().keras.Model(normalise.output, net.output)
    normal = (pixels() / 255 - values[0]) / values[1]
    theirs = np.asarray(rest(normal, training=False)).mean(axis=(1, 2))
    kind = BackboneKind.EFFICIENTNET_B0
    assert_close(features(build_model(recipe_on(kind, str(path)), 2, str(path))), theirs)


def test_the_preprocessing_follows_the_backbone() -> None:
    recipe = apply_overrides(RECIPES["resnet50-frozen"], {"backbone": "mobilenet-v1"}, "imagenet")
    assert recipe.backbone is BackboneKind.MOBILENET_V1
    assert (recipe.preprocessing.scale, recipe.preprocessing.offset) == (1 / 127.5, -1.0)
    assert recipe.parameters is None  # the listed number is of the other net
    back = apply_overrides(recipe, {"backbone": "resnet50"}, "imagenet")
    assert back.preprocessing == RECIPES["resnet50-frozen"].preprocessing


@EACH_BACKBONE
def test_a_saved_model_needs_nothing_unsafe_and_says_the_same(kind: BackboneKind, tmp_path: Path) -> None:
    keras = load().keras
    net = keras_net(kind)
    weights = tmp_path / "net.weights.h5"
    net.save_weights(weights)
    model = build_model(recipe_on(kind, str(weights)), 2, str(weights))
    path = tmp_path / "model.keras"
    model.save(path)
    assert b"Lambda" not in zipfile.ZipFile(path).read("config.json")
    again = keras.models.load_model(path, safe_mode=True)
    assert np.array_equal(np.asarray(again(pixels())), np.asarray(model(pixels())))


@pytest.mark.slow
@EACH_BACKBONE
def test_a_net_trained_in_bfloat16_is_kept_with_its_own_preprocessing(kind: BackboneKind, tmp_path: Path) -> None:
    weights = tmp_path / "net.weights.h5"
    keras_net(kind).save_weights(weights)
    recipe = recipe_on(kind, str(weights))
    trained = build_model(replace(recipe, precision=Precision.BFLOAT16), 2, str(weights))
    kept = in_float32(trained, replace(recipe, precision=Precision.BFLOAT16))
    plain = build_model(recipe, 2, str(weights))
    assert {layer.compute_dtype for layer in kept._flatten_layers(include_self=False)} == {"float32"}
    assert_close(features(kept), features(plain))


def test_a_file_of_another_net_is_named_with_both_nets(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    _save_legacy(keras_net(BackboneKind.MOBILENET_V1), path)
    with pytest.raises(InputError) as error:
        build_model(recipe_on(BackboneKind.MOBILENET_V2, str(path)), 2, str(path))
    assert str(path) in error.value.message
    assert "MobileNetV2 (alpha 0.35, no top)" in error.value.message
    assert "it holds those of MobileNet (alpha 0.25, no top)" in error.value.message
    assert "--set backbone" in str(error.value.hint)


def test_a_file_of_another_net_in_kerass_own_format_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "net.weights.h5"
    keras_net(BackboneKind.MOBILENET_V1).save_weights(path)
    with pytest.raises(InputError, match=r"does not hold weights of MobileNetV2 \(alpha 0.35, no top\)"):
        build_model(recipe_on(BackboneKind.MOBILENET_V2, str(path)), 2, str(path))


def test_without_a_network_the_error_says_which_file_and_what_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(load().keras.config, "keras_home", lambda: str(tmp_path), raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    recipe = recipe_on(BackboneKind.MOBILENET_V1, "imagenet")
    with pytest.raises(Fault) as error:
        build_model(recipe, 2, "imagenet")
    hint = str(error.value.hint)
    assert "mobilenet_2_5_224_tf_no_top.h5" in hint
    assert "--weights FILE" in hint
    assert "--weights none" in hint


def _save_legacy(net: Any, path: Path) -> None:
    """As Keras's downloads are: a group for each layer, named as the layer."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in net.layers]
        for layer in net.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{number}" for number in range(len(layer.get_weights()))]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                group[name] = value
