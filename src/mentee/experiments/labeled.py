"""The labeled examples of a probe, and which of them it may learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.build.datasets import DatasetSplits, open_split, read_as, require_splits, views_for
from mentee.data import Examples, limit
from mentee.errors import DataError, RecipeError
from mentee.recipe import Data, Probe, Recipe

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Subset:
    """Labeled examples that are learned from.

    Attributes:
        share: of all labeled examples.
        seed: of the draw; another seed, others.
        rows: which, in the order of the examples.
    """

    share: float
    seed: int
    rows: Rows


@dataclass(frozen=True)
class TrainingSetup:
    """What a probe learns from and is scored on.

    Attributes:
        data: how both are read.
        train: the labeled examples.
        test: what every probe is scored on; never learned from, and nothing is chosen by it.
        splits: how their contents become inputs.
    """

    data: Data
    train: Examples
    test: Examples
    splits: DatasetSplits

    def named(self, part: str) -> Examples:
        """The examples of `train` or of `test`."""
        return self.train if part == "train" else self.test

    @property
    def classes(self) -> int:
        """How many classes the labels have."""
        return len(self.train.classes or ())


def open_parts(recipe: Recipe, said: Probe, given: Any = None) -> TrainingSetup:
    """The labeled examples that a recipe's probe names.

    Args:
        recipe: of the run, resolved.
        said: what is asked.
        given: the data, where they were passed from Python.

    Raises:
        RecipeError: no test split is named, neither here nor in the run.
        DataError: they cannot be read, or have no labels.
    """
    own = said.source is None or said.source == recipe.data.source
    test = said.test or (recipe.data.test if own else None)
    if test is None:
        raise RecipeError(
            "a probe is scored on examples that it does not learn from: name their split, "
            "probe.test=test"
        )
    change: dict[str, Any] = {"label": said.label, "classes": None}
    if not own:
        change["task"] = None
    if said.label is None and recipe.data.label is not False and own:
        change = {}
    train_split = said.train or (recipe.data.train if own else "train")
    change |= {"train": train_split, "test": test, "source": said.source or recipe.data.source}
    data, passed = recipe.data.model_copy(update=change), given if own else None
    train = open_split(data, train_split, passed)
    require_splits(passed, test)
    scored = open_split(read_as(data, train), test, passed)
    for examples in (train, scored):
        if examples.labels is None:
            raise DataError(
                f"{examples.name} has no labels to probe with; name their column, "
                "probe.label=NAME, or another source, probe.source=..."
            )
    task = train.task.fitted(train.known_labels)
    train, scored = replace(train, task=task), replace(scored, task=task)
    sets = DatasetSplits(train, train, None, scored, views_for(recipe, train))
    return TrainingSetup(data, train, scored, sets)


def subsets(train: Examples, said: Probe) -> list[Subset]:
    """Every share with every seed, the smallest share first; the whole only once.

    Within a seed a smaller share is a part of a larger one; each has an example of every class.

    Example:
        >>> from mentee.data import open_examples
        >>> found = subsets(open_examples("embedded:digits"), Probe(shares=[1.0, 0.001], seeds=2))
        >>> [(each.share, each.seed, len(each.rows)) for each in found]
        [(0.001, 0, 10), (0.001, 1, 10), (1.0, 0, 1297)]
    """
    n, found = len(train), []
    for share in sorted(set(said.shares)):
        least = train.task.least_examples(len(train.classes or ()))
        count = min(max(round(share * n), least), n)
        for seed in range(said.seeds if count < n else 1):
            chosen = limit(train, count, seed=seed).keys
            found.append(Subset(share, seed, np.flatnonzero(np.isin(train.keys, chosen))))
    return found
