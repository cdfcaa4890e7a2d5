"""The recipe: a strict schema, every problem said at once, nothing left open once resolved."""

from mentee.recipe.probe import Probe
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
from mentee.recipe.unlabelled import Unlabelled
from mentee.recipe.watch import Watch

__all__ = [
    "AudioInput",
    "Data",
    "Domain",
    "Input",
    "MethodRecipe",
    "Network",
    "Probe",
    "Recipe",
    "Recorded",
    "TextInput",
    "Train",
    "Unlabelled",
    "Watch",
    "dump",
    "find_recipe",
    "read",
    "shipped",
]
