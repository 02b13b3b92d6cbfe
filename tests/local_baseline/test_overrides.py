"""`--set`: what can be changed of a recipe, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cxr.errors import UsageError
from cxr.local_baseline.recipes import (
    CNN5,
    EDGE,
    FLAGSHIP,
    KEEP_LAST,
    MOBILENET_V2,
    RECIPES,
    Activation,
    OptimizerKind,
    Recipe,
    Supervision,
    Teacher,
    Trains,
)
from cxr.local_baseline.recipes.overrides import (
    HYPERPARAMETERS,
    RECIPE_KNOBS,
    STAGE_KNOBS,
    apply_overrides,
    parse_overrides,
)


def changed(recipe: Recipe, *texts: str, weights: str = "none") -> Recipe:
    return apply_overrides(recipe, parse_overrides(texts), weights)


def test_fields_of_the_recipe_are_set() -> None:
    recipe = changed(CNN5, "batch_size=16", "dropout=0.35", "class_weights=false", "augmentation_strength=2")
    assert (recipe.batch_size, recipe.dropout, recipe.class_weights) == (16, 0.35, False)
    assert recipe.scratch[0].augmentation.times(recipe.augmentation_strength).zoom == pytest.approx(0.14)
    assert changed(CNN5) == CNN5


@pytest.mark.parametrize(
    ("key", "head", "last"),
    [("stages", 0.01, 0.01), ("last", 3e-3, 0.01), ("head", 0.01, 2e-4), ("fine-tune", 3e-3, 0.01)],
)
def test_stages_are_named_by_what_they_train(key: str, head: float, last: float) -> None:
    recipe = changed(MOBILENET_V2, f"{key}.optimizer.learning_rate=0.01", weights="imagenet")
    assert [stage.optimizer.learning_rate for stage in recipe.pretrained] == [head, last]
    assert recipe.scratch == MOBILENET_V2.scratch


def test_a_head_on_features_is_never_augmented() -> None:
    recipe = changed(MOBILENET_V2, "stages.augmentation.zoom=0.3", weights="imagenet")
    zooms = {stage.trains: stage.augmentation.zoom for stage in recipe.pretrained}
    assert zooms == {Trains.HEAD: 0.0, Trains.FINE_TUNE: 0.3}


def test_a_tuning_service_may_give_whole_numbers_with_a_point_and_the_last_word_counts() -> None:
    assert parse_overrides(["batch_size=64", "batch_size=32.0"]) == {"batch_size": 32}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batch_size", "there is no '='"),
        ("batchsize=3", "a recipe has no 'batchsize'; it has activation, aspect, augmentation_strength"),
        ("scratch.optimizer.learning_rate=1", "a recipe has no 'scratch.optimizer.learning_rate'"),
        ("stages.augmentation.horizontal_flip=true", "a mirrored chest has its heart on the right"),
        ("batch_size=3.5", "batch_size=3.5: it takes a whole number, 1 to 4096"),
        ("batch_size=0", "it takes a whole number, 1 to 4096"),
        ("dropout=high", "dropout=high: it takes a number, 0 to 0.9"),
        ("dropout=nan", "it takes a number"),
        ("dropout=1", "it takes a number, 0 to 0.9"),
        ("class_weights=yes", "it takes true or false"),
        ("stages.optimizer.learning_rate=-1", "it takes a number, 1e-07 to 1"),
        (
            "fine-tune.optimizer.learning_rate=0.1",
            "the stages that would run: whole (plateau)",
        ),
        ("stages.schedule.warmup_share=0.2", "no stage of cnn5 has it"),
        ("unfreeze_layers=3", "no stage of cnn5 has it"),
        ("batch_norm=trained", "no stage of cnn5 has it"),
        ("optimizer.kind=lion", "optimizer.kind=lion: it takes one of adam, adamw, nadam, rmsprop, sgd"),
        ("activation=sine", "activation=sine: it takes one of relu, elu, selu, gelu, swish, tanh, leaky_relu"),
        ("backbone=vgg16", "backbone: cnn5 does not stand on a known net"),
        ("head_units=64", "head_units: cnn5 does not stand on a known net"),
        ("l2=-1", "l2=-1.0: it takes a number, 0 to 1"),
        ("stages.budget.epochs=40", "budget.max_epochs=30 is less than budget.epochs"),
    ],
)
def test_what_does_not_fit_is_a_usage_error_that_says_what_does(text: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        changed(CNN5, text)
    assert words in error.value.message


def test_words_become_the_fields_own_kind() -> None:
    recipe = changed(CNN5, "optimizer.kind=sgd", "activation=elu", "l1=1e-5", "l2=0.001", "supervision=etiology")
    assert recipe.scratch[0].optimizer.kind is OptimizerKind.SGD
    assert recipe.activation is Activation.ELU
    assert (recipe.l1, recipe.l2, recipe.supervision) == (1e-5, 0.001, Supervision.ETIOLOGY)


def test_an_activation_needs_a_layer_of_the_recipes_own() -> None:
    with pytest.raises(UsageError, match="all hidden layers of mobilenet-v2 are its backbone's") as error:
        changed(MOBILENET_V2, "activation=elu")
    assert "head_units" in str(error.value.hint)
    # Whatever their order.
    assert changed(MOBILENET_V2, "activation=elu", "head_units=64").activation is Activation.ELU


@pytest.mark.parametrize("key", ["teacher_share", "teacher_temperature"])
def test_what_is_said_of_teachers_needs_teachers(key: str) -> None:
    with pytest.raises(UsageError, match="flagship has no teachers"):
        apply_overrides(FLAGSHIP, {key: 1.0}, "imagenet")
    taught = replace(FLAGSHIP, teachers=(Teacher("large", EDGE),))
    assert getattr(apply_overrides(taught, {key: 0.5}, "imagenet"), key) == 0.5


def test_a_batch_norm_that_is_frozen_takes_no_momentum() -> None:
    assert changed(MOBILENET_V2, "batch_norm_momentum=0.8").batch_norm_momentum == 0.8
    with pytest.raises(UsageError, match="batch_norm_momentum: with weights imagenet") as error:
        changed(MOBILENET_V2, "batch_norm_momentum=0.8", weights="imagenet")
    assert error.value.hint
    trained = changed(MOBILENET_V2, "batch_norm_momentum=0.8", "fine-tune.batch_norm=trained", weights="imagenet")
    assert trained.batch_norm_momentum == 0.8


@pytest.mark.parametrize(
    ("recipe", "text", "weights", "words"),
    [
        ("cnn5", "optimizer.momentum=0.9", "none", "optimizer.momentum=0.9: adam has none to set"),
        ("dense", "augmentation_strength=2", "none", "nothing that runs of dense is augmented"),
        ("vgg16-frozen", "augmentation_strength=2", "imagenet", "nothing that runs of vgg16-frozen is augmented"),
        ("dense", "batch_norm_momentum=0.8", "none", "dense has no batch norm"),
        ("vgg16-frozen", "batch_norm_momentum=0.8", "none", "vgg16-frozen has no batch norm"),
        ("flagship", "early_stopping.patience=3", "imagenet", "no stage of flagship has it"),
        ("flagship", "early_stopping.min_delta=0.1", "imagenet", "no stage of flagship has it"),
        ("flagship", "teacher_share=0.5", "imagenet", "teacher_share: flagship has no teachers"),
        ("cnn5", "teacher_temperature=2", "none", "teacher_temperature: cnn5 has no teachers"),
    ],
)
def test_what_would_change_nothing_is_refused(recipe: str, text: str, weights: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        changed(RECIPES[recipe], text, weights=weights)
    assert words in error.value.message
    if "early_stopping" in text:
        assert "early_stopping.keep_last=false" in str(error.value.hint)


def test_the_same_is_taken_where_it_changes_something() -> None:
    assert changed(CNN5, "optimizer.momentum=0.9", "optimizer.kind=sgd").scratch[0].optimizer.momentum == 0.9
    grown = changed(RECIPES["dense"], "augmentation_strength=2", "augmentation.zoom=0.1")
    assert grown.scratch[0].augmentation.times(grown.augmentation_strength).zoom == pytest.approx(0.2)
    # Whatever their order.
    rule = changed(RECIPES["flagship"], "early_stopping.patience=3", "early_stopping.keep_last=false").scratch[0]
    assert (rule.early_stopping.patience, rule.early_stopping.keep_last) == (3, False)


def test_a_stage_that_keeps_its_last_epoch_has_no_other_rule() -> None:
    (stage,) = changed(CNN5, "early_stopping.keep_last=true").scratch
    assert stage.early_stopping == KEEP_LAST
    with pytest.raises(UsageError, match=r"early_stopping\.patience: no stage"):
        changed(CNN5, "early_stopping.keep_last=true", "early_stopping.patience=3")


def test_changes_that_would_cut_the_chest_off_are_refused_together() -> None:
    with pytest.raises(UsageError, match="more than 50% of their side"):
        changed(CNN5, "stages.augmentation.zoom=0.3", "augmentation_strength=2")


def test_the_table_of_knobs_covers_fields_that_exist() -> None:
    for recipe in RECIPES.values():
        assert all(hasattr(recipe, name) for name in RECIPE_KNOBS)
    for name in STAGE_KNOBS:
        group, _, field = name.rpartition(".")
        stages = [stage for recipe in RECIPES.values() for stage in (*recipe.scratch, *recipe.pretrained)]
        assert any(hasattr(getattr(stage, group) if group else stage, field) for stage in stages)
    assert set(HYPERPARAMETERS.values()) <= {*RECIPE_KNOBS, *STAGE_KNOBS}
