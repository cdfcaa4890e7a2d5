"""Semi-supervised data: which unlabeled examples are combined with the labeled ones."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from mentee.data import Examples, join, limit
from mentee.errors import DataError, RecipeError
from mentee.recipe import Data
from mentee.tasks.class_counts import known_counts


def with_unlabeled(
    config: Data,
    learned: Examples,
    whole: Examples,
    other: Examples | None,
    *,
    validation: Examples | None,
    test: Examples | None,
) -> tuple[Examples, list[str]]:
    """The labeled examples combined with the unlabeled ones that a recipe names.

    An example that is labeled, of validation or of the test part is never taken, by whatever name
    it stands there: contents decide. `other` is another split, or another source's; None: what is
    left of `whole` is taken.

    Returns:
        Both, and lines that tell what was not taken.

    Raises:
        RecipeError: no example has labels, or the recipe reads none.
        DataError: nothing is left to take, or it is the test part.

    Memory: O(n); reads what all examples hold once.
    """
    unlabeled = config.unlabeled
    if unlabeled is None or learned.labels is None:
        raise RecipeError(
            "data.unlabeled names examples to combine with labeled ones, and these have no labels; "
            "leave it out: with data.label: false all of data.train is read without labels"
        )
    pool = whole if other is None else other
    if test is not None and np.isin(pool.keys, test.keys).any():
        raise DataError(
            f"data.unlabeled: {pool.name} holds examples of the test part, which is not learned "
            "from even without its labels; name another split, or set data.test to null"
        )
    notes = list[str]()
    left, held = np.ones(len(pool), np.bool_), contents_of(pool)
    for what, part in {"labeled": learned, "validation": validation, "test": test}.items():
        if part is None:
            continue
        taken = known = np.isin(pool.keys, part.keys)
        if part is not learned or other is not None:
            taken = known | np.isin(held, contents_of(part))
        # In the training split itself the labeled ones stand anyway.
        count = int((left & (taken if other is not None else taken & ~known)).sum())
        left &= ~taken
        if count:
            notes.append(
                f"data.unlabeled: {count:,} of {len(pool):,} examples of {pool.name} are {what} "
                "examples too: they are left out"
            )
    rows = np.flatnonzero(left)
    if not len(rows):
        raise DataError(
            f"data.unlabeled: {pool.name} has no example that is not labeled or of validation; "
            "set data.limit to the number of labeled ones, or name another split or source"
        )
    rest = pool.take(rows).unlabeled()
    if unlabeled.limit is not None and unlabeled.limit < len(rest):
        rest = limit(rest, unlabeled.limit, seed=config.seed)
    return join(learned, rest), notes


def contents_of(examples: Examples) -> npt.NDArray[np.int64]:
    """`[n]` digests of what the examples hold, as it is stored: the same under any id."""
    raw = (examples.contents.raw(row) for row in examples.rows.tolist())
    return np.frombuffer(b"".join(hashlib.blake2b(x, digest_size=8).digest() for x in raw), "<i8")


def with_others(whole: Examples, other: Examples) -> Examples:
    """All examples of two sources, once each.

    Raises:
        DataError: an id stands in both for different contents.
    """
    again = np.flatnonzero(np.isin(other.keys, whole.keys))
    if not len(again):
        return join(whole, other)
    row_of = dict(zip(whole.ids, range(len(whole)), strict=True))
    there, here = other.take(again), whole.take([row_of[other.ids[row]] for row in again])
    differs = np.flatnonzero(contents_of(there) != contents_of(here))
    if len(differs):
        raise DataError(
            f"{len(differs)} ids of {other.name} stand in {whole.name} too for other contents, "
            f"such as {there.ids[differs[0]]!r}; name a column of other ids, data.id"
        )
    rest = np.setdiff1d(np.arange(len(other)), again)
    return join(whole, other.take(rest)) if len(rest) else whole


LEFT_OUT = "are left out; data.unlabeled={} lets a method read them"
READ = "are read as unlabeled"
NOT_SCORED = "are not scored"


def labeled_part(
    examples: Examples, notes: list[str], others: str = NOT_SCORED, *, labels: bool = False
) -> Examples:
    """The examples that have labels; notes how they were read, and what is done with the others.

    `others` is what that is, in words; `labels`: whether some are expected.
    """
    notes += examples.notes
    known = examples.labeled_only()
    if examples.labels is None and labels:
        notes.append(f"{examples.name} has no labels: nothing is scored on it")
    if len(known) < len(examples):
        count = f"{len(examples) - len(known):,} of {len(examples):,} examples of {examples.name}"
        notes.append(f"{count} have no label: they {others}")
    counts = None if others == NOT_SCORED else known_counts(known.known_labels)
    if counts is not None:
        notes.append(f"{counts}; the loss is the mean over the known labels of a batch")
    return known
