"""The views of examples that a run makes, where a record says which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mentee.build.recorded_teachers import replays
from mentee.data.modality import find_modality
from mentee.errors import RecipeError
from mentee.recipe import ATeacher, Data, Recipe, RecordedRecipe, single_teachers
from mentee.records.network_manifest import read_network_manifest
from mentee.records.network_record import find_split

VIEW_KEYS = ("views", "pad", "size", "seconds", "sample_rate", "max_bytes", "view_seed")
"""The keys of `data` that say how a view is made of an example."""


def with_views_of_record(recipe: Recipe, teacher: ATeacher | None) -> Recipe:
    """The recipe with the views that its record has; as it is where there is no such record.

    Args:
        recipe: as read.
        teacher: what it says of its teacher, or what was passed from Python instead.

    Raises:
        RecipeError: the recipe makes other views, or more of them.
    """
    for each in single_teachers(teacher).values():
        if isinstance(each, RecordedRecipe) and replays(each, recipe.data):
            recipe = with_views_of(each, recipe)
    return recipe


def with_views_of(said: RecordedRecipe, recipe: Recipe) -> Recipe:
    """The recipe with the views that one record has.

    Raises:
        RecipeError: the recipe makes other views, or more of them.
    """
    data = recipe.data
    (path,) = said.record_folders.values()
    manifest = read_network_manifest(find_split(Path(path), data.train))
    views = data.views or find_modality(manifest.kind).default_views
    if views == "none" or said.clean:
        return recipe
    if not manifest.count:
        raise RecipeError(
            f"{path} has the clean examples only, and data.views is {views}; record views "
            "(--views 8), set data.views to none, or say that what the teacher said of the clean "
            "example teaches every view of it: teacher: {record: ..., clean: true}"
        )
    mine = how(data.model_copy(update={"views": views}), manifest.views["view_seed"])
    theirs = manifest.views
    other = [f"{k}: {theirs[k]} there, {v} here" for k, v in mine.items() if theirs[k] != v]
    if other:
        raise RecipeError(
            f"{path} was made of other views ({'; '.join(other)}); make data.* equal, or record "
            "these views"
        )
    if data.cycle is not None and data.cycle > manifest.count:
        raise RecipeError(
            f"data.cycle is {data.cycle} and {path} has {manifest.count} views; record more "
            f"(--views {data.cycle}), or lower data.cycle"
        )
    update = {"cycle": data.cycle or manifest.count, **mine}
    return recipe.model_copy(update={"data": data.model_copy(update=update)})


def how(data: Data, seed: int) -> dict[str, Any]:
    """How views are made of an example, as a recipe says it; `seed` where that says none."""
    said = {key: getattr(data, key) for key in VIEW_KEYS}
    return said | {"view_seed": seed if data.view_seed is None else data.view_seed}
