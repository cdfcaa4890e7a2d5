"""The recipe: a strict schema, every problem said at once, nothing left open once resolved."""

from mentee.recipe.reading import dump, find_recipe, read, shipped
from mentee.recipe.schema import Data, Input, Network, Recipe, Train

__all__ = [
    "Data",
    "Input",
    "Network",
    "Recipe",
    "Train",
    "dump",
    "find_recipe",
    "read",
    "shipped",
]
