"""Labeled and unlabeled examples as one set, and batches that mix both in a fixed proportion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data.counter_rng import mix
from mentee.data.examples import Examples
from mentee.data.loader import in_turn
from mentee.data.modality import Views
from mentee.data.payload import Payload, Rows
from mentee.errors import DataError
from mentee.types import Batch


def join(labeled: Examples, unlabeled: Examples) -> Examples:
    """Two sets as one, the labeled examples first.

    The label of an example without one is −1; of several classes at once it is unknown for each.

    Args:
        labeled: with labels.
        unlabeled: others; labels they have are dropped.

    Returns:
        Both, with `labeled` saying which have labels.

    Raises:
        DataError: they are of different kinds, or an id stands in both.
    """
    a, b = labeled.contents, unlabeled.contents
    if (a.kind, a.channels, a.sample_rate) != (b.kind, b.channels, b.sample_rate):
        raise DataError(
            f"{labeled.name} holds {_described(labeled)}, {unlabeled.name} "
            f"{_described(unlabeled)}; expected the same of labeled and unlabeled examples"
        )
    both = np.flatnonzero(np.isin(unlabeled.keys, labeled.keys))
    if len(both):
        raise DataError(
            f"{len(both)} ids of {unlabeled.name} stand in {labeled.name} too, such as "
            f"{unlabeled.ids[both[0]]!r}; name a column of other ids, data.id"
        )
    contents, offset = a, 0
    if a is not b:
        offset = int(labeled.rows.max()) + 1
        contents = JoinedPayload(a, b, offset)
    labels, mask, more = labeled.labels, labeled.mask, len(unlabeled)
    if labels is not None:
        blank = np.full((more, *labels.shape[1:]), -1 if labels.ndim == 1 else 0, labels.dtype)
        if labels.ndim == 2:
            known = np.ones(labels.shape, np.bool_) if mask is None else mask
            mask = np.concatenate([known, np.zeros(blank.shape, np.bool_)])
        labels = np.concatenate([labels, blank])
    return replace(
        labeled,
        contents=contents,
        rows=np.concatenate([labeled.rows, unlabeled.rows + offset]),
        ids=labeled.ids + unlabeled.ids,
        keys=np.concatenate([labeled.keys, unlabeled.keys]),
        labels=labels,
        mask=mask,
        labeled=np.arange(len(labeled) + more) < len(labeled),
        name=f"{labeled.name} with {unlabeled.name}",
        left_out=tuple(dict.fromkeys([*labeled.left_out, *unlabeled.left_out])),
    )


def _described(examples: Examples) -> str:
    contents = examples.contents
    facts = {"channels": f" of {contents.channels} channels"}
    facts["sample_rate"] = f" at {contents.sample_rate} Hz"
    return examples.kind + "".join(facts.get(arg, "") for arg in examples.modality.network_args)


class JoinedPayload:
    """The contents of two sources, one behind the other."""

    def __init__(self, first: Payload, second: Payload, offset: int) -> None:
        self.first, self.second, self.offset = first, second, offset
        self.kind, self.channels, self.sample_rate = first.kind, first.channels, first.sample_rate
        self.bits: int | None = getattr(first, "bits", None)

    @property
    def changes(self) -> dict[int, tuple[str, ...]]:
        """By row, what was changed in images when they were decoded."""
        others = getattr(self.second, "changes", {}).items()
        moved = {row + self.offset: words for row, words in others}
        return {**getattr(self.first, "changes", {}), **moved}

    def ready(self, rows: Rows) -> bool:
        """Whether both are."""
        a, b = self._parts(rows)
        return (not len(a) or self.first.ready(a)) and (not len(b) or self.second.ready(b))

    def load(self, rows: Rows) -> bool:
        """Load both."""
        a, b = self._parts(rows)
        loaded = [part.load(own) for part, own in ((self.first, a), (self.second, b)) if len(own)]
        return all(loaded)

    def read(self, rows: Rows) -> Any:
        """In the order of the rows: one array where both give arrays of one shape."""
        a, b = self._parts(rows)
        if not len(b):
            return self.first.read(a)
        if not len(a):
            return self.second.read(b)
        one, other = self.first.read(a), self.second.read(b)
        where = np.flatnonzero(rows < self.offset), np.flatnonzero(rows >= self.offset)
        arrays = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
        if arrays and one.shape[1:] == other.shape[1:]:  # type: ignore[union-attr]
            whole = np.empty((len(rows), *one.shape[1:]), one.dtype)  # type: ignore[union-attr]
            whole[where[0]], whole[where[1]] = one, other
            return whole
        merged: list[Any] = [None] * len(rows)
        for indices, contents in zip(where, (one, other), strict=True):
            for index, content in zip(indices.tolist(), contents, strict=True):
                merged[index] = content
        return merged

    def raw(self, row: int) -> bytes:
        """The row's bytes."""
        return self.first.raw(row) if row < self.offset else self.second.raw(row - self.offset)

    def _parts(self, rows: Rows) -> tuple[Rows, Rows]:
        return rows[rows < self.offset], rows[rows >= self.offset] - self.offset


