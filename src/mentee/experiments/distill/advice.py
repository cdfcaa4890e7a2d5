"""`mentee advise`: the recipe that data and teacher suggest, with a reason for each line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mentee.build.datasets import cache_sources
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.experiments.distill.candidates import Budget
from mentee.experiments.distill.preparation import prepare
from mentee.experiments.distill.strategies import supervised, without_labels
from mentee.recipe import Recipe, read


def advise(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    max_params: int | None = None,
    max_bytes: int | None = None,
    max_latency: float | None = None,
    given: bool | None = None,
    label_free: bool = False,
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
) -> str:
    """A recipe for some data and a teacher, and the reasons for it; nothing is trained.

    The arguments are those of `distill`.

    Returns:
        YAML with comments: what was found, the recipe, and what else may be tried.

    Raises:
        MenteeError: nothing fits.
    """
    overrides, lines = PythonOverrides(data, student, teacher), list[str]()
    content = overrides.mark(read(recipe))
    budget = Budget(max_params, max_bytes, max_latency)
    with cache_sources():
        ready = prepare(
            content, budget, overrides, lines.append, given=given, label_free=label_free
        )
    best, *others = ready.tried[1:]
    network = ready.students[0].network
    chosen = supervised(content, best, network)
    if label_free:
        chosen = without_labels(content, best, network, spare=ready.spare)
    notes = [f"# {line}" for line in lines]
    notes += [f"# {best.name}: {best.reason}; {best.measured}"]
    text = yaml.safe_dump(chosen.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
    if best.first and not label_free:
        notes.append(f"# begin without labels: mentee distill does both phases of {best.name}")
    more = [f"# or {each.name}: {each.reason}; {each.measured}" for each in others]
    return "\n".join([*notes, text.rstrip(), *more])
