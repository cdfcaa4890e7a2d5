"""What a probe reads: labeled examples, and subsets of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mentee.build.data_summary import counts_line, data_notes
from mentee.build.datasets import DatasetSplits, open_split, read_as, views_for
from mentee.data import Examples, limit, split
from mentee.data.payload import Rows
from mentee.errors import DataError, RecipeError
from mentee.recipe import Data, Probe, Recipe


@dataclass(frozen=True)
class Subset:
    """Labeled examples that a probe is trained on: the rows, ascending, of a share and a draw."""

    share: float
    seed: int
    rows: Rows


@dataclass(frozen=True)
class ProbeData:
    """The labeled examples of a probe.

    Attributes:
        data: the recipe's `data` by which both splits are read.
        train: the examples that subsets are drawn from.
        test: the examples that every probe is scored on; nothing is trained or chosen by them.
        splits: turns examples into a network's inputs.
    """

    data: Data
    train: Examples
    test: Examples
    splits: DatasetSplits

    def split(self, name: str) -> Examples:
        """The examples of `train` or of `test`."""
        return self.train if name == "train" else self.test

    @property
    def classes(self) -> int:
        """How many classes the labels have."""
        return len(self.train.classes or ())


def open_probe_data(
    recipe: Recipe,
    config: Probe,
    source: Any = None,
    *,
    check: Callable[[str, Examples], None] = lambda name, examples: None,
    held_out: float = 0.0,
) -> ProbeData:
    """Open the labeled examples of a resolved recipe's `probe`, or of what was passed.

    `check` is called with `train` or `test`, and all examples of it. `held_out` is the share of
    the training split that is scored on; 0: the test split is.

    Raises:
        RecipeError: no test split is named, neither in `probe` nor in `data`.
        DataError: they cannot be read, or have no labels.
    """
    own = config.source is None or config.source == recipe.data.source
    test = config.test or (recipe.data.test if own else None)
    if test is None and not held_out:
        raise RecipeError(
            "a probe is scored on examples that it is not trained on: name their split, "
            "probe.test=test"
        )
    update: dict[str, Any] = {"label": config.label, "classes": None}
    if config.label is None and recipe.data.label is not False and own:
        update = {}
    if not own:
        update["task"] = None
    train_split = config.train or (recipe.data.train if own else "train")
    update |= {"train": train_split, "test": test, "source": config.source or recipe.data.source}
    data, passed = recipe.data.model_copy(update=update), source if own else None
    train = open_split(data, train_split, passed)
    check("train", train)
    train = test_examples = train.labeled_only()
    if test is not None and not held_out:
        test_examples = open_split(read_as(data, train), test, passed)
        check("test", test_examples)
        test_examples = test_examples.labeled_only()
    for examples in (train, test_examples):
        if examples.labels is None:
            raise DataError(
                f"{examples.name} has no labels to probe with; name their column, "
                "probe.label=NAME, or another source, probe.source=..."
            )
    if held_out:
        train, test_examples = split(train, fraction=held_out, seed=recipe.data.seed)
    task = train.task.fitted(train.known_labels)
    train, test_examples = replace(train, task=task), replace(test_examples, task=task)
    splits = DatasetSplits(train, train, None, test_examples, views_for(recipe, train))
    return ProbeData(data, train, test_examples, splits)


def describe(data: ProbeData, say: Callable[[str], None]) -> None:
    """Tell how many examples there are, and what was found on reading them, a line each."""
    parts = {"train": data.train, "test": data.test}
    for line in [counts_line(parts), *data_notes(parts)]:
        say(line)


def subsets(train: Examples, config: Probe) -> list[Subset]:
    """Every share with every seed, the smallest share first; the whole only once.

    With the same seed a smaller share is a part of a larger one; each has an example of every
    class.

    Example:
        >>> from mentee.data import open_examples
        >>> result = subsets(open_examples("embedded:digits"), Probe(shares=[1.0, 0.001], seeds=2))
        >>> [(subset.share, subset.seed, len(subset.rows)) for subset in result]
        [(0.001, 0, 10), (0.001, 1, 10), (1.0, 0, 1297)]
    """
    n, result = len(train), []
    for share in sorted(set(config.shares)):
        least = train.task.least_examples(len(train.classes or ()))
        count = min(max(round(share * n), least), n)
        for seed in range(config.seeds if count < n else 1):
            keys = limit(train, count, seed=seed).keys
            result.append(Subset(share, seed, np.flatnonzero(np.isin(train.keys, keys))))
    return result
