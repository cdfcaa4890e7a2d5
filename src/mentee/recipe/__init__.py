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
from mentee.recipe.probe import Probe
from mentee.recipe.reading import dump, find_recipe, read, shipped
from mentee.recipe.schema import (
    Data,
    Domain,
    MethodRecipe,
    Recipe,
    Train,
)
from mentee.recipe.unlabelled import Unlabelled
from mentee.recipe.watch import Watch

__all__ = [
    "AudioInput",
    "Data",
    "Domain",
    "Ensemble",
    "Input",
    "Live",
    "MethodRecipe",
    "Network",
    "Probe",
    "Recipe",
    "Recorded",
    "Reuse",
    "TextInput",
    "Train",
    "Unlabelled",
    "Watch",
    "dump",
    "find_recipe",
    "live_of",
    "read",
    "shipped",
]
