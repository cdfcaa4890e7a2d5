"""What determines the views of examples: the settings that a record keeps, and interpolation."""

from __future__ import annotations

from typing import Any

from mentee.build.datasets import DatasetSplits
from mentee.build.overrides import PythonOverrides
from mentee.build.own_input import own_input
from mentee.build.teacher_kind import sources
from mentee.recipe import Data, Recipe
from mentee.records import Manifest

VIEW_KEYS = ("views", "pad", "size", "seconds", "sample_rate", "max_bytes", "view_seed")
"""The keys of `data` that determine a view of an example."""


def view_settings(data: Data, seed: int) -> dict[str, Any]:
    """All that determines a view of an example; `seed` where the recipe has none."""
    settings = {key: getattr(data, key) for key in VIEW_KEYS}
    if data.interpolation not in (None, "bilinear"):  # else as records had it before
        settings["interpolation"] = data.interpolation
    return settings | {"view_seed": seed if data.view_seed is None else data.view_seed}


def recorded_interpolation(data: Data, manifest: Manifest) -> Data:
    """The data with the interpolation of a record's views, where the recipe leaves it open."""
    if data.size is None or data.interpolation is not None:
        return data
    how = manifest.views.get("interpolation", "bilinear")
    return data.model_copy(update={"interpolation": how})


def resolve_interpolation(
    recipe: Recipe, splits: DatasetSplits, overrides: PythonOverrides
) -> tuple[Data, list[str]]:
    """The data with the interpolation by which images are resized, and a line that tells it.

    As the recipe says, else as the networks were trained that tell it and whose input the recipe
    leaves open: the teachers, or without any the student. Where they differ, bilinear.
    """
    data = recipe.data
    if data.size is None or splits.train.kind != "image":
        return data, []
    how, reason = f"{data.interpolation}", "as data.interpolation says"
    if data.interpolation is None:
        passed = [] if recipe.teacher is None else sources(recipe.teacher, overrides.teacher)
        several = [] if recipe.teacher is None else recipe.teacher.each_network
        pairs = [(each, source) for each, (_, source) in zip(several, passed, strict=True)]
        choices = {
            own.contract.interpolation: f"as {own.source} says"
            for network, source in pairs or [(recipe.student, overrides.student)]
            if network.input is None
            and (
                own := own_input(
                    network,
                    source,
                    classes=network.classes or splits.classes or 1,
                    channels=splits.train.channels,
                    teaches=bool(pairs),
                )
            )
        }
        how, reason = choices.popitem() if len(choices) == 1 else ("bilinear", "the default")
    line = f"images are resized to {data.size}×{data.size} by {how} interpolation, antialiased"
    return data.model_copy(update={"interpolation": how}), [f"{line}, {reason}"]