@dataclass(frozen=True)
class Proportion:
    """How many labeled and unlabeled examples a batch has, over all processes.

    An epoch is a pass over those that take more batches; the others are read again in it, in
    another order and another view. `passes` are the batches of a pass over the one and the other.
    """

    labeled: int
    unlabeled: int
    passes: tuple[int, int]

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return max(self.passes)


def proportion(labeled: int, unlabeled: int, batch: int, share: float, world: int) -> Proportion:
    """The proportion nearest to a share of unlabeled examples that every process can have alike.

    Raises:
        DataError: a process would have none of one kind, or there are too few for one batch.

    Example:
        >>> proportion(500, 4500, 64, 0.75, 2)
        Proportion(labeled=16, unlabeled=48, passes=(31, 93))
    """
    own = batch // world
    count = min(max(round(own * share), 1), own - 1) * world
    there = (batch - count, labeled), (count, unlabeled)
    if own < 2 or any(0 in pair or pair[0] > pair[1] for pair in there):
        raise DataError(
            f"a batch of {batch} with a share of {share} is {batch - count} labeled and {count} "
            f"unlabeled examples, and there are {labeled} and {unlabeled}; change train.batch "
            "or data.unlabeled.share"
        )
    return Proportion(batch - count, count, (labeled // (batch - count), unlabeled // count))


def mixed_batches(
    examples: Examples,
    of: Proportion,
    *,
    views: Views,
    seed: int,
    epoch: int,
    start: int = 0,
    cycle: int | None = None,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
) -> Iterator[Batch]:
    """One epoch of batches with labeled and unlabeled examples.

    The n-th batch of a run depends on nothing but (seed, n) and the ids. The pass of the kind that
    is sooner through is the view of both.
    """
    labeled = _labeled(examples)
    kinds = [np.flatnonzero(labeled), np.flatnonzero(~labeled)]
    shares: list[tuple[int, npt.NDArray[np.int64]]] = []
    orders: dict[tuple[int, int], npt.NDArray[np.int64]] = {}
    for number in range(epoch * of.steps + start, (epoch + 1) * of.steps):
        pieces = []
        for kind, count in enumerate((of.labeled, of.unlabeled)):
            turn, position = divmod(number, of.passes[kind])
            if (kind, turn) not in orders:
                keys = examples.keys[kinds[kind]]
                orders[kind, turn] = kinds[kind][np.argsort(mix(seed, keys, "order", turn))]
            own = count // world
            first = position * count + rank * own
            pieces.append(orders[kind, turn][first : first + own])
        view = number // min(of.passes)
        shares.append((view if cycle is None else view % cycle, np.concatenate(pieces)))
    return in_turn(examples, views, shares, workers)


def _labeled(examples: Examples) -> npt.NDArray[np.bool_]:
    if examples.labeled is None:
        raise DataError(f"{examples.name} is one set; join it with an unlabeled one")
    return examples.labeled
