"""The plan of a search, `distill.json`: what was asked for, and how long each part took."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee import files
from mentee.errors import RunError
from mentee.experiments.distill.candidates import Budget
from mentee.recipe import Recipe
from mentee.runs.changes import differences, listing, with_defaults


@dataclass(frozen=True)
class Request:
    """What is asked for, beside the recipe; the same again resumes.

    Attributes:
        budget: of the student.
        minutes: for everything; None: `epochs` say how long runs are.
        epochs: of the last runs; those of the search have half as many.
        seeds: of the last runs, at least.
        given: whether the recipe's student is the only one.
        label_free: whether labels train the classifier alone.
    """

    budget: Budget
    minutes: float | None
    epochs: int | None
    seeds: int
    given: bool | None
    label_free: bool = False

    def as_json(self, recipe: Recipe) -> dict[str, Any]:
        """With the recipe, as it stands in the plan."""
        content: dict[str, Any] = json.loads(json.dumps(self, default=vars))
        return {"recipe": recipe.model_dump(mode="json"), "request": content}

    def read_saved(self, file: Path, recipe: Recipe) -> dict[str, Any]:
        """The plan of an earlier call; empty: there was none.

        Raises:
            RunError: it was for something else.
        """
        if not file.is_file():
            return {}
        saved = files.read_json(file, "it is the plan of the search; give another --out")
        request = {"label_free": False, **(saved.get("request") or {})}
        was = {"recipe": with_defaults(saved.get("recipe") or {}), "request": request}
        if changes := differences(was, self.as_json(recipe)):
            raise RunError(
                f"{file.parent} was begun otherwise ({listing(changes)}); give the same command to "
                "resume, or another --out"
            )
        return saved


class Clock:
    """The seconds since a search began, those of earlier calls included, and when parts began.

    Args:
        saved: the plan of an earlier call.

    Attributes:
        parts: by name when each began and ended.
    """

    def __init__(self, saved: Mapping[str, Any]) -> None:
        self._began: float = time.monotonic() - saved.get("spent_seconds", 0.0)
        self.parts: dict[str, list[float]] = {k: [*v] for k, v in saved.get("seconds", {}).items()}

    @property
    def now(self) -> float:
        """Seconds since the search began."""
        return round(time.monotonic() - self._began, 1)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Notes when a part began and ended, the first time."""
        ends = self.parts.setdefault(name, [self.now])
        yield
        if len(ends) < 2:
            ends.append(self.now)

    def seconds(self, name: str) -> float:
        """Of a part that has ended."""
        began, ended = self.parts[name]
        return ended - began
