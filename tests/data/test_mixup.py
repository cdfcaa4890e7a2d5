from __future__ import annotations

import numpy as np
import pytest
import torch

from mentee.data import mixup
from mentee.errors import DataError
from mentee.types import Batch


def _batch(inputs: torch.Tensor) -> Batch:
    b = len(inputs)
    mask = torch.rand(b, 3) > 0.5
    return Batch(inputs, torch.arange(b), torch.arange(b), torch.rand(b, 3), mask)


@pytest.mark.parametrize("shape", [(8, 50), (8, 3, 5, 4)])
def test_inputs_by_the_formula(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    x = x.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else x
    before = x.clone()
    batch = _batch(x)
    got = mixup(batch, alpha=0.4, seed=3, step=17)
    assert got.mixed is not None
    share, partner = got.mixed.share, got.mixed.partner.tolist()
    assert 0.5 <= share <= 1
    assert sorted(partner) == list(range(8))
    for i in range(8):
        want = (
            share * before[i].double().numpy() + (1 - share) * before[partner[i]].double().numpy()
        )
        np.testing.assert_allclose(got.inputs[i], want, rtol=1e-5, atol=1e-7)
    assert got.inputs.stride() == x.stride()
    assert torch.equal(x, before)
    assert got.labels is batch.labels
    assert got.mask is batch.mask
    assert got.ids is batch.ids


def test_a_draw_depends_on_seed_and_step_alone() -> None:
    batch = _batch(torch.rand(16, 4))
    first = mixup(batch, alpha=0.3, seed=0, step=5)
    torch.manual_seed(9)
    np.random.seed(9)
    state = torch.get_rng_state()
    again = mixup(batch, alpha=0.3, seed=0, step=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(again.inputs, first.inputs)
    for seed, step in ((0, 6), (1, 5), (-1, 5)):
        other = mixup(batch, alpha=0.3, seed=seed, step=step)
        assert not torch.equal(other.inputs, first.inputs)


def test_shares_are_those_of_a_beta() -> None:
    from scipy import stats

    batch = _batch(torch.rand(2, 2))
    mixed = [mixup(batch, alpha=0.3, seed=1, step=i).mixed for i in range(2000)]
    shares = [one.share for one in mixed if one is not None]

    def below(x: float) -> float:  # P(max(λ, 1 − λ) ≤ x), by symmetry
        return float(np.where(x < 0.5, 0, 2 * stats.beta.cdf(x, 0.3, 0.3) - 1))

    assert stats.kstest(shares, np.vectorize(below)).pvalue > 1e-3


def test_batches_that_are_refused() -> None:
    batch = _batch(torch.rand(4, 4))
    with pytest.raises(DataError, match=r"cannot mix torch.uint8 inputs: the bytes of texts"):
        mixup(_batch(torch.zeros(4, 9, dtype=torch.uint8)), alpha=0.3, seed=0, step=0)
    with pytest.raises(DataError, match="mixed already"):
        mixup(mixup(batch, alpha=0.3, seed=0, step=0), alpha=0.3, seed=0, step=0)
    with pytest.raises(DataError, match=r"alpha 0\.0: expected a number above 0"):
        mixup(batch, alpha=0.0, seed=0, step=0)
