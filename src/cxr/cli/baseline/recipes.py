"""`cxr baseline recipes`."""

from __future__ import annotations

import shlex
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.local_baseline.recipes import Recipe, Stage, Teacher


#: Fields of a recipe that have rows of their own.
SHOWN = {"name", "summary", "source", "architecture", "preprocessing", "scratch", "pretrained", "default_weights"}
SHOWN |= {"parameters", "backbone", "pooling", "head_units", "batch_size", "dropout", "l1", "l2", "penalised_layers"}
SHOWN |= {"class_weights", "teachers", "deviations"}


def recipes_command(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show one recipe in full: a name, or a .toml file.")
    ] = None,
    toml: Annotated[
        bool, typer.Option("--toml", help="Print NAME as a file to start a recipe of your own from.")
    ] = False,
    space: Annotated[
        bool, typer.Option("--space", help="Print what `cxr baseline tune` varies in NAME, as a file for its --space.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the recipes: what each trains, on which input, and from where; or show one in full.

    Example: cxr baseline recipes cnn5 --toml > my.toml
    """
    from cxr.local_baseline.recipes import RECIPES
    from cxr.local_baseline.recipes.recipe_file import open_recipe, to_toml

    out = Out(as_json, quiet)
    if toml and space:
        raise UsageError("--toml and --space are two files", hint="one at a time")
    if name is None:
        if toml or space:
            option = "--toml" if toml else "--space"
            raise UsageError(f"{option} writes one recipe's", hint=f"cxr baseline recipes cnn5 {option} > my.toml")
        _print_all(out, list(RECIPES.values()))
        return
    chosen = open_recipe(name)
    recipe = chosen.with_overrides({}, chosen.recipe.default_weights)
    if toml:
        text = to_toml(recipe, base=chosen.base)
        out.text(text.rstrip())
        out.result("baseline.recipes", {"recipes": [asdict(recipe)], "toml": text})
        out.hint(f"cxr baseline recipes {shlex.quote(name)} --toml > my.toml; cxr baseline train --recipe my.toml")
        return
    if space:
        _print_space(out, chosen.base, recipe)
        return
    _print_one(out, recipe)
    out.result("baseline.recipes", {"recipes": [asdict(recipe)]})
    out.hint(f"cxr baseline train --recipe {shlex.quote(name)}")


def _print_space(out: Out, base: str, recipe: Recipe) -> None:
    from cxr.local_baseline.recipes.search_space import default_space, to_toml

    text = to_toml(default_space(base, recipe, recipe.default_weights))
    out.text(text.rstrip())
    out.result("baseline.recipes", {"recipes": [asdict(recipe)], "space": text})
    name = shlex.quote(recipe.name)
    out.hint(f"cxr baseline recipes {name} --space > space.toml; cxr baseline tune --recipe {name} --space space.toml")


def _print_all(out: Out, recipes: list[Recipe]) -> None:
    rows = [
        (recipe.name, _input(recipe), recipe.parameters, recipe.weights, recipe.summary, recipe.source)
        for recipe in recipes
    ]
    out.table(("recipe", "input", "parameters", "weights", "what it is", "source"), rows)
    out.result("baseline.recipes", {"recipes": [asdict(recipe) for recipe in recipes]})
    out.hint("cxr baseline recipes cnn5; cxr baseline train --recipe cnn5")


def _print_one(out: Out, recipe: Recipe) -> None:
    rows: list[tuple[str, object]] = [
        ("what it is", recipe.summary),
        ("source", recipe.source),
        ("input", f"{_input(recipe)}, {recipe.preprocessing.aspect}"),
        ("architecture", recipe.architecture.value),
        ("parameters", recipe.parameters),
        ("weights", f"{recipe.weights} (the first is the default)" if recipe.pretrained else recipe.weights),
        ("batch size", recipe.batch_size),
        ("dropout", recipe.dropout),
        ("class weights", "yes" if recipe.class_weights else "no"),
        *_particulars(recipe),
    ]
    if recipe.backbone is not None:
        hidden = f", {recipe.head_units} hidden units" if recipe.head_units else ""
        rows.insert(4, ("backbone", f"{recipe.backbone}, {recipe.pooling} features{hidden}"))
    if recipe.l1 or recipe.l2:
        rows.append(
            ("penalties", f"L1 {recipe.l1:g}, L2 {recipe.l2:g} on {', '.join(recipe.penalised_layers) or 'all'}")
        )
    for words, stages in (("from scratch", recipe.scratch), ("with weights", recipe.pretrained)):
        rows += [(f"{words}, {stage.trains}", _stage_words(stage)) for stage in stages]
    rows += [(f"teacher {teacher.name}", _teacher_words(teacher)) for teacher in recipe.teachers]
    rows += [("differs from its source", deviation) for deviation in recipe.deviations]
    # As text, one value a cell: numbers beside words.
    out.table((recipe.name, ""), [(key, "-" if value is None else str(value)) for key, value in rows])


def _particulars(recipe: Recipe) -> list[tuple[str, object]]:
    """What else the recipe does in another way than most."""
    return [
        (field.name.replace("_", " "), _words(getattr(recipe, field.name)))
        for field in fields(recipe)
        if field.name not in SHOWN and getattr(recipe, field.name) != field.default
    ]


def _words(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _input(recipe: Recipe) -> str:
    contract = recipe.preprocessing
    return f"{contract.height}x{contract.width}x{contract.channels}"


def _stage_words(stage: Stage) -> str:
    budget = stage.budget
    length = f"{budget.epochs} epochs"
    if budget.min_steps:
        length += f" (at least {budget.min_steps} steps, at most {budget.max_epochs} epochs)"
    changes = [f"{name} {value:g}" for name, value in asdict(stage.augmentation).items() if value]
    layers = "" if stage.unfreeze_layers is None else f", the last {stage.unfreeze_layers} convolutions"
    batch_norm = f", batch norm {stage.batch_norm}" if stage.trains == "fine-tune" else ""
    return (
        f"{length}, {_optimizer_words(stage)}, {_schedule_words(stage)}, {_stopping_words(stage)}, "
        f"{', '.join(changes) or 'no augmentation'}{layers}{batch_norm}"
    )


def _optimizer_words(stage: Stage) -> str:
    optimizer = stage.optimizer
    more = (("momentum", optimizer.momentum), ("weight decay", optimizer.weight_decay))
    said = "".join(f", {name} {size:g}" for name, size in more if size)
    return f"{optimizer.kind} {optimizer.learning_rate:g}{said}"


def _schedule_words(stage: Stage) -> str:
    settings = ", ".join(f"{name.replace('_', ' ')} {size:g}" for name, size in asdict(stage.schedule).items())
    return f"{type(stage.schedule).__name__.lower()} schedule{f' ({settings})' if settings else ''}"


def _stopping_words(stage: Stage) -> str:
    rule = stage.early_stopping
    if rule.keep_last:
        return "the last epoch is kept"
    if rule.patience >= stage.budget.max_epochs:
        return "the best epoch is kept"
    least = f" by {rule.min_delta:g}" if rule.min_delta else ""
    return f"the best epoch is kept, stops after {rule.patience} without progress{least}"


def _teacher_words(teacher: Teacher) -> str:
    weights = f", weights {teacher.weights}" if teacher.weights else ""
    return f"{teacher.recipe.name} at {_input(teacher.recipe)}, seed + {teacher.seed}{weights}"
