"""`cxr baseline recipes`."""

from __future__ import annotations

from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out


def recipes_command(as_json: Json = False, quiet: Quiet = False) -> None:
    """List the recipes: what each trains, on which input, and from where.

    Example: cxr baseline recipes
    """
    from dataclasses import asdict

    from cxr.local_baseline.recipes import RECIPES

    out = Out(as_json, quiet)
    rows = [
        (
            recipe.name,
            f"{recipe.preprocessing.height}x{recipe.preprocessing.width}x{recipe.preprocessing.channels}",
            recipe.weights,
            recipe.summary,
        )
        for recipe in RECIPES.values()
    ]
    out.table(("recipe", "input", "weights", "what it is"), rows)
    out.result("baseline.recipes", {"recipes": [asdict(recipe) for recipe in RECIPES.values()]})
    out.hint("cxr baseline train --recipe cnn5")
