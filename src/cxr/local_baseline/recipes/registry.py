"""The recipes by name."""

from __future__ import annotations

from cxr.errors import UsageError
from cxr.local_baseline.recipes.ancestors import (
    CIFAR_CNN,
    CNN3,
    CNN3_AUGMENTED,
    CNN5,
    DENSE,
    DENSE_L2,
    RESNET50_FROZEN,
    VGG16_FROZEN,
)
from cxr.local_baseline.recipes.edge import EDGE
from cxr.local_baseline.recipes.flagship import FLAGSHIP
from cxr.local_baseline.recipes.nouns import Recipe
from cxr.local_baseline.recipes.transfer import DENSENET121, EFFICIENTNET_B0, MOBILENET_V2

#: By name, in the order of the list that users see.
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        DENSE,
        DENSE_L2,
        CNN3,
        CNN3_AUGMENTED,
        RESNET50_FROZEN,
        CNN5,
        VGG16_FROZEN,
        CIFAR_CNN,
        MOBILENET_V2,
        EFFICIENTNET_B0,
        DENSENET121,
        FLAGSHIP,
        EDGE,
    )
}


def find_recipe(name: str) -> Recipe:
    """A recipe by name. Raises UsageError that lists the recipes when there is none."""
    try:
        return RECIPES[name]
    except KeyError:
        raise UsageError(
            f"there is no recipe {name!r}; the recipes are: {', '.join(RECIPES)}",
            hint="what each does: cxr baseline recipes",
        ) from None
