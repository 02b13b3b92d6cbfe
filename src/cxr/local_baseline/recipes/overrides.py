"""`--set KEY=VALUE`: a recipe with some of its data changed, checked for type and range.

A key is a field of the recipe (`batch_size`), or a field of its stages (`optimizer.learning_rate`): of the last stage,
or of those that a word before it names: `stages` (all that run), `last`, or what they train (`whole`, `head`, `frozen`,
`last-block`, `fine-tune`), as in `fine-tune.optimizer.learning_rate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from cxr.bundle import Aspect
from cxr.errors import UsageError
from cxr.local_baseline.models.backbone_facts import FACTS
from cxr.local_baseline.recipes import (
    KEEP_LAST,
    NO_WEIGHTS,
    NOTHING,
    Activation,
    Architecture,
    BackboneKind,
    BatchNorm,
    ChosenOn,
    OptimizerKind,
    Precision,
    Recipe,
    Sampling,
    Stage,
    Supervision,
    Trains,
)

Value = bool | int | float | str
Overrides = Mapping[str, Value]


class Kind(StrEnum):
    """What a knob takes."""

    DOUBLE = "a number"
    INTEGER = "a whole number"
    SWITCH = "true or false"
    CHOICE = "one of"


@dataclass(frozen=True, slots=True)
class Knob:
    """One field that can be set: a number from `low` to `high`, both included, or one of the words in `choices`."""

    kind: Kind
    low: float = 0.0
    high: float = 1.0
    choices: type[StrEnum] | None = None

    @property
    def words(self) -> str:
        """What may be given."""
        if self.choices is not None:
            return f"{self.kind.value} {', '.join(self.choices)}"
        return self.kind.value if self.kind is Kind.SWITCH else f"{self.kind.value}, {self.low:g} to {self.high:g}"


#: Fields of the recipe.
RECIPE_KNOBS: dict[str, Knob] = {
    "activation": Knob(Kind.CHOICE, choices=Activation),
    "aspect": Knob(Kind.CHOICE, choices=Aspect),
    "augmentation_strength": Knob(Kind.DOUBLE, 0.0, 4.0),
    "backbone": Knob(Kind.CHOICE, choices=BackboneKind),
    "batch_norm_momentum": Knob(Kind.DOUBLE, 0.5, 0.999),
    "batch_size": Knob(Kind.INTEGER, 1, 4096),
    "class_weights": Knob(Kind.SWITCH),
    "dropout": Knob(Kind.DOUBLE, 0.0, 0.9),
    "head_units": Knob(Kind.INTEGER, 0, 4096),
    "l1": Knob(Kind.DOUBLE, 0.0, 1.0),
    "l2": Knob(Kind.DOUBLE, 0.0, 1.0),
    "label_smoothing": Knob(Kind.DOUBLE, 0.0, 0.5),
    "operating_point": Knob(Kind.CHOICE, choices=ChosenOn),
    "precision": Knob(Kind.CHOICE, choices=Precision),
    "sampling": Knob(Kind.CHOICE, choices=Sampling),
    "supervision": Knob(Kind.CHOICE, choices=Supervision),
    "teacher_share": Knob(Kind.DOUBLE, 0.0, 1.0),
    "teacher_temperature": Knob(Kind.DOUBLE, 0.5, 20.0),
    "weight_average": Knob(Kind.DOUBLE, 0.0, 0.9999),
}
#: Those that change what the recipe is made of.
STRUCTURE_KNOBS = ("backbone", "head_units")
#: Those that mean something only to a recipe with teachers.
TEACHER_KNOBS = ("teacher_share", "teacher_temperature")
#: Fields of a stage.
STAGE_KNOBS: dict[str, Knob] = {
    "augmentation.aspect": Knob(Kind.DOUBLE, 0.0, 0.8),
    "augmentation.bands": Knob(Kind.DOUBLE, 0.0, 2.0),
    "augmentation.black": Knob(Kind.DOUBLE, 0.0, 1.0),
    "augmentation.blur": Knob(Kind.DOUBLE, 0.0, 1.0),
    "augmentation.brightness": Knob(Kind.DOUBLE, 0.0, 0.5),
    "augmentation.contrast": Knob(Kind.DOUBLE, 0.0, 1.5),
    "augmentation.erase": Knob(Kind.DOUBLE, 0.0, 1.0),
    "augmentation.gamma": Knob(Kind.DOUBLE, 0.0, 1.5),
    "augmentation.noise": Knob(Kind.DOUBLE, 0.0, 0.5),
    "augmentation.rotation": Knob(Kind.DOUBLE, 0.0, 45.0),
    "augmentation.shift": Knob(Kind.DOUBLE, 0.0, 0.4),
    "augmentation.zoom": Knob(Kind.DOUBLE, 0.0, 0.4),
    "batch_norm": Knob(Kind.CHOICE, choices=BatchNorm),
    "budget.epochs": Knob(Kind.INTEGER, 1, 10_000),
    "budget.max_epochs": Knob(Kind.INTEGER, 1, 10_000),
    "budget.min_steps": Knob(Kind.INTEGER, 0, 10_000_000),
    "early_stopping.keep_last": Knob(Kind.SWITCH),
    "early_stopping.min_delta": Knob(Kind.DOUBLE, 0.0, 1.0),
    "early_stopping.patience": Knob(Kind.INTEGER, 1, 10_000),
    "optimizer.kind": Knob(Kind.CHOICE, choices=OptimizerKind),
    "optimizer.learning_rate": Knob(Kind.DOUBLE, 1e-7, 1.0),
    "optimizer.momentum": Knob(Kind.DOUBLE, 0.0, 0.999),
    "optimizer.weight_decay": Knob(Kind.DOUBLE, 0.0, 1.0),
    "schedule.factor": Knob(Kind.DOUBLE, 0.01, 0.99),
    "schedule.patience": Knob(Kind.INTEGER, 1, 10_000),
    "schedule.warmup_share": Knob(Kind.DOUBLE, 0.0, 0.9),
    "unfreeze_layers": Knob(Kind.INTEGER, 0, 1000),
}
#: The one that decides whether a stage's other rules of stopping mean anything.
KEEP_LAST_KNOB = "early_stopping.keep_last"
#: Fields that cannot be set, and why.
NO_KNOBS = {
    "augmentation.horizontal_flip": "a mirrored chest has its heart on the right, which is another diagnosis, "
    "and a net trained on both learns that sides do not matter",
}
#: The words for all stages, and for the one whose length `--epochs` is.
ALL, LAST = "stages", "last"
STAGE_WORDS = (ALL, LAST, *(trains.value for trains in Trains))
#: Flags of the trainer, named as a tuning service names its parameters, and the keys that they are short for.
HYPERPARAMETERS: dict[str, str] = {
    "learning-rate": "optimizer.learning_rate",
    "optimizer": "optimizer.kind",
    "weight-decay": "optimizer.weight_decay",
    "dropout": "dropout",
    "batch-size": "batch_size",
    "activation": "activation",
    "l1": "l1",
    "l2": "l2",
    "augmentation-strength": "augmentation_strength",
    "unfreeze-layers": "unfreeze_layers",
}
#: Beyond this share of the side a chest leaves the image.
MOST_ZOOM = 0.5
#: Optimizers that have a momentum of their own to set.
WITH_MOMENTUM = (OptimizerKind.RMSPROP, OptimizerKind.SGD)
#: Nets without a batch-norm layer.
WITHOUT_BATCH_NORM = (Architecture.DENSE, Architecture.THREE_BLOCK, Architecture.SIX_CONVOLUTIONS, BackboneKind.VGG16)


def parse_overrides(texts: Iterable[str]) -> dict[str, Value]:
    """Read `KEY=VALUE` texts; of a key given twice the last counts. Raises UsageError naming the key, and what it
    takes."""
    read: dict[str, Value] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text}: there is no '='", hint="--set batch_size=16")
        read[key.strip()] = _value(key.strip(), value.strip())
    return read


def apply_overrides(recipe: Recipe, overrides: Overrides, weights: str) -> Recipe:
    """The recipe with `overrides` in the stages that run with `weights`. Raises UsageError for what does not fit."""
    pretrained = weights != NO_WEIGHTS and bool(recipe.pretrained)
    stages = recipe.pretrained if pretrained else recipe.scratch
    # What decides which other knobs there are comes first.
    for key, value in sorted(overrides.items(), key=lambda item: not _comes_first(item[0])):
        check_value(key, value)
        if key in RECIPE_KNOBS:
            recipe = _with_recipe_field(recipe, key, value)
        else:
            stages = _with_stages(recipe, stages, key, value)
    if "batch_norm_momentum" in overrides:
        _check_batch_norm(recipe, stages, weights if pretrained else NO_WEIGHTS)
    _check_together(recipe, stages)
    return replace(recipe, pretrained=stages) if pretrained else replace(recipe, scratch=stages)


def fixed_in(overrides: Overrides, recipe: Recipe, weights: str, *, also_all: bool = True) -> frozenset[str]:
    """The names (without a word for the stage) that `overrides` set of the recipe or of the last stage that runs with
    `weights`, which is what a tuning job's parameters set too; with `also_all` those set for all stages count."""
    pretrained = weights != NO_WEIGHTS and bool(recipe.pretrained)
    last = (recipe.pretrained if pretrained else recipe.scratch)[-1]
    words = {LAST, last.trains.value, *((ALL,) if also_all else ())}
    return frozenset(name for word, name in map(_stage_key, overrides) if word in words)


