"""The recipe: a strict schema whose problems are all reported at once."""

from mentee.recipe.method import MethodRecipe
from mentee.recipe.networks import AudioInput, Input, Network, Reuse, TextInput
from mentee.recipe.probe import Probe
from mentee.recipe.reading import dump, find_recipe, read, shipped
from mentee.recipe.schema import Data, Domain, Monitor, Recipe, Select, TaskRecipe, Train, Unlabeled
from mentee.recipe.teachers import (
    ATeacher,
    EmaRecipe,
    Ensemble,
    MultiRecipe,
    OnlineRecipe,
    RecordedRecipe,
    online_recipe,
    single_teachers,
)
from mentee.recipe.yaml_text import parse_yaml

__all__ = [
    "ATeacher",
    "AudioInput",
    "Data",
    "Domain",
    "EmaRecipe",
    "Ensemble",
    "Input",
    "MethodRecipe",
    "Monitor",
    "MultiRecipe",
    "Network",
    "OnlineRecipe",
    "Probe",
    "Recipe",
    "RecordedRecipe",
    "Reuse",
    "Select",
    "TaskRecipe",
    "TextInput",
    "Train",
    "Unlabeled",
    "dump",
    "find_recipe",
    "online_recipe",
    "parse_yaml",
    "read",
    "shipped",
    "single_teachers",
]
