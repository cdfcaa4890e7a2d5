"""The examples of a run: opened, cut, limited, and turned into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mentee.data import (
    Examples,
    Views,
    batches,
    build_views,
    check_classes,
    limit,
    open_examples,
    split,
)
from mentee.errors import DataError
from mentee.parallel import rank, world
from mentee.recipe import Data, Input, Recipe, Train
from mentee.types import CLEAN, Batch

MEASURED = 2048


@dataclass(frozen=True)
class Sets:
    """The examples of a run.

    Attributes:
        train: what the student learns from.
        validation: what chooses its weights; None: the last are kept.
        test: touched once, at the end.
        views: turns images into what a network reads.
    """

    train: Examples
    validation: Examples | None
    test: Examples | None
    views: Views

    @property
    def classes(self) -> int:
        """How many classes the labels have; 0 where there are no labels."""
        return len(self.train.classes or ())

    def epoch(self, train: Train, epoch: int, start: int) -> Iterator[Batch]:
        """This process's augmented batches of an epoch, after the first `start`."""
        return batches(
            self.train,
            batch=train.batch // train.accumulate,
            views=self.views,
            view=epoch,
            seed=train.seed,
            epoch=epoch,
            start=start,
            rank=rank(),
            world=world(),
            workers=train.workers,
        )

    def clean(self, examples: Examples, workers: int = 0) -> Iterator[Batch]:
        """This process's share of a set, in order and not augmented."""
        return batches(
            examples,
            batch=256 * world(),
            views=self.views,
            view=CLEAN,
            seed=0,
            epoch=0,
            shuffle=False,
            drop_last=False,
            rank=rank(),
            world=world(),
            workers=workers,
        )

    def measured_input(self) -> Input:
        """Mean and standard deviation of the channels, over at most 2,048 training images."""
        few = np.unique(np.linspace(0, len(self.train) - 1, MEASURED).astype(np.int64))
        sums: list[tuple[Any, Any, int]] = []
        for batch in batches(
            self.train.take(few),
            batch=256,
            views=self.views,
            view=CLEAN,
            seed=0,
            epoch=0,
            shuffle=False,
            drop_last=False,
        ):
            x = batch.inputs.double()
            sums.append((x.sum((0, 2, 3)), x.square().sum((0, 2, 3)), x[:, 0].numel()))
        total, squares, count = (sum(part) for part in zip(*sums, strict=True))
        mean = total / count
        std = (squares / count - mean**2).clamp(min=1e-6).sqrt()
        return Input(
            mean=[round(value, 4) for value in mean.tolist()],
            std=[round(value, 4) for value in std.tolist()],
        )


def open_sets(recipe: Recipe, data: Any = None) -> Sets:
    """Open, cut and limit the examples of a recipe.

    Args:
        recipe: says which, and how they are augmented.
        data: instead of the recipe's source: anything that `open_examples` takes.

    Raises:
        DataError: the data cannot be read, or a class has no example to learn from.
    """
    said = recipe.data
    train = open_part(said, said.train, data)
    # The classes of the other parts are numbered as the training part's.
    classes = list(train.classes) if train.classes else None
    numbered = said.model_copy(update={"classes": classes, "channels": train.channels})

    def another(name: str) -> Examples:
        refuse_same(data, name)
        return open_part(numbered, name, data)

    validation: Examples | None = None
    if isinstance(said.validation, float):
        train, validation = split(train, fraction=said.validation, seed=said.seed)
    elif said.validation is not None:
        validation = another(said.validation)
    test = another(said.test) if said.test is not None else None
    if said.limit is not None:
        train = limit(train, said.limit, seed=said.seed)
    check_classes(train)
    return Sets(train, validation, test, views_of(recipe))


def open_one(recipe: Recipe, split: str, data: Any = None) -> Sets:
    """One part of some data as a set of its own, to score a student on.

    Args:
        recipe: of the run, resolved; says which classes, and how images are read.
        split: which part.
        data: as for `open_sets`.

    Raises:
        DataError: the data cannot be read.
    """
    return Sets(open_part(recipe.data, split, data), None, None, views_of(recipe))


def open_part(said: Data, split: str, data: Any) -> Examples:
    """One part of what a recipe names, or of what is passed instead."""
    return open_examples(
        said.source if data is None else data,
        split=split,
        image=said.image,
        label=said.label,
        id=said.id,
        classes=said.classes,
        channels=said.channels,
    )


def refuse_same(data: Any, split: str) -> None:
    """Refuse to score on what was trained on: arrays and single tables have no splits."""
    if data is None or (isinstance(data, Mapping) and "image" not in data):
        return
    raise DataError(
        f"the data passed have no splits, so there is no split {split!r} in them; pass a "
        "datasets.DatasetDict with one, or set data.test to null and score the student on other "
        "data with Run.evaluate(data=...)"
    )


def views_of(recipe: Recipe) -> Views:
    """What turns images into what a network reads."""
    said = recipe.data
    return build_views(said.views, seed=recipe.train.seed, size=said.size, pad=said.pad)
