from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mentee.models.layers import channel_shuffle, global_average, initialize


@settings(deadline=None, max_examples=25)
@given(
    groups=st.integers(1, 4),
    each=st.integers(1, 4),
    side=st.integers(1, 3),
    last=st.booleans(),
)
def test_channel_shuffle_is_the_loop_of_its_formula(groups, each, side, last):
    c = groups * each
    x = torch.randn(2, c, side, side + 1)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    want = np.empty(x.shape, dtype=np.float32)
    for i in range(each):
        for g in range(groups):
            want[:, i * groups + g] = x[:, g * each + i].numpy()
    np.testing.assert_array_equal(channel_shuffle(x, groups).numpy(), want)


def test_channel_shuffle_keeps_the_memory_format():
    x = torch.randn(2, 6, 4, 5)
    assert channel_shuffle(x, 3).is_contiguous()
    last = x.contiguous(memory_format=torch.channels_last)
    shuffled = channel_shuffle(last, 3)
    assert shuffled.is_contiguous(memory_format=torch.channels_last)
    assert not shuffled.is_contiguous()


def test_channel_shuffle_differentiates():
    x = torch.randn(1, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: channel_shuffle(t, 2), (x,))
    last = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: channel_shuffle(t, 2), (last,))


def test_global_average_is_the_mean_over_space():
    x = torch.randn(3, 2, 4, 5)
    want = np.stack([[x[i, j].numpy().mean() for j in range(2)] for i in range(3)])
    np.testing.assert_allclose(global_average(x).numpy(), want, atol=1e-6)


@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(64, 128, 1), (96, 96, 96)])
def test_initialize_has_the_variance_of_the_formula(inputs, outputs, groups):
    torch.manual_seed(0)
    conv = nn.Conv2d(inputs, outputs, 3, groups=groups)
    linear = nn.Linear(100, 200)
    initialize(nn.Sequential(conv, linear), classifier_std=0.01)
    spread = math.sqrt(2 / (9 * outputs))
    tolerance = 4 / math.sqrt(2 * conv.weight.numel())
    assert float(conv.weight.detach().std()) == pytest.approx(spread, rel=tolerance)
    assert float(linear.weight.detach().std()) == pytest.approx(0.01, rel=0.03)
    assert not conv.bias.any()
    assert not linear.bias.any()


def test_initialize_leaves_the_classifier_alone_unless_asked():
    linear = nn.Linear(5, 4)
    before = linear.weight.clone()
    initialize(nn.Sequential(linear))
    assert torch.equal(linear.weight, before)
