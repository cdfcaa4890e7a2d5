"""What keeps the quick sums of the contrast within the range and the precision of float32."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.losses import shared_negatives
from mentee.losses.contrast import contrast, log_normalizer
from mentee.losses.negatives import Draw, Negatives
from mentee.losses.shared_negatives import LONGEST, Span, sum_of_logs
from mentee.representations import unit_norm

HIGHEST_FLOAT32 = math.log(torch.finfo(torch.float32).max)


@settings(deadline=None)
@given(temperature=st.floats(0.02, 10), log_scale=st.floats(-200, 200))
def test_no_intermediate_number_leaves_the_range_of_float32(temperature, log_scale):
    """For unit anchors and rows up to sqrt(3) long: exponential, scale, ratio, their product."""
    span = Span.of(temperature, log_scale)
    longest = LONGEST / temperature
    if span.shift is None:
        assert longest < HIGHEST_FLOAT32
        assert span.inverse == pytest.approx(math.exp(-log_scale))
        assert 0 < span.inverse < math.exp(HIGHEST_FLOAT32)
        highest = math.log1p(math.exp(longest - log_scale))
    else:
        assert span.shift == pytest.approx(log_scale / math.log(2))
        assert span.inverse == 1.0
        highest = math.log1p(math.exp(shared_negatives.HIGHEST))
    assert span.group * highest < HIGHEST_FLOAT32


def test_a_published_contrast_takes_one_logarithm_for_eight_entries():
    assert Span.of(0.1, math.log(16384)).group == 8
    assert Span.of(0.1, math.log(4096)).group == 8
    assert Span.of(0.07, math.log(16384)).group == 4
    assert Span.of(0.03, math.log(16384)).group == 1


@settings(deadline=None)
@given(width=st.integers(1, 70), group=st.sampled_from([1, 2, 4, 8]), seed=st.integers(0, 99))
def test_logarithms_of_products_add_up_to_those_of_the_factors(width, group, seed):
    generator = torch.Generator().manual_seed(seed)
    x = 1 + torch.rand(3, width, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(sum_of_logs(x.clone(), group), x.log().sum(1))


def problem(b=16, n=4096, d=64, classes=10, seed=0):
    """Anchors near the rows of their own examples, as in training, in float64."""
    g = torch.Generator().manual_seed(seed)
    banks = unit_norm(torch.randn(2, n, d, generator=g, dtype=torch.float64))
    near = torch.randn(2, b, d, generator=g, dtype=torch.float64) / d**0.5
    student, teacher = unit_norm(banks[1][:b] + near[0]), unit_norm(banks[0][:b] + near[1])
    groups = (torch.arange(n) % classes).to(torch.int32)
    at_hand = torch.tensor([float((groups != own).sum()) for own in groups[:b]])
    draw = Draw(None, at_hand, groups, groups[:b], n, 1.0)
    return student, teacher, banks, draw


def in_dtypes(dtype, stored, temperature=0.1, longer=1.0):
    """Loss and both gradients with anchors of one dtype and rows kept in another."""
    student, teacher, banks, draw = problem()
    exact = Negatives((banks[0][:16], banks[1][:16]), (banks[0], banks[1]), draw)
    log_z = log_normalizer(student, teacher, negatives=exact, temperature=temperature)
    kept = (banks * longer).to(stored)
    negatives = Negatives((kept[0][:16], kept[1][:16]), (kept[0], kept[1]), draw)
    anchors = [x.to(dtype).requires_grad_() for x in (student, teacher)]
    loss = contrast(*anchors, negatives=negatives, log_z=log_z, temperature=temperature, chunk=1000)
    slopes = torch.autograd.grad(loss.mean(), anchors)
    return [x.double() for x in (loss.detach(), *slopes)]


@pytest.mark.parametrize(
    ("stored", "bound"),
    [(torch.float32, 1e-4), (torch.float16, 1e-3), (torch.bfloat16, 5e-3)],
)
@pytest.mark.parametrize("multiplied", [True, False])
def test_how_far_rows_kept_in_fewer_digits_are_off(stored, bound, multiplied, monkeypatch):
    """Relative to float64, in length; bfloat16 multiplied as it is, and converted first."""
    monkeypatch.setattr("mentee.losses.negatives.multiplies_halves", lambda device: multiplied)
    for got, exact in zip(
        in_dtypes(torch.float32, stored), in_dtypes(torch.float64, torch.float64), strict=True
    ):
        error = (got - exact).norm() / exact.norm()
        assert error < bound


@pytest.mark.parametrize("temperature", [0.02, 0.03, 0.05, 0.07, 0.1, 1.0])
def test_float32_is_close_to_float64_with_the_longest_rows_of_a_new_bank(temperature):
    for got, exact in zip(
        in_dtypes(torch.float32, torch.float32, temperature, LONGEST),
        in_dtypes(torch.float64, torch.float64, temperature, LONGEST),
        strict=True,
    ):
        assert torch.isfinite(got).all()
        torch.testing.assert_close(got, exact, rtol=1e-3, atol=1e-4 * float(exact.abs().max()))


def test_compiles_with_rows_in_bfloat16():
    student, teacher, banks, draw = problem(n=300)
    kept = banks.bfloat16()
    negatives = Negatives((kept[0][:16], kept[1][:16]), (kept[0], kept[1]), draw)
    anchors = student.float(), teacher.float()
    plain = contrast(*anchors, negatives=negatives, log_z=torch.zeros(2))
    compiled = torch.compile(contrast, backend="aot_eager")
    got = compiled(*anchors, negatives=negatives, log_z=torch.zeros(2))
    torch.testing.assert_close(got, plain)
