"""The recipe: a strict schema, every problem said at once, nothing left open once resolved."""

from mentee.recipe.reading import dump, find_recipe, read, shipped
from mentee.recipe.schema import (
    AudioInput,
    Data,
    Domain,
    Input,
    MethodRecipe,
    Network,
    Recipe,
    Recorded,
    TextInput,
    Train,
)

__all__ = [
    "AudioInput",
    "Data",
    "Domain",
    "Input",
    "MethodRecipe",
    "Network",
    "Recipe",
    "Recorded",
    "TextInput",
    "Train",
    "dump",
    "find_recipe",
    "read",
    "shipped",
]
