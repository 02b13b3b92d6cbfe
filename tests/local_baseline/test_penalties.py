"""L1 and L2: which kernels, and that they really shrink."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cxr.errors import UsageError
from cxr.local_baseline.models.build import build_model
from cxr.local_baseline.models.penalties import penalise
from cxr.local_baseline.recipes import CNN5, RECIPES, Constant, Optimizer, OptimizerKind, Recipe
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.distribution import shared_layer
from cxr.local_baseline.training.fitting import fit_stage
from cxr.local_baseline.training.pipeline import TrainingData


def penalised(model: object) -> list[str]:
    layers = model._flatten_layers(include_self=False, recursive=True)  # type: ignore[attr-defined]
    return [layer.name for layer in layers if getattr(layer, "kernel_regularizer", None) is not None]


def test_dense_l2_penalises_its_first_layer_by_a_hundredth_of_the_squares() -> None:
    model = build_model(RECIPES["dense-l2"], 2, "none")
    assert penalised(model) == ["dense1"]
    kernel = model.get_layer("dense1").kernel.numpy()
    assert float(sum(model.losses)) == pytest.approx(0.01 * np.square(kernel).sum(), rel=1e-4)
    assert build_model(RECIPES["dense"], 2, "none").losses == []


def test_without_names_all_kernels_but_depthwise_ones_are_penalised() -> None:
    model = build_model(replace(RECIPES["edge"], l1=1e-4), 2, "none")
    names = penalised(model)
    assert {"stem", "block1_pointwise", "scores"} <= set(names)
    assert not [name for name in names if "depthwise" in name]
    kernels = [model.get_layer(name).kernel.numpy() for name in names]
    assert float(sum(model.losses)) == pytest.approx(1e-4 * sum(np.abs(kernel).sum() for kernel in kernels), rel=1e-4)


def test_a_copy_for_other_replicas_has_the_same_penalties() -> None:
    model = build_model(RECIPES["dense-l2"], 2, "none")
    copy = load().keras.models.clone_model(model, clone_function=shared_layer, recursive=True)
    copy.set_weights(model.get_weights())
    assert float(sum(copy.losses)) == pytest.approx(float(sum(model.losses)))


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="cnn5 has no layer 'dense9'"):
        penalise(build_model(CNN5, 2, "none"), replace(CNN5, l2=0.1, penalised_layers=("dense9",)))


def one_step(recipe: Recipe) -> tuple[np.ndarray, np.ndarray, float]:
    """Kernel before and after one step of gradient descent at rate 0.1 on one batch, and the loss that is told."""
    keras = load().keras
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers)
    penalise(model, recipe)
    before = model.layers[-1].kernel.numpy()
    labels = np.arange(16) % 2
    images = np.random.default_rng(0).normal(0, 1, (16, 4, 4, 1)).astype(np.float32)
    stage = replace(CNN5.scratch[0], optimizer=Optimizer(0.1, kind=OptimizerKind.SGD), schedule=Constant())
    result = fit_stage(
        model,
        TrainingData(images, labels, np.arange(8), np.arange(8, 16), 2),
        replace(recipe, batch_size=8, augmentation_strength=0.0),
        stage,
        positive=1,
        epochs=1,
        seed=0,
        on_step=lambda step, loss: None,
        on_epoch=lambda result: None,
    )
    return before, model.layers[-1].kernel.numpy(), result.history[0].loss


def test_the_gradient_of_the_penalty_is_in_the_step_and_not_in_the_loss_that_is_told() -> None:
    before, plain, loss = one_step(CNN5)
    same, with_l2, told = one_step(replace(CNN5, l2=0.5))
    assert np.array_equal(before, same)
    # The derivative of 0.5 w^2 is w, and the rate 0.1.
    assert with_l2 == pytest.approx(plain - 0.1 * before, abs=1e-6)
    assert told == pytest.approx(loss)
    _, with_l1, _ = one_step(replace(CNN5, l1=0.5))
    assert with_l1 == pytest.approx(plain - 0.05 * np.sign(before), abs=1e-6)
