"""Maps of evidence: the mathematics against references, and on nets that have learned where a blob is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cxr.bundle import Preprocessing
from cxr.errors import InputError, UsageError
from cxr.local_baseline.explain.activations import channel_grid, chosen_layers, default_layers
from cxr.local_baseline.explain.graph import unfold
from cxr.local_baseline.explain.head import find_head
from cxr.local_baseline.explain.maps import Mapper, Method, applicable, class_activation_maps, grad_cam
from cxr.local_baseline.explain.overlay import to_original
from cxr.local_baseline.models.build import build_model
from cxr.local_baseline.recipes import NO_WEIGHTS, find_recipe
from cxr.local_baseline.tensorflow_setup import load

SIDE = 40


def images(count: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).uniform(0, 255, (count, SIDE, SIDE, 1)).astype(np.float32)


def small_net(end: str, *, average: bool = True, seed: int = 3) -> Any:
    """Two convolutions in a nested model, then an average (or all places) and the scores."""
    keras = load().keras
    layers = keras.layers
    keras.utils.set_random_seed(seed)
    inner = keras.Input((SIDE, SIDE, 1))
    x = layers.Conv2D(6, 5, strides=2, padding="same", activation="relu", name="first")(inner)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="second")(x)
    backbone = keras.Model(inner, x, name="backbone")
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = backbone(layers.Rescaling(1 / 255, name="scaling")(image))
    if average:
        x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    else:
        x = layers.Dense(7, activation="tanh")(layers.Flatten()(layers.MaxPooling2D(2)(x)))
    units, activation = {"sigmoid": (1, "sigmoid"), "softmax": (2, "softmax")}.get(end, (3, "softmax"))
    x = layers.Dense(units, activation=activation, name="scores", bias_initializer="random_normal")(x)
    if end == "collapsed":
        adds_up = layers.Dense(2, use_bias=False, name="classes")
        x = adds_up(x)
        adds_up.set_weights([np.array([[1, 0], [0, 1], [0, 1]], np.float32)])
    return keras.Model(image, x)


ENDS = ("sigmoid", "softmax", "three classes", "collapsed")


def test_a_nested_model_is_unfolded_and_says_the_same() -> None:
    model = small_net("sigmoid")
    graph = unfold(model)
    names = [node.name for node in graph.nodes]
    assert names[1:3] == ["first", "second"]
    pixels = images(3)
    first, scores = graph.function([graph.node("first").output, graph.nodes[-1].output])(pixels)
    assert first.shape == (3, SIDE // 2, SIDE // 2, 6)
    np.testing.assert_allclose(scores, model(pixels), atol=1e-6)


@pytest.mark.parametrize("end", ENDS)
def test_log_odds_are_those_of_the_models_probabilities(end: str) -> None:
    model = small_net(end)
    graph = unfold(model)
    mapper, pixels = Mapper(graph), images(4)
    given = model(pixels).numpy().astype(np.float64)
    probabilities = np.hstack([1 - given, given]) if end == "sigmoid" else given
    for number in range(probabilities.shape[1]):
        expected = np.log(probabilities[:, number]) - np.log1p(-probabilities[:, number])
        np.testing.assert_allclose(mapper.maps(pixels, number).log_odds, expected, atol=1e-4)


@pytest.mark.parametrize("end", ENDS)
def test_grad_cam_of_an_average_is_the_positive_part_of_the_class_activation_map(end: str) -> None:
    graph = unfold(small_net(end))
    head = find_head(graph)
    found = applicable(graph, head)
    assert (found.method, found.layer) == (Method.CAM, "second")
    values = graph.function([found.feature_map, head.features])
    for number in range(head.membership.shape[1]):
        cam = class_activation_maps(values, head, images(3), number).heat
        gradient = grad_cam(values, head, images(3), number).heat
        places = cam.shape[1] * cam.shape[2]
        assert np.abs(cam).max() > 1e-3
        np.testing.assert_allclose(gradient, np.maximum(cam, 0) / places, atol=1e-6)


@pytest.mark.parametrize("end", ["sigmoid", "softmax"])
def test_the_mean_of_a_class_activation_map_is_the_log_odds_but_for_the_bias(end: str) -> None:
    graph = unfold(small_net(end))
    maps = Mapper(graph).maps(images(3), 1)
    bias = find_head(graph).bias
    np.testing.assert_allclose(maps.heat.mean(axis=(1, 2)) + bias[1] - bias[0], maps.log_odds, atol=1e-5)
    against = Mapper(graph).maps(images(3), 0)
    np.testing.assert_allclose(against.heat, -maps.heat, atol=1e-6)  # what speaks for one speaks against the other


def test_grad_cam_equals_a_numerical_derivative() -> None:
    model = small_net("sigmoid", average=False)
    graph = unfold(model)
    mapper, pixels = Mapper(graph), images(1)
    assert (mapper.applicable.method, mapper.applicable.layer) == (Method.GRAD_CAM, "second")
    feature_map = graph.function([graph.node("second").output])(pixels)[0].numpy().astype(np.float64)
    hidden, scores = (layer for layer in model.layers if type(layer).__name__ == "Dense")

    def logit(values: Any) -> float:
        """The rest of the net, by hand: pool, flatten, two dense layers."""
        _, height, width, channels = values.shape
        pooled = values.reshape(1, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4)).reshape(1, -1)
        inner = np.tanh(pooled @ hidden.kernel.numpy().astype(np.float64) + hidden.bias.numpy())
        return float((inner @ scores.kernel.numpy().astype(np.float64) + scores.bias.numpy())[0, 0])

    step, places = 1e-5, feature_map.shape[1] * feature_map.shape[2]
    weights = []
    for channel in range(feature_map.shape[-1]):
        moved = np.zeros_like(feature_map)
        moved[..., channel] = step
        weights.append((logit(feature_map + moved) - logit(feature_map - moved)) / (2 * step) / places)
    expected = np.maximum(feature_map @ np.array(weights), 0)
    assert expected.max() > 0
    np.testing.assert_allclose(mapper.maps(pixels, 1).heat, expected, rtol=1e-3, atol=expected.max() * 1e-4)


def test_a_model_that_is_sure_still_has_a_map() -> None:
    model = small_net("sigmoid", average=False)
    before = Mapper(unfold(model)).maps(images(2), 1)
    scores = model.get_layer("scores")
    scores.bias.assign([300.0])
    assert model(images(2)).numpy().min() == 1.0
    after = Mapper(unfold(model)).maps(images(2), 1)
    np.testing.assert_allclose(after.heat, before.heat, rtol=1e-4, atol=1e-7)
    assert np.isfinite(after.log_odds).all()


def test_a_frozen_model_has_the_same_map() -> None:
    model = small_net("sigmoid", average=False)
    before = Mapper(unfold(model)).maps(images(2), 0).heat
    model.trainable = False
    np.testing.assert_array_equal(Mapper(unfold(model)).maps(images(2), 0).heat, before)


def blobs(count: int, seed: int) -> tuple[Any, Any, list[tuple[slice, slice]]]:
    """Noise, with a bright blob somewhere in every second image; and the box around where it is."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(70, 12, (count, SIDE, SIDE, 1))
    boxes = []
    y, x = np.mgrid[:SIDE, :SIDE]
    for number in range(count):
        top, left = rng.integers(7, SIDE - 7, 2)
        if number % 2:
            pixels[number, ..., 0] += 120 * np.exp(-((y - top) ** 2 + (x - left) ** 2) / (2 * 3**2))
        boxes.append((slice(top - 7, top + 7), slice(left - 7, left + 7)))
    return np.clip(pixels, 0, 255).astype(np.float32), np.arange(count) % 2, boxes


