"""Whether a record still is what its teacher says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from mentee.methods import Method
from mentee.recipe import Network, Recipe, Recorded, read
from mentee.run.networks import Given, Makes
from mentee.run.recording_places import prepare, with_its_input
from mentee.teachers.record.places import open_places
from mentee.types import CLEAN


@dataclass(frozen=True)
class Verified:
    """How a record compares with its teacher, read live on a sample.

    Attributes:
        examples: how many.
        views: which.
        cosine: by column, the worst of any example in any of these views.
    """

    examples: int
    views: tuple[int, ...]
    cosine: dict[str, float]

    def __str__(self) -> str:
        worst = "\n".join(f"{name:<32}{value:.6f}" for name, value in self.cosine.items())
        names = ", ".join("clean" if view == CLEAN else f"view {view}" for view in self.views)
        return f"worst cosine of {self.examples:,} examples ({names})\n{worst}"


def verify(
    path: str | Path,
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    sample: int = 64,
    changes: Sequence[str] = (),
    data: Any = None,
    student: Makes | None = None,
    teacher: Makes | None = None,
    methods: Mapping[str, Method] | None = None,
) -> Verified:
    """Compare a record of places with its teacher: every file's checksum, and a sample read live.

    Args:
        path: the record.
        recipe: that it was made for; its teacher may be the record itself.
        sample: how many examples, evenly spaced; of each the clean one and the first and last view.
        changes: of the recipe.
        data: as for `train`.
        student: the same.
        teacher: the same.
        methods: the same.

    Returns:
        The worst cosine by column.

    Raises:
        DataError: a file is damaged, the examples are others, or the teacher has other weights.
    """
    content = read(recipe, changes)
    record = open_places(path, content.data.train)
    if teacher is None and isinstance(content.teacher, Recorded):
        network = Network.model_validate(record.manifest.teacher["network"])
        content = content.model_copy(update={"teacher": network})
    content = with_its_input(content, record.manifest)
    seed = record.manifest.views["view_seed"]
    content = content.model_copy(
        update={"data": content.data.model_copy(update={"view_seed": seed})}
    )
    given = Given(data, student, teacher, methods)
    said = record.manifest
    recording, _ = prepare(content, given, said.methods, said.count, said.dtype, 64)
    record.check(recording.examples)
    recording = recording.following(record.folder)
    recording.merged(said)  # refuses other weights and views
    n = len(record)
    rows = np.unique(np.linspace(0, n - 1, min(n, sample)).astype(np.int64))
    views = tuple(dict.fromkeys([CLEAN, *([0, said.count - 1] if said.count else [])]))
    worst = {each.name: 1.0 for each in recording.columns}
    for view in views:
        kept = record.read(rows, view)
        parts = torch.from_numpy(recording.say(rows, view, recording.columns))
        fresh = parts.split([each.size for each in recording.columns], dim=1)  # type: ignore[no-untyped-call]
        for each, live in zip(recording.columns, fresh, strict=True):
            alike = F.cosine_similarity(kept[each.name].flatten(1), live, eps=1e-12)
            same = (kept[each.name].flatten(1) == live).all(1)  # zeros have no direction
            worst[each.name] = min(worst[each.name], float(alike.where(~same, 1.0).min()))
    return Verified(len(rows), views, worst)