def has_batch_norm(recipe: Recipe) -> bool:
    """Whether the net has a batch-norm layer."""
    return recipe.architecture not in WITHOUT_BATCH_NORM and recipe.backbone not in WITHOUT_BATCH_NORM


def is_augmented(stage: Stage) -> bool:
    """Whether the stage changes its training images at random. A head is trained on features, which nothing zooms."""
    return stage.trains is not Trains.HEAD and stage.augmentation != NOTHING


def _comes_first(key: str) -> bool:
    return key in STRUCTURE_KNOBS or _stage_key(key)[1] == KEEP_LAST_KNOB


def _check_batch_norm(recipe: Recipe, stages: tuple[Stage, ...], weights: str) -> None:
    if not has_batch_norm(recipe):
        raise UsageError(f"batch_norm_momentum: {recipe.name} has no batch norm")
    if weights != NO_WEIGHTS and not any(map(_trains_batch_norm, stages)):
        raise UsageError(
            f"batch_norm_momentum: with weights {weights} {recipe.name}'s batch norm keeps its pretrained statistics, "
            "there is no momentum",
            hint="add --set fine-tune.batch_norm=trained, or train from scratch: --weights none",
        )


def takes_activation(recipe: Recipe) -> bool:
    """Whether the recipe has layers whose activation is its own: a bare backbone has none."""
    return recipe.architecture is not Architecture.BACKBONE or recipe.head_units > 0


