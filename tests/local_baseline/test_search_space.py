"""Search spaces as TOML: written and read back, and checked against what the trainer takes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cxr.errors import InputError, UsageError
from cxr.local_baseline.recipes import RECIPES
from cxr.local_baseline.recipes.overrides import apply_overrides
from cxr.local_baseline.recipes.search_space import (
    Parameter,
    ParameterKind,
    Scale,
    SearchSpace,
    check_free,
    check_space,
    default_space,
    parameters_of,
    read_space,
    to_toml,
)


@pytest.mark.parametrize("weights", ["none", "imagenet"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_default_space_is_written_and_read_back(recipe: str, weights: str, tmp_path: Path) -> None:
    space = default_space(recipe, RECIPES[recipe], weights)
    check_space(space)
    (tmp_path / "space.toml").write_text(to_toml(space))
    assert read_space(tmp_path / "space.toml") == space


def test_unfreezing_is_searched_only_where_something_is_frozen() -> None:
    def names(recipe: str, weights: str) -> set[str]:
        return {parameter.id for parameter in default_space(recipe, RECIPES[recipe], weights).parameters}

    assert "unfreeze-layers" in names("mobilenet-v2", "backbone.h5")
    assert "unfreeze-layers" not in names("mobilenet-v2", "none") | names("cnn5", "none")


def test_the_ancestors_whole_list_is_searched_where_a_recipe_has_it() -> None:
    def names(recipe: str, weights: str = "none") -> set[str]:
        return {parameter.id for parameter in default_space(recipe, RECIPES[recipe], weights).parameters}

    common = {"learning-rate", "optimizer", "batch-size", "dropout", "l1", "l2", "augmentation-strength"}
    assert names("cnn5") == common | {"activation"}
    assert names("mobilenet-v2") == common  # a bare backbone keeps its activations
    assert names("resnet50-frozen", "imagenet") == common | {"activation"}
    assert names("vgg16-frozen", "imagenet") == (common | {"activation"}) - {"augmentation-strength"}
    assert names("densenet121", "imagenet") == common | {"unfreeze-layers"}


def test_only_what_a_recipe_has_is_searched() -> None:
    assert "augmentation-strength" not in {one.id for one in default_space("dense", RECIPES["dense"]).parameters}
    with_momentum = apply_overrides(RECIPES["cnn5"], {"optimizer.kind": "sgd", "optimizer.momentum": 0.9}, "none")
    (optimizer,) = [one for one in parameters_of(with_momentum) if one.id == "optimizer"]
    assert set(optimizer.values) == {"sgd", "rmsprop"}


@pytest.mark.parametrize("word", ["", "last.", "stages.", "fine-tune."])
def test_what_is_set_for_all_trials_is_not_searched(word: str) -> None:
    overrides = {f"{word}optimizer.learning_rate": 1e-4, "batch_size": 8, "head.optimizer.kind": "sgd"}
    recipe = apply_overrides(RECIPES["mobilenet-v2"], overrides, "imagenet")
    free = {one.id for one in default_space("mobilenet-v2", recipe, "imagenet", overrides).parameters}
    every = {one.id for one in parameters_of(recipe, "imagenet")}
    assert every - free == {"learning-rate", "batch-size"}
    with pytest.raises(UsageError, match="is set for all trials, and searched too"):
        check_free(SearchSpace("mobilenet-v2", (RATE,)), recipe, "imagenet", overrides)


RATE = Parameter("learning-rate", ParameterKind.DOUBLE, 1e-4, 1e-2)


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (replace(RATE, id="momentum"), "there is no hyperparameter 'momentum'; there are: learning-rate"),
        (replace(RATE, high=1e-5), "has a low and a higher high"),
        (replace(RATE, low=0.0, scale=Scale.LOG), "a logarithmic scale needs a range above 0"),
        (replace(RATE, high=3.0), "it takes a number, 1e-07 to 1"),
        (Parameter("batch-size", ParameterKind.DOUBLE, 8, 64), "it is an integer or a discrete parameter"),
        (Parameter("unfreeze-layers", ParameterKind.INTEGER, 0.5, 9), "the edges of an integer parameter are whole"),
        (Parameter("batch-size", ParameterKind.DISCRETE, values=(32,)), "has 2 to 100 values"),
        (Parameter("batch-size", ParameterKind.DISCRETE, values=(32, 16)), "are rising numbers"),
        (Parameter("batch-size", ParameterKind.DISCRETE, values=(16, 32.5)), "it takes a whole number"),
        (Parameter("dropout", ParameterKind.CATEGORICAL, values=("0.1", "much")), "it takes a number"),
    ],
    ids=lambda value: value.id if isinstance(value, Parameter) else "",
)
def test_what_the_trainer_would_refuse_is_refused_before_it_costs(parameter: Parameter, words: str) -> None:
    with pytest.raises(UsageError) as error:
        check_space(SearchSpace("cnn5", (parameter,)))
    assert words in error.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("recipe = ", "cannot read the search space"),
        ('recipe = "resnet"', "there is no recipe 'resnet'"),
        ('recipe = "cnn5"', "has no parameter"),
        ('recipe = "cnn5"\ntrials = 3', "'trials' is not known"),
        ('recipe = "cnn5"\n[[parameter]]\nid = "dropout"\nkind = "real"', "dropout: kind is one of double, integer"),
        ('recipe = "cnn5"\n[[parameter]]\nid = "dropout"\nkind = "double"\nmin = 0', "'min' is not known"),
        ('recipe = "cnn5"\n[[parameter]]\nid = "dropout"\nkind = "double"\nlow = "0"', "low is a number"),
    ],
    ids=["toml", "recipe", "empty", "key", "kind", "field", "type"],
)
def test_a_bad_file_is_named_with_what_is_wrong(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_space(path)
    assert str(path) in error.value.message
    assert words in error.value.message


def test_a_search_space_is_read_without_tensorflow() -> None:
    code = "import sys, cxr.local_baseline.recipes.search_space; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"tensorflow", "keras", "numpy", "pandas", "google.cloud.storage"}.isdisjoint(loaded)
