"""Semi-supervised data: which unlabeled examples are combined with the labeled ones."""

from __future__ import annotations

import numpy as np

from mentee.data import Examples, join, limit
from mentee.errors import DataError, RecipeError
from mentee.recipe import Data


def with_unlabeled(
    config: Data,
    learned: Examples,
    rest: Examples,
    other: Examples | None,
    *,
    validation: Examples | None,
    test: Examples | None,
) -> Examples:
    """The labeled examples combined with the unlabeled ones that a recipe names.

    Args:
        config: the recipe's `data`, with a key `unlabeled`.
        learned: the labeled examples.
        rest: the training split without the validation part; the labeled are of it.
        other: another split, or another source's; None: what is left of `rest`.
        validation: never taken.
        test: never taken.

    Raises:
        RecipeError: no example has labels, or the recipe reads none.
        DataError: nothing is left to take, or it is the test part.
    """
    unlabeled = config.unlabeled
    if unlabeled is None or learned.labels is None:
        raise RecipeError(
            "data.unlabeled names examples to combine with labeled ones, and these have no labels; "
            "leave it out: with data.label: false all of data.train is read without labels"
        )
    pool = rest if other is None else other
    if test is not None and np.isin(pool.keys, test.keys).any():
        raise DataError(
            f"data.unlabeled: {pool.name} holds examples of the test part, which is not learned "
            "from even without its labels; name another split, or set data.test to null"
        )
    taken = [learned.keys, *([] if validation is None else [validation.keys])]
    left = np.flatnonzero(~np.isin(pool.keys, np.concatenate(taken)))
    if not len(left):
        raise DataError(
            f"data.unlabeled: {pool.name} has no example that is not labeled or of validation; "
            "set data.limit to the number of labeled ones, or name another split or source"
        )
    rest_unlabeled = pool.take(left).unlabeled()
    if unlabeled.limit is not None and unlabeled.limit < len(rest_unlabeled):
        rest_unlabeled = limit(rest_unlabeled, unlabeled.limit, seed=config.seed)
    return join(learned, rest_unlabeled)