def _with_recipe_field(recipe: Recipe, key: str, value: Value) -> Recipe:
    knob = RECIPE_KNOBS[key]
    changed: dict[str, Any] = {key: knob.choices(str(value)) if knob.choices else value}
    if key == "activation" and not takes_activation(recipe):
        raise UsageError(
            f"activation: all hidden layers of {recipe.name} are its backbone's, with activations of their own",
            hint="give it a hidden layer first: --set head_units=256",
        )
    if key in TEACHER_KNOBS and not recipe.teachers:
        raise UsageError(f"{key}: {recipe.name} has no teachers", hint="a recipe's file names them: [[teacher]]")
    if key == "supervision" and value != recipe.supervision:
        changed["parameters"] = None
    if key in STRUCTURE_KNOBS:
        if recipe.backbone is None:
            raise UsageError(f"{key}: {recipe.name} does not stand on a known net")
        changed["parameters"] = None
    if key == "aspect":
        pixels: dict[str, Any] = {"aspect": str(value)}
        changed = {"preprocessing": replace(recipe.preprocessing, **pixels)}
    if key == "backbone":
        facts = FACTS[BackboneKind(str(value))]
        changed["preprocessing"] = replace(recipe.preprocessing, scale=facts.scale, offset=facts.offset)
    return replace(recipe, **changed)


def knob_of(key: str) -> Knob:
    """The knob that a key turns. Raises UsageError with the keys that there are."""
    _, name = _stage_key(key)
    if name in NO_KNOBS:
        raise UsageError(f"{key}: a recipe has no such key: {NO_KNOBS[name]}")
    if key in RECIPE_KNOBS:
        return RECIPE_KNOBS[key]
    if name in STAGE_KNOBS:
        return STAGE_KNOBS[name]
    raise UsageError(
        f"a recipe has no {key!r}; it has {', '.join(RECIPE_KNOBS)}, and of its stages "
        f"({', '.join(STAGE_WORDS)}): {', '.join(STAGE_KNOBS)}",
        hint="--set batch_size=16 --set optimizer.learning_rate=0.0005",
    )


def _stage_key(key: str) -> tuple[str, str]:
    """The word for the stages, and the name of their field."""
    word, _, name = key.partition(".")
    return (word, name) if word in STAGE_WORDS else (LAST, key)


def _value(key: str, text: str) -> Value:
    knob = knob_of(key)
    try:
        if knob.kind is Kind.SWITCH:
            value: Value = {"true": True, "false": False}[text.lower()]
        elif knob.kind is Kind.DOUBLE:
            value = float(text)
        elif knob.kind is Kind.INTEGER:
            # A tuning service gives the values of a discrete parameter as 32.0.
            value = int(text) if "." not in text else _whole(float(text))
        else:
            value = text
    except (KeyError, ValueError):
        raise UsageError(f"{key}={text}: it takes {knob.words}") from None
    check_value(key, value)
    return value


