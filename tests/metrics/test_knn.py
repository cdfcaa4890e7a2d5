"""Nearest neighbors against loops."""

import math

import numpy as np
import pytest
import torch

from mentee.errors import DataError
from mentee.metrics import knn, leave_one_out
from mentee.metrics.knn import BLOCK


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
        sum(x * x for x in a) * sum(y * y for y in b)
    )


def share(query, references, labels, known, k, temperature):
    """One query, in plain Python; labels and known `[n][c]`."""
    order = sorted(range(len(references)), key=lambda j: -cosine(query, references[j]))[:k]
    weights = [
        1.0 if temperature is None else math.exp(cosine(query, references[j]) / temperature)
        for j in order
    ]
    found = []
    for c in range(len(labels[0])):
        whole = sum(w * known[j][c] for w, j in zip(weights, order, strict=True))
        yes = sum(w * known[j][c] * labels[j][c] for w, j in zip(weights, order, strict=True))
        found.append(yes / whole if whole else 0.0)
    return found


@pytest.mark.parametrize("temperature", [None, 0.07, 1.0])
@pytest.mark.parametrize("k", [1, 5, 50])
def test_one_class_an_example(k, temperature):
    rng = np.random.default_rng(k)
    x, y, queries = rng.normal(size=(30, 6)), rng.integers(0, 4, 30), rng.normal(size=(9, 6))
    found = knn(
        torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(queries),
        classes=4, k=k, temperature=temperature,
    )  # fmt: skip
    one, all_known = np.eye(4)[y].tolist(), np.ones((30, 4)).tolist()
    expected = [share(q, x, one, all_known, k, temperature) for q in queries]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_several_classes_an_example(masked):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(25, 5)), rng.integers(0, 2, (25, 3)).astype(np.float32)
    known = rng.random((25, 3)) < 0.4 if masked else np.ones((25, 3), bool)
    mask = torch.from_numpy(known) if masked else None
    found = leave_one_out(
        torch.from_numpy(x), torch.from_numpy(y), classes=3, k=4, temperature=0.3, mask=mask
    )
    for i in range(25):
        others = [j for j in range(25) if j != i]
        expected = share(x[i], x[others], y[others].tolist(), known[others].tolist(), 4, 0.3)
        np.testing.assert_allclose(found[i].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_blocks_change_nothing():
    x = torch.randn(BLOCK + 40, 3)
    y = torch.randint(3, (len(x),))
    whole = leave_one_out(x, y, classes=3, k=7)
    for row in (0, BLOCK - 1, BLOCK, BLOCK + 39):
        others = torch.arange(len(x)) != row
        alone = knn(x[others], y[others], x[row : row + 1], classes=3, k=7)
        torch.testing.assert_close(whole[row], alone[0])


def test_vectors_of_zeros_and_of_any_length():
    x = torch.cat([torch.zeros(2, 4), torch.randn(6, 4)])
    y = torch.tensor([0, 1] * 4)
    found = leave_one_out(x, y, classes=2, k=3)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, leave_one_out(1e4 * x, y, classes=2, k=3))
    torch.testing.assert_close(found.sum(1), torch.ones(8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k is 0, temperature is 0.07; expected at least 1, and above 0 or null"),
        ({"temperature": 0.0}, "k is 20, temperature is 0.0"),
    ],
)
def test_numbers_out_of_range(change, message):
    with pytest.raises(DataError, match=message):
        leave_one_out(torch.randn(4, 2), torch.zeros(4, dtype=torch.int64), classes=1, **change)


def test_what_cannot_be_compared():
    labels = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(DataError, match="references have 2 entries, queries 3"):
        knn(torch.randn(4, 2), labels, torch.randn(1, 3), classes=1)
    with pytest.raises(DataError, match="one example has no neighbors"):
        leave_one_out(torch.randn(1, 2), labels[:1], classes=1)
