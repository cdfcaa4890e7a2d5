"""The examples of a run: opened, cut, limited, and turned into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter

from mentee.build.compatibility import in_units_of
from mentee.build.unlabeled import LEFT_OUT, READ, labeled_part, with_others, with_unlabeled
from mentee.data import (
    MODALITIES,
    Examples,
    ViewOptions,
    Views,
    batches,
    check_classes,
    limit,
    mixup,
    open_examples,
    read_batch,
    split,
    steps_per_epoch,
)
from mentee.data.semi_supervised import Proportion, mixed_batches, proportion
from mentee.data.sources import own_task, require_splits
from mentee.errors import DataError
from mentee.free_memory import require
from mentee.parallel import rank, world
from mentee.recipe import AudioInput, Data, Input, Recipe, TaskRecipe, TextInput, Train, Unlabeled
from mentee.types import CLEAN, Batch

MEASURED = 2048
READING = (
    *("source", "kind", *MODALITIES, "label", "id", "classes", "task", "sample_rate"),
    *("channels", "bits", "background", "unreadable", "outside"),
)
"""The keys of `data` that determine how a source is opened."""

_INPUT: TypeAdapter[Input | AudioInput | TextInput] = TypeAdapter(Input | AudioInput | TextInput)

Kept = TypeVar("Kept")
_cache: list[dict[str, Any]] = []


@dataclass(frozen=True)
class DatasetSplits:
    """The examples of a run.

    Attributes:
        train: what the student learns from.
        whole: the training split before anything was cut off it.
        validation: by which its weights are selected; None: the last are saved.
        test: touched once, at the end.
        views: turns images into what a network reads.
        cycle: after how many epochs the views are the same again; None: never.
        share: of each batch that has no labels; None: all examples have, or none.
        notes: lines that tell how the examples were read, and what was left out.
    """

    train: Examples
    whole: Examples
    validation: Examples | None
    test: Examples | None
    views: Views
    cycle: int | None = None
    share: float | None = None
    notes: Sequence[str] = ()

    @property
    def classes(self) -> int:
        """How many classes the labels have; 0 where there are no labels."""
        return len(self.train.classes or ())

    def epoch(self, train: Train, epoch: int, start: int) -> Iterator[Batch]:
        """This process's augmented batches of an epoch, after the first `start`."""
        loaded = self._loaded(train, epoch, start)
        if train.mixup is None:
            return loaded
        numbered = enumerate(loaded, epoch * self.batches(train) + start)
        return (mixup(b, alpha=train.mixup, seed=train.seed, step=i) for i, b in numbered)

    def batches(self, train: Train) -> int:
        """How many batches an epoch has.

        Raises:
            DataError: there are fewer examples than one batch has.
        """
        batch = train.batch // train.gradient_accumulation
        if self.share is not None:
            return self._proportion(batch, self.share).steps
        count = steps_per_epoch(len(self.train), batch)
        if count == 0:
            raise DataError(
                f"there are {len(self.train)} training examples, fewer than one batch of {batch}; "
                "lower train.batch"
            )
        return count

    def _proportion(self, batch: int, share: float) -> Proportion:
        known = 0 if self.train.labeled is None else int(self.train.labeled.sum())
        return proportion(known, len(self.train) - known, batch, share, world())

    def _loaded(self, train: Train, epoch: int, start: int) -> Iterator[Batch]:
        batch = train.batch // train.gradient_accumulation
        common: dict[str, Any] = {"seed": train.seed, "epoch": epoch, "start": start}
        common |= {"rank": rank(), "world": world(), "workers": train.num_workers}
        if self.share is not None:
            of = self._proportion(batch, self.share)
            return mixed_batches(self.train, of, views=self.views, cycle=self.cycle, **common)
        view = epoch if self.cycle is None else epoch % self.cycle
        balanced = train.sampling == "balanced"
        return batches(
            self.train, batch=batch, views=self.views, view=view, balanced=balanced, **common
        )

    def clean(
        self, examples: Examples, workers: int = 0, batch: int = 256, view: int = CLEAN
    ) -> Iterator[Batch]:
        """This process's share of a set, in order, and not augmented unless a view is named."""
        return batches(
            examples,
            batch=batch * world(),
            views=self.views,
            view=view,
            seed=0,
            epoch=0,
            shuffle=False,
            drop_last=False,
            rank=rank(),
            world=world(),
            workers=workers,
        )

    def measured_input(self, data: Data) -> Input | AudioInput | TextInput:
        """What a network that is trained on these examples reads: the modality measures it."""
        values = self.train.modality.measure_input(
            lambda: self.clean(self.some(MEASURED)), view_options(data, data.seed)
        )
        return _INPUT.validate_python(values)

    def first(self, n: int) -> Batch:
        """The first training examples, not augmented; the same in every process."""
        rows = np.arange(min(n, len(self.train)))
        return read_batch(self.train, rows, views=self.views, view=CLEAN)

    def some(self, n: int) -> Examples:
        """At most `n` of the training examples, evenly spaced."""
        rows = np.unique(np.linspace(0, len(self.train) - 1, n).astype(np.int64))
        return self.train.take(rows)


