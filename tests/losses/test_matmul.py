"""Products against float64, by every way there is."""

import pytest
import torch

from mentee.losses import matmul
from mentee.losses.matmul import multiplies_halves, product

CLOSE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2}


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("sizes", [(1, 3, 1), (64, 128, 500), (5, 37, 128)])
@pytest.mark.parametrize("has_linear", [True, False])
def test_equals_the_product_in_float64(dtype, sizes, has_linear, monkeypatch):
    if not has_linear:  # as on a processor or with a torch that lacks it
        monkeypatch.setattr(matmul, "_has_linear", lambda: False)
    rows, inner, columns = sizes
    left, right = torch.randn(rows, inner).to(dtype), torch.randn(columns, inner).to(dtype)
    for other in (right.T, right.T.contiguous()):  # as scores and as gradients are multiplied
        got = product(left, other)
        assert got.dtype == dtype
        expected = left.double() @ other.double()
        assert (got.double() - expected).abs().max() <= CLOSE[dtype] * (1 + expected.abs().max())


def test_halves_are_for_processors_that_multiply_them(monkeypatch):
    assert multiplies_halves(torch.device("cuda"))
    monkeypatch.setattr(torch._C, "_has_mkldnn", False)
    assert not multiplies_halves(torch.device("cpu"))
    assert product(torch.ones(2, 3), torch.ones(3, 2)).tolist() == [[3.0, 3.0], [3.0, 3.0]]
