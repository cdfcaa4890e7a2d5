"""Cut a split in two, or take a part of it: by hashes, so neither order nor process matters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mentee.data.counter_rng import Int64Array, mix
from mentee.data.examples import Examples
from mentee.errors import DataError


def split(examples: Examples, *, fraction: float, seed: int) -> tuple[Examples, Examples]:
    """Cut off a validation part, group by group: of a class, or of targets of a like size.

    In each group the examples with the smallest hashes of (seed, key) go to validation. The part
    has the share of the whole. Each group has its share of it, to one example; a group of two or
    more has at least one on both sides as far as the share of the whole allows, the largest groups
    first. A group of one stays in training.

    Args:
        examples: what to cut; its order does not matter.
        fraction: the share of the validation part, in (0, 1).
        seed: another seed, another cut.

    Returns:
        `(train, validation)`, both in the order of `examples`.

    Raises:
        DataError: `fraction` is out of range, or leaves one side without examples.

    Example:
        >>> from mentee.data import open_examples
        >>> train, validation = split(open_examples("embedded:digits"), fraction=0.2, seed=0)
        >>> len(train), len(validation)
        (1038, 259)
    """
    if not 0 < fraction < 1:
        raise DataError(f"validation fraction {fraction}: expected a number between 0 and 1")
    groups = _groups(examples)
    sizes = np.bincount(groups)
    shares = _shares(sizes, fraction, seed)
    held_out = _rank(examples, groups, seed, "split") < shares[groups]
    if not held_out.any() or held_out.all():
        raise DataError(
            f"a fraction of {fraction} leaves one side of {len(examples)} examples empty: "
            "give more examples, or another fraction"
        )
    validation = examples.take(np.flatnonzero(held_out))
    none = int(((shares == 0) & (sizes > 0)).sum())
    if none:
        note = (
            f"validation: {none:,} of {int((sizes > 0).sum()):,} groups of {examples.name} "
            f"(classes, or targets alike) have too few examples for a share of {fraction} and "
            "have none there"
        )
        validation = replace(validation, notes=(*validation.notes, note))
    return examples.take(np.flatnonzero(~held_out)), validation


def limit(examples: Examples, n: int, *, seed: int) -> Examples:
    """A part of `n` examples, balanced over the groups of its task as far as each has enough.

    The first of each group by hash come first, then the second of each, and so on, so that a
    smaller limit is always a part of a larger one. Where an example may have several classes,
    those come first that bring a class which the ones before them do not have.

    Args:
        examples: what to take from; its order does not matter.
        n: how many examples to take.
        seed: another seed, another part.

    Returns:
        `n` examples, in the order of `examples`.

    Raises:
        DataError: `n` is below 1, or more than there are.
    """
    if not 1 <= n <= len(examples):
        raise DataError(f"limit {n}: {examples.name} has 1 to {len(examples)} examples to give")
    hashes = mix(seed, examples.keys, "limit")
    first = None
    if examples.labels is not None:
        first = examples.task.limit_rank(examples.labels, np.argsort(hashes))
    rank = _rank(examples, _groups(examples), seed, "limit") if first is None else first
    order = np.lexsort((hashes, rank))
    return examples.take(np.sort(order[:n]))


def check_classes(examples: Examples) -> None:
    """Make sure that there is something to learn of every class, or every target.

    Raises:
        DataError: there is nothing.
    """
    if examples.labels is not None and examples.classes is not None:
        examples.task.check_training_labels(examples.known_labels, examples.name)


def _groups(examples: Examples) -> Int64Array:
    if examples.labels is None:
        return np.zeros(len(examples), np.int64)
    groups = examples.task.strata(examples.labels)
    # Examples without a label are a group of their own.
    return groups if examples.labeled is None else np.where(examples.labeled, groups + 1, 0)


def _rank(examples: Examples, groups: Int64Array, seed: int, purpose: str) -> Int64Array:
    # The position of each example among those of its class, by hash.
    order = np.lexsort((mix(seed, examples.keys, purpose), groups))
    sizes = np.bincount(groups)
    first = np.cumsum(sizes) - sizes
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - first[groups[order]]
    return rank


def _shares(sizes: Int64Array, fraction: float, seed: int) -> Int64Array:
    # Largest remainders: the shares add up to the fraction of the whole, each is off by 1 at most.
    exact = sizes * fraction
    least, most = np.minimum(sizes // 2, 1), np.maximum(sizes - 1, 0)
    shares: Int64Array = np.clip(np.floor(exact).astype(np.int64), least, most)
    missing = max(round(float(exact.sum())), 1) - int(shares.sum())
    by_remainder = np.argsort(shares - exact, kind="stable")
    takers = by_remainder[(shares < most)[by_remainder]][: max(missing, 0)]
    shares[takers] += 1
    if missing < 0:  # one from each small group is more than the share of the whole
        raised = np.flatnonzero(shares > np.floor(exact))
        by_chance = mix(seed, raised, "groups")
        shares[raised[np.lexsort((by_chance, exact[raised]))][:-missing]] -= 1
    return shares