def open_splits(recipe: Recipe, data: Any = None) -> DatasetSplits:
    """Open, cut and limit the examples of a recipe, or of what was passed instead of its source.

    Raises:
        DataError: the data cannot be read, or a class has no example to learn from.
    """
    config, notes = recipe.data, list[str]()
    whole = open_split(config, config.train, data)
    numbered = read_as(config, whole)
    train = labeled_part(whole, notes, READ if config.unlabeled else LEFT_OUT)
    check_classes(train)

    def part(name: str) -> Examples:
        expected = train.labels is not None
        return labeled_part(open_split(numbered, name, data), notes, labels=expected)

    validation: Examples | None = None
    chosen = config.label is not False  # else nothing is, so nothing is cut off
    if chosen and isinstance(config.validation, float):
        train, validation = split(train, fraction=config.validation, seed=config.seed)
        notes += validation.notes
    elif chosen and config.validation is not None:
        validation = part(str(config.validation))
    test = part(config.test) if config.test is not None else None
    if validation is not None and validation.labels is None:
        validation = None  # it can choose nothing
    learned = train if config.limit is None else limit(train, config.limit, seed=config.seed)
    check_classes(learned)
    task = in_units_of(recipe, learned.task).fitted(learned.known_labels)
    train, whole, learned = (replace(each, task=task) for each in (train, whole, learned))
    validation, test = (each and replace(each, task=task) for each in (validation, test))
    views, share = views_for(recipe, learned), None
    read_batch(learned, np.arange(min(2, len(learned))), views=views, view=0)  # it can be made
    if config.unlabeled is not None:
        other, share = open_unlabeled(numbered, config.unlabeled, data), config.unlabeled.share
        held_out = {"validation": validation, "test": test}
        learned, more = with_unlabeled(config, learned, whole, other, **held_out)
        whole, notes = (with_others(whole, other) if other else whole), notes + more
    notes = list(dict.fromkeys(notes))
    return DatasetSplits(learned, whole, validation, test, views, config.cycle, share, notes)


def read_as(config: Data, train: Examples) -> Data:
    """How other parts are read: with classes, task, channels and bits of the training part."""
    classes = list(train.classes) if train.classes else None
    update: dict[str, Any] = {"classes": classes, "channels": train.channels, "bits": train.bits}
    if train.labels is not None:
        update["task"] = TaskRecipe(name=train.task.name, params=train.task.params)
    return config.model_copy(update=update)


def open_unlabeled(config: Data, unlabeled: Unlabeled, data: Any) -> Examples | None:
    """Another split without its labels; None: the rest of the training split is used."""
    own = unlabeled.source is None
    if own and unlabeled.split in (None, config.train):
        return None
    split = unlabeled.split or "train"
    change = {"label": False, "classes": None, "source": unlabeled.source or config.source}
    return open_split(config.model_copy(update=change), split, data if own else None)


def open_single_split(recipe: Recipe, split: str, data: Any = None) -> DatasetSplits:
    """One part of some data as a set of its own, to score a student on, by a resolved recipe.

    Raises:
        DataError: the data cannot be read.
    """
    config = recipe.data.model_copy(update={"train": split})  # what is passed is this part
    whole, notes = open_split(config, split, data), list[str]()
    examples = labeled_part(whole, notes)
    views = views_for(recipe, examples)
    return DatasetSplits(examples, whole, None, None, views, notes=notes)


@contextmanager
def cache_sources() -> Iterator[None]:
    """While this lasts, what runs of this process read is opened, decoded and measured once.

    Only where the sources do not change between the runs. One within another shares what it has.
    """
    _cache.append(_cache[-1] if _cache else {})
    try:
        yield
    finally:
        _cache.pop()


def open_split(config: Data, split: str, data: Any) -> Examples:
    """One part of what a recipe names, or of what is passed instead.

    Raises:
        DataError: it cannot be read, or has no splits and is not for training.
    """
    if data is not None and split != config.train:
        require_splits(data, split)
    if data is not None:
        return _open_part(config, split, data)
    return once(
        lambda: repr((split, [getattr(config, name) for name in READING])),
        lambda: _open_part(config, split, data),
    )


def once(key_of: Callable[[], str], compute: Callable[[], Kept]) -> Kept:
    """What `compute` gives; while `cache_sources` lasts it is called once for each key."""
    if not _cache:
        return compute()
    key = key_of()
    if key not in _cache[-1]:
        _cache[-1][key] = compute()
    kept: Kept = _cache[-1][key]
    return kept


def _open_part(config: Data, split: str, data: Any) -> Examples:
    source = config.source if data is None else data
    options = {name: getattr(config, name) for name in READING[1:]}
    if config.task is not None:
        options["task"] = config.task.task(own_task(data, split))
    return open_examples(source, split=split, **options)


def views_for(recipe: Recipe, examples: Examples) -> Views:
    """What turns the examples' contents into what a network reads."""
    config = recipe.data
    seed = recipe.train.seed if config.view_seed is None else config.view_seed
    options = view_options(config, seed)
    views = examples.modality.build_views(config.views, options)
    require(
        recipe.train.batch // world() * options.training_bytes(examples.kind, examples.channels),
        f"a batch of {recipe.train.batch:,} such {examples.modality.units}",
        "lower train.batch, or data.size, data.seconds or data.max_bytes",
    )
    return views


def view_options(data: Data, seed: int) -> ViewOptions:
    """What views are built from, as a recipe has it."""
    numbers = (data.size, data.pad, data.seconds, data.sample_rate, data.max_bytes)
    return ViewOptions(seed, *numbers, data.interpolation or "bilinear")
