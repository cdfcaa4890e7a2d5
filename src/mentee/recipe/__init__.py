"""The recipe: a strict schema, every problem said at once, nothing left open once resolved."""

from mentee.recipe.method import MethodRecipe
from mentee.recipe.monitor import Watch
from mentee.recipe.networks import AudioInput, Input, Network, Reuse, TextInput
from mentee.recipe.probe import Probe
from mentee.recipe.reading import dump, find_recipe, read, shipped
from mentee.recipe.schema import Data, Domain, Recipe, Select, Train
from mentee.recipe.teachers import (
    ATeacher,
    Averaged,
    Ensemble,
    Live,
    Recorded,
    Several,
    each_of,
    live_of,
)
from mentee.recipe.unlabeled import Unlabeled

__all__ = [
    "ATeacher",
    "AudioInput",
    "Averaged",
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
    "Select",
    "Several",
    "TextInput",
    "Train",
    "Unlabeled",
    "Watch",
    "dump",
    "each_of",
    "find_recipe",
    "live_of",
    "read",
    "shipped",
]
