"""How alike two embeddings are: other code's numbers, definitions, corners, promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.neighbors import NearestNeighbors

from mentee.errors import DataError
from mentee.losses import cka
from mentee.metrics import debiased_cka, explained_variance, linear_cka, shared_neighbors
from mentee.metrics.similarity import RIDGE


def draw(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_cka_is_hsic_over_the_roots_of_both():
    x, y = draw(30, 4, 1).numpy().astype(np.float64), draw(30, 7, 2).numpy().astype(np.float64)
    center = np.eye(30) - 1 / 30
    k, m = center @ x @ x.T @ center, center @ y @ y.T @ center
    expected = np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))
    got = linear_cka(torch.from_numpy(x).float(), torch.from_numpy(y).float())
    assert got == pytest.approx(expected, rel=1e-5)


def test_cka_is_one_minus_the_loss():
    x, y = draw(30, 4, 1).double(), draw(30, 7, 2).double()
    assert linear_cka(x, y) == pytest.approx(1 - float(cka(x, y)), rel=1e-9)


def u_centered(x):
    """The products of vectors, centered without their diagonal (Székely and Rizzo 2014)."""
    n, k = len(x), x @ x.T
    np.fill_diagonal(k, 0.0)
    rows = k.sum(1, keepdims=True) / (n - 2)
    k = k - rows - rows.T + k.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(k, 0.0)
    return k


def test_debiased_cka_is_the_cosine_of_u_centered_products():
    x, y = draw(30, 4, 1).numpy().astype(np.float64), draw(30, 7, 2).numpy().astype(np.float64)
    k, m = u_centered(x + 3), u_centered(y)
    expected = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    ((got,),) = debiased_cka([torch.from_numpy(x + 3)], [torch.from_numpy(y)])
    assert got == pytest.approx(expected, rel=1e-6)


def test_unrelated_layers_of_many_entries_are_near_0_and_the_same_turned_are_1():
    x, y = draw(40, 500, 1), draw(40, 600, 2)
    assert linear_cka(x, y) > 0.8
    turn = torch.linalg.qr(draw(500, 500, 3))[0]
    ((unrelated, turned),) = debiased_cka([x], [y, 5 * x @ turn])
    assert abs(unrelated) < 0.2
    assert turned == pytest.approx(1.0, abs=1e-5)


def test_constant_vectors_have_no_cka():
    assert debiased_cka([torch.ones(5, 3)], [draw(5, 2, 1)]) == [[0.0]]
    assert linear_cka(torch.ones(5, 3), draw(5, 2, 1)) == 0.0


def test_other_numbers_of_examples_are_refused():
    with pytest.raises(DataError, match="5 vectors and 4"):
        linear_cka(draw(5, 3, 1), draw(4, 3, 2))


def pair(n: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    student = torch.randn(n, 6, generator=rng).double() * 3 + 1
    noise = torch.randn(n, 4, generator=rng).double()
    return student, student @ torch.randn(6, 4, generator=rng).double() + 2 * noise


def test_the_variance_explained_is_that_of_a_ridge_regression_on_the_other_half() -> None:
    student, teacher = pair()
    expected = []
    for i in (0, 1):
        x, y = student[i::2].numpy(), teacher[i::2].numpy()
        new, truth = student[1 - i :: 2].numpy(), teacher[1 - i :: 2].numpy()
        middle, spread = x.mean(0), x.std(0, ddof=1)
        model = Ridge(alpha=RIDGE * len(x)).fit((x - middle) / spread, y)
        said = model.predict((new - middle) / spread)
        total = ((truth - y.mean(0)) ** 2).sum()
        expected.append(1 - ((truth - said) ** 2).sum() / total)
    assert explained_variance(student, teacher) == pytest.approx(np.mean(expected), rel=1e-9)
    assert explained_variance(student, teacher) == pytest.approx(
        r2_score(truth, said, multioutput="variance_weighted"), abs=0.05
    )


def test_neighbors_are_those_of_another_code() -> None:
    student, teacher = pair(2100)  # more than one block
    near = [
        NearestNeighbors(n_neighbors=11, metric="cosine").fit(x).kneighbors(x)[1][:, 1:]
        for x in (student.numpy(), teacher.numpy())
    ]
    common = [len(set(a) & set(b)) for a, b in zip(*near, strict=True)]
    assert shared_neighbors(student, teacher) == pytest.approx(np.mean(common) / 10, abs=1e-3)


def test_what_says_nothing_of_the_teacher_explains_nothing() -> None:
    rng = torch.Generator().manual_seed(1)
    student, teacher = (torch.randn(400, 5, generator=rng) for _ in range(2))
    assert explained_variance(student, teacher) < 0.05
    assert shared_neighbors(student, teacher) == pytest.approx(10 / 399, abs=0.01)
    assert explained_variance(student, torch.ones(400, 3)) == 0.0
    assert explained_variance(torch.ones(400, 3), teacher) < 0.01


def test_few_examples_have_as_many_neighbors_as_there_are() -> None:
    student, teacher = pair(5)
    assert shared_neighbors(student, teacher) == 1.0


@pytest.mark.parametrize("measure", [explained_variance, shared_neighbors])
def test_other_examples_are_refused(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(DataError, match=r"5 vectors of a student and 6 of a teacher; expected"):
        measure(torch.ones(5, 2), torch.ones(6, 2))
    with pytest.raises(DataError, match="at least 4"):
        measure(torch.ones(3, 2), torch.ones(3, 2))
    if measure is shared_neighbors:
        with pytest.raises(DataError, match="k is 0; expected at least 1"):
            shared_neighbors(torch.ones(5, 2), torch.ones(5, 2), k=0)