def blob_finder(average: bool) -> Any:
    """A net that learns blobs in a moment; with or without a hidden layer between average and scores."""
    keras = load().keras
    layers = keras.layers
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = layers.Rescaling(1 / 127.5, -1)(image)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.MaxPooling2D(2)(layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x)))
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    if not average:
        x = layers.Conv2D(16, 1, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    if not average:
        x = layers.Dense(8, activation="tanh")(x)
    return keras.Model(image, layers.Dense(1, activation="sigmoid")(x))


@pytest.mark.slow
@pytest.mark.parametrize("average", [True, False], ids=["class activation map", "Grad-CAM"])
def test_the_map_of_a_trained_net_points_at_the_blob(average: bool) -> None:
    pixels, labels, _ = blobs(160, 1)
    model = blob_finder(average)
    model.compile(load().keras.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(pixels, labels, epochs=16, batch_size=16, verbose=0)
    shown, truth, boxes = blobs(24, 2)
    assert ((model(shown).numpy()[:, 0] > 0.5) == truth).mean() > 0.9
    mapper = Mapper(unfold(model))
    assert mapper.applicable.method is (Method.CAM if average else Method.GRAD_CAM)
    heat = mapper.maps(shown, 1).heat
    shares = []
    for number in np.flatnonzero(truth):
        whole = to_original(np.maximum(heat[number], 0), Preprocessing(SIDE, SIDE, 1), SIDE, SIDE)
        shares.append(whole[boxes[number]].sum() / whole.sum())
    assert np.median(shares) > 0.5  # an eighth of the area
    assert 14 * 14 / SIDE**2 < 0.125


@pytest.mark.parametrize(
    ("recipe", "method", "layer"),
    [
        ("cnn5", Method.GRAD_CAM, "block5_conv"),
        ("edge", Method.CAM, "block5_pointwise_relu"),
        ("mobilenet-v2", Method.CAM, "out_relu"),
    ],
)
def test_which_map_applies_to_a_recipe(recipe: str, method: Method, layer: str) -> None:
    graph = unfold(build_model(find_recipe(recipe), 2, NO_WEIGHTS))
    found = applicable(graph, find_head(graph))
    assert (found.method, found.layer) == (method, layer)
    blocks = default_layers(graph)
    assert 3 <= len(blocks) <= 8
    sizes = [graph.node(name).output.shape[1] for name in blocks]
    assert sizes == sorted(set(sizes), reverse=True)


def test_the_default_layers_of_cnn5_are_its_convolutions() -> None:
    graph = unfold(build_model(find_recipe("cnn5"), 2, NO_WEIGHTS))
    assert default_layers(graph) == tuple(f"block{number}_conv" for number in range(1, 6))


def test_a_layer_that_there_is_not_lists_those_that_there_are() -> None:
    graph = unfold(small_net("sigmoid"))
    with pytest.raises(UsageError, match=r"no layer 'third'.*first, second"):
        chosen_layers(graph, ["third"])
    with pytest.raises(UsageError, match=r"'scores' gives numbers, not maps.*first, second"):
        chosen_layers(graph, ["first", "scores"])


def test_a_model_without_places_or_without_scores_is_refused() -> None:
    keras = load().keras
    image = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(image)
    with pytest.raises(InputError, match="no convolution"):
        Mapper(unfold(keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(flat))))
    with pytest.raises(InputError, match="does not end in a dense layer"):
        Mapper(unfold(keras.Model(image, keras.layers.Dense(1)(flat))))


def test_a_sequential_model_is_unfolded_too() -> None:
    keras = load().keras
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Conv2D(4, 3, name="only"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    assert applicable(unfold(model), find_head(unfold(model))).layer == "only"


def test_channels_are_drawn_by_their_activity() -> None:
    activation = np.zeros((6, 6, 40), np.float32)
    activation[..., 17] = 5.0  # the most active one, everywhere the same
    activation[2, 3, 4] = 9.0
    grid = channel_grid("block", activation)
    assert (grid.channels[:2], len(grid.channels), grid.of) == ((17, 4), 32, 40)
    side = 72
    assert grid.picture.shape == (4 * (side + 3) - 3, 8 * (side + 3) - 3)
    assert grid.picture[side - 1, side - 1] == 0  # constant: black
    second = grid.picture[:side, side + 3 : 2 * side + 3]
    assert second[2 * 12 + 6, 3 * 12 + 6] == 255
    assert second[-1, -1] == 0
