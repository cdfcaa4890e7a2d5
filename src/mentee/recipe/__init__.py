"""The recipe: a strict schema, every problem said at once, nothing left open once resolved."""

from mentee.recipe.networks import (
    AudioInput,
    Ensemble,
    Input,
    Live,
    Network,
    Recorded,
    Reuse,
    TextInput,
    live_of,
)
from mentee.recipe.reading import dump, find_recipe, read, shipped
from mentee.recipe.schema import (
    Data,
    Domain,
    MethodRecipe,
    Recipe,
    Train,
)

__all__ = [
    "AudioInput",
    "Data",
    "Domain",
    "Ensemble",
    "Input",
    "Live",
    "MethodRecipe",
    "Network",
    "Recipe",
    "Recorded",
    "Reuse",
    "TextInput",
    "Train",
    "dump",
    "find_recipe",
    "live_of",
    "read",
    "shipped",
]