def _whole(number: float) -> int:
    if not number.is_integer():
        raise ValueError(number)
    return int(number)


def check_value(key: str, value: Any) -> None:
    """Raises UsageError for a key that there is not, or a value of another type or out of its range."""
    knob = knob_of(key)
    if not _fits(knob, value):
        raise UsageError(f"{key}={value}: it takes {knob.words}")


def _fits(knob: Knob, value: Any) -> bool:
    if knob.choices is not None:
        return isinstance(value, str) and value in {choice.value for choice in knob.choices}
    if knob.kind is Kind.SWITCH or isinstance(value, bool):
        return knob.kind is Kind.SWITCH and isinstance(value, bool)
    number = int if knob.kind is Kind.INTEGER else int | float
    # Not `value < low or value > high`: that would let NaN through.
    return isinstance(value, number) and knob.low <= value <= knob.high


def _trains_batch_norm(stage: Stage) -> bool:
    return stage.trains is Trains.FINE_TUNE and stage.batch_norm is BatchNorm.TRAINED


def _with_stages(recipe: Recipe, stages: tuple[Stage, ...], key: str, value: Value) -> tuple[Stage, ...]:
    word, name = _stage_key(key)
    changed = [
        _with_field(stage, name.split("."), value)
        if (word in {ALL, stage.trains} or (word == LAST and stage is stages[-1])) and stage_has(stage, name)
        else None
        for stage in stages
    ]
    if not any(changed):
        running = ", ".join(f"{stage.trains.value} ({type(stage.schedule).__name__.lower()})" for stage in stages)
        keeps_last = name.startswith("early_stopping.") and any(stage.early_stopping.keep_last for stage in stages)
        why = f"it keeps the last epoch, and stops at none before: --set {KEEP_LAST_KNOB}=false"
        raise UsageError(
            f"{key}: no stage of {recipe.name} has it; the stages that would run: {running}",
            hint=why if keeps_last else "",
        )
    return tuple(_settled(new or old) for new, old in zip(changed, stages, strict=True))


def _settled(stage: Stage) -> Stage:
    """Without what means nothing to it any more, so that equal trainings are equal stages."""
    return replace(stage, early_stopping=KEEP_LAST) if stage.early_stopping.keep_last else stage


def stage_has(stage: Stage, name: str) -> bool:
    """Whether the field `name` means anything to the stage."""
    if name == "unfreeze_layers":
        return stage.trains in {Trains.LAST_BLOCK, Trains.FINE_TUNE}
    if name == "batch_norm":
        return stage.trains is Trains.FINE_TUNE
    if name.startswith("early_stopping.") and name != KEEP_LAST_KNOB:
        return not stage.early_stopping.keep_last
    # A head is trained on features, which nothing zooms.
    return stage.trains is not Trains.HEAD or not name.startswith("augmentation.")


def _with_field(thing: Any, path: list[str], value: Value) -> Any:
    """A copy with the field changed; None when it has no such field (a schedule is one of two kinds)."""
    if path[0] not in {field.name for field in fields(thing)}:
        return None
    old = getattr(thing, path[0])
    if len(path) > 1:
        new = _with_field(old, path[1:], value)
    else:
        new = type(old)(str(value)) if isinstance(old, StrEnum) else value
    return None if new is None else replace(thing, **{path[0]: new})


def _check_together(recipe: Recipe, stages: tuple[Stage, ...]) -> None:
    if recipe.augmentation_strength != 1.0 and not any(map(is_augmented, stages)):
        raise UsageError(
            f"augmentation_strength={recipe.augmentation_strength:g}: nothing that runs of {recipe.name} is augmented",
            hint="--set augmentation.zoom=0.1, say",
        )
    for stage in stages:
        if stage.budget.max_epochs < stage.budget.epochs:
            raise UsageError(f"budget.max_epochs={stage.budget.max_epochs} is less than budget.epochs")
        if stage.optimizer.momentum and stage.optimizer.kind not in WITH_MOMENTUM:
            raise UsageError(
                f"optimizer.momentum={stage.optimizer.momentum:g}: {stage.optimizer.kind} has none to set",
                hint=f"--set optimizer.kind={WITH_MOMENTUM[0]}, or {WITH_MOMENTUM[1]}",
            )
        changes = stage.augmentation.times(recipe.augmentation_strength)
        if max(changes.zoom, changes.aspect / 2, changes.shift) > MOST_ZOOM:
            raise UsageError(
                f"augmentation_strength={recipe.augmentation_strength:g}: images would change by more than "
                f"{MOST_ZOOM:.0%} of their side",
                hint="lower it, or augmentation.zoom, augmentation.aspect and augmentation.shift",
            )
