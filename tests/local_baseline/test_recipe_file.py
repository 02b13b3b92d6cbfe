"""A recipe as a TOML file: written and read back, checked like `--set`, and trained from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr.errors import InputError, UsageError
from cxr.local_baseline.models.build import build_model
from cxr.local_baseline.recipes import RECIPES, Recipe, Trains
from cxr.local_baseline.recipes.overrides import RECIPE_KNOBS, STAGE_KNOBS, Kind, Knob, Value, apply_overrides
from cxr.local_baseline.recipes.recipe_file import open_recipe, overrides_toml, read_recipe, to_toml
from cxr.local_baseline.request import TrainRequest, fingerprint, recipe_of


def written(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


def opened(path: Path) -> Recipe:
    chosen = read_recipe(path)
    return chosen.with_overrides({}, chosen.recipe.default_weights)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_written_and_read_back(name: str, tmp_path: Path) -> None:
    again = opened(written(tmp_path, to_toml(RECIPES[name], base=name)))
    assert again.name == f"my-{name}"
    # Setting the backbone forgets the listed number of parameters.
    assert replace(again, name=name, parameters=RECIPES[name].parameters) == RECIPES[name]


def values(knob: Knob) -> st.SearchStrategy[Value]:
    if knob.choices is not None:
        return st.sampled_from([choice.value for choice in knob.choices])
    if knob.kind is Kind.SWITCH:
        return st.booleans()
    if knob.kind is Kind.INTEGER:
        return st.integers(int(knob.low), int(knob.high))
    return st.floats(knob.low, knob.high, allow_subnormal=False)


@st.composite
def changed_recipes(draw: st.DrawFn) -> tuple[str, Recipe]:
    """One of the recipes with some fields set at random, where they fit."""
    base = draw(st.sampled_from([recipe for recipe in RECIPES.values() if recipe.backbone is None]))
    recipe = base
    for key in draw(st.lists(st.sampled_from([*RECIPE_KNOBS, *STAGE_KNOBS]), unique=True, max_size=6)):
        value = draw(values({**RECIPE_KNOBS, **STAGE_KNOBS}[key]))
        try:
            recipe = apply_overrides(recipe, {key: value}, "none")
        except UsageError:
            continue  # not of this recipe, or too much together with another
    return base.name, recipe


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed=changed_recipes())
def test_any_setting_survives_the_file(changed: tuple[str, Recipe], tmp_path: Path) -> None:
    base, recipe = changed
    assert replace(opened(written(tmp_path, to_toml(recipe, base=base))), name=base) == recipe


def test_tables_are_the_keys_of_set(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        base = "efficientnet-b0"
        summary = "ours"
        weights = "backbone.h5"
        batch_size = 16
        optimizer.kind = "sgd"
        [stages.optimizer]
        weight_decay = 0.01
        [stages.head.optimizer]
        learning_rate = 0.02
        [stages.last-block]
        unfreeze_layers = 4
        budget.epochs = 3
        """,
    )
    recipe = opened(path)
    assert (recipe.name, recipe.summary, recipe.default_weights, recipe.batch_size) == ("my", "ours", "backbone.h5", 16)
    head, block, last = recipe.pretrained
    assert [stage.trains for stage in recipe.pretrained] == [Trains.HEAD, Trains.LAST_BLOCK, Trains.FINE_TUNE]
    assert (head.optimizer.learning_rate, block.unfreeze_layers, block.budget.epochs) == (0.02, 4, 3)
    assert {stage.optimizer.weight_decay for stage in recipe.pretrained} == {0.01}
    assert [stage.optimizer.kind.value for stage in recipe.pretrained] == ["adam", "adam", "sgd"]
    assert last.unfreeze_layers is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base = ", "cannot read the recipe"),
        ("batch_size = 3", 'there is no base: base = "cnn5"'),
        ('base = "resnet"', "there is no recipe 'resnet'"),
        ("base = 5", "base is a word or words, not 5"),
        ('base = "cnn5"\nbatchsize = 3', "a recipe has no 'batchsize'"),
        ('base = "cnn5"\nbatch_size = 0', "batch_size=0: it takes a whole number, 1 to 4096"),
        ('base = "cnn5"\nbatch_size = "16"', "batch_size=16: it takes a whole number"),
        ('base = "cnn5"\nbatch_size = true', "batch_size=True: it takes a whole number"),
        ('base = "cnn5"\ndropout = nan', "dropout=nan: it takes a number"),
        ('base = "cnn5"\nactivation = "sine"', "activation=sine: it takes one of relu, elu"),
        ('base = "cnn5"\nactivation = ["relu"]', "activation=['relu']: it takes one of relu, elu"),
        ('base = "cnn5"\n[optimizer]\nrate = 1', "a recipe has no 'optimizer.rate'"),
        ('base = "cnn5"\n[stages.head.optimizer]\nlearning_rate = 0.1', "head.optimizer.learning_rate: no stage"),
        ('base = "cnn5"\n[augmentation]\nhorizontal_flip = true', "augmentation.horizontal_flip"),
        ('base = "cnn5"\nweights = "imagenet"', "the recipe cnn5 has no pretrained weights"),
        ('base = "mobilenet-v2"\nactivation = "elu"', "are its backbone's"),
        ('base = "cnn5"\nname = "../elsewhere"', "a recipe's name is that of its bundle's folder"),
        ('base = "cnn5"\nname = ".."', "a recipe's name is that of its bundle's folder"),
        ('base = "cnn5"\nteacher = 1', "each teacher is a table of its own"),
        ('base = "cnn5"\n[[teacher]]\nseed = 1', "teacher 1: there is no base"),
        ('base = "cnn5"\n[[teacher]]\nbase = "cnn5"\nseed = -1', "teacher 1: seed is a whole number from 0, not -1"),
        ('base = "cnn5"\n[[teacher]]\nbase = "cnn5"\nbatch_size = 0', "teacher 1: batch_size=0"),
        ('base = "cnn5"\n[[teacher]]\nbase = "cnn5"\nunfreeze_layers = 3', "teacher-1: unfreeze_layers: no stage"),
        ('base = "cnn5"\n' + '[[teacher]]\nbase = "cnn5"\nname = "a"\n' * 2, "two teachers are called 'a'"),
        ('base = "cnn5"\nteacher_share = 0.5', "my has no teachers"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_and_the_key(text: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_recipe(path)
    assert str(path) in error.value.message
    assert words in error.value.message


TAUGHT = """
base = "mobilenet-v2"
weights = "student.h5"
supervision = "etiology"
teacher_share = 0.5

[[teacher]]
base = "densenet121"
weights = "large.h5"
supervision = "etiology"
[teacher.stages.head.optimizer]
learning_rate = 0.02

[[teacher]]
base = "cnn5"
name = "grey"
seed = 40
supervision = "etiology"
optimizer.learning_rate = 0.002
"""


def test_teachers_are_tables_of_a_recipes_file(tmp_path: Path) -> None:
    recipe = opened(written(tmp_path, TAUGHT))
    large, grey = recipe.teachers
    assert recipe.teacher_share == 0.5
    assert [(one.name, one.recipe.name, one.seed, one.weights) for one in recipe.teachers] == [
        ("teacher-1", "densenet121", 1, "large.h5"),
        ("grey", "cnn5", 40, "none"),
    ]
    assert [stage.optimizer.learning_rate for stage in large.recipe.pretrained] == [0.02, 5e-4, 1e-4]
    assert grey.recipe.scratch[0].optimizer.learning_rate == 0.002
    assert grey.recipe.supervision is recipe.supervision


def test_a_recipe_with_teachers_is_written_and_read_back(tmp_path: Path) -> None:
    recipe = opened(written(tmp_path, TAUGHT))
    assert opened(written(tmp_path, to_toml(recipe, base="mobilenet-v2"))) == recipe
    changed = overrides_toml("mobilenet-v2", {}, name="best", weights="student.h5", teachers=recipe.teachers)
    assert opened(written(tmp_path, changed)).teachers == recipe.teachers


def test_a_name_of_any_words_makes_a_model(tmp_path: Path) -> None:
    path = tmp_path / "my (1) Röntgen.toml"
    path.write_text('base = "dense"', encoding="utf-8")
    recipe = opened(path)
    assert recipe.name == "my (1) Röntgen"
    assert build_model(recipe, 2, "none").name == "my__1__R_ntgen"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the recipe .*gone\.toml"):
        open_recipe(str(tmp_path / "gone.toml"))


def test_words_about_a_recipe_are_not_in_the_fingerprint(small_request: TrainRequest) -> None:
    recipe = recipe_of(small_request)
    other = replace(recipe, name="renamed", summary="in other words", source="", deviations=(), parameters=None)
    assert fingerprint(small_request, other) == fingerprint(small_request, recipe)


def test_only_stages_that_run_are_in_the_fingerprint(small_request: TrainRequest) -> None:
    recipe = RECIPES["mobilenet-v2"]
    other = apply_overrides(recipe, {"head.optimizer.learning_rate": 0.5}, "imagenet")
    for weights, same in (("none", True), ("imagenet", False)):
        request = replace(small_request, weights=weights)
        assert (fingerprint(request, recipe) == fingerprint(request, other)) is same


def test_set_wins_over_the_file_and_both_are_in_the_fingerprint(small_request: TrainRequest, tmp_path: Path) -> None:
    path = written(tmp_path, 'base = "cnn5"\nname = "cnn5"\nbatch_size = 16\ndropout = 0.3')
    request = replace(small_request, recipe=str(path), overrides={"batch_size": 8})
    recipe = recipe_of(request)
    assert (recipe.name, recipe.batch_size, recipe.dropout) == ("cnn5", 8, 0.3)
    by_hand = replace(small_request, overrides={"batch_size": 8, "dropout": 0.3})
    assert fingerprint(request, recipe) == fingerprint(by_hand, recipe_of(by_hand))
    assert fingerprint(request, recipe) != fingerprint(small_request, recipe_of(small_request))


@pytest.mark.parametrize(
    "change",
    [
        "activation=elu",
        "l1=0.001",
        "l2=0.001",
        "dropout=0.3",
        "supervision=etiology",
        "optimizer.kind=sgd",
        "optimizer.weight_decay=0.01",
        "early_stopping.keep_last=true",
        "augmentation.rotation=3",
    ],
)
def test_every_new_field_is_in_the_fingerprint(small_request: TrainRequest, change: str) -> None:
    from cxr.local_baseline.recipes.overrides import parse_overrides

    request = replace(small_request, overrides=parse_overrides([change]))
    assert fingerprint(request, recipe_of(request)) != fingerprint(small_request, recipe_of(small_request))
