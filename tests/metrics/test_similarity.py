"""Linear CKA, in entries, against its definition in examples."""

import numpy as np
import pytest
import torch

from mentee.errors import DataError
from mentee.losses import cka
from mentee.metrics import similarity


def draw(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_it_is_hsic_over_the_roots_of_both():
    x, y = draw(30, 4, 1).numpy().astype(np.float64), draw(30, 7, 2).numpy().astype(np.float64)
    center = np.eye(30) - 1 / 30
    k, m = center @ x @ x.T @ center, center @ y @ y.T @ center
    expected = np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))
    got = similarity(torch.from_numpy(x).float(), torch.from_numpy(y).float())
    assert got == pytest.approx(expected, rel=1e-5)


def test_it_is_what_the_agreement_measures():
    x, y = draw(30, 4, 1).double(), draw(30, 7, 2).double()
    assert similarity(x, y) == pytest.approx(1 - float(cka(x, y)), rel=1e-9)


def test_a_network_that_says_one_thing_is_like_none():
    assert similarity(torch.ones(5, 3), draw(5, 2, 1)) == 0.0


def test_other_numbers_of_examples_are_refused():
    with pytest.raises(DataError, match="5 vectors and 4"):
        similarity(draw(5, 3, 1), draw(4, 3, 2))
