from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.errors import MenteeError
from mentee.models import (
    CONTRACTS,
    AudioContract,
    InputContract,
    TextContract,
    contract_of,
    normalize,
)


@settings(deadline=None, max_examples=25)
@given(channels=st.integers(1, 4), shared=st.booleans(), seed=st.integers(0, 99))
def test_normalize_is_its_formula(channels, shared, seed):
    rng = np.random.default_rng(seed)
    count = 1 if shared else channels
    mean, std = rng.uniform(0, 1, count), rng.uniform(0.1, 2, count)
    x = rng.uniform(size=(2, channels, 3, 5))
    want = np.empty_like(x)
    for c in range(channels):
        want[:, c] = (x[:, c] - mean[c % count]) / std[c % count]
    contract = InputContract(tuple(map(float, mean)), tuple(map(float, std)))
    given_ = torch.from_numpy(x.copy())
    np.testing.assert_allclose(normalize(given_, contract).numpy(), want, rtol=1e-12)
    np.testing.assert_array_equal(given_.numpy(), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_normalize_keeps_dtype_and_memory_format(dtype):
    x = torch.rand(2, 3, 4, 4, dtype=dtype).contiguous(memory_format=torch.channels_last)
    out = normalize(x, CONTRACTS["cifar10"])
    assert out.dtype == dtype
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_normalize_differentiates():
    x = torch.rand(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: normalize(t, CONTRACTS["imagenet"]), (x,))


def test_none_changes_nothing():
    x = torch.rand(2, 5, 3, 3)
    assert torch.equal(normalize(x, CONTRACTS["none"]), x)


def test_other_channels_are_refused():
    with pytest.raises(MenteeError, match="for 3 channels, the images have 1"):
        normalize(torch.rand(2, 1, 4, 4), CONTRACTS["cifar100"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0.5, 0.5), (0.2,)), "2 means and 1 stds"),
        (((), ()), "0 means and 0 stds"),
        (((0.5,), (0.0,)), "each std .* is above 0"),
        (((0.5,), (float("nan"),)), "each std .* is above 0"),
        (((0.5,), (0.2,), (0, 32)), r"at least 1, got \(0, 32\)"),
    ],
)
def test_impossible_contracts_are_refused(arguments, message):
    with pytest.raises(MenteeError, match=message):
        InputContract(*arguments)


def test_unknown_contracts_are_answered_with_close_ones():
    with pytest.raises(MenteeError, match="no input contract 'cifar-10'; did you mean 'cifar10'"):
        contract_of("cifar-10")
    assert contract_of("tiny-imagenet").size == (64, 64)


@pytest.mark.parametrize("samples", [7999, 8000, 8001])
def test_clips_of_the_contracts_length_pass_untouched(samples):
    x = torch.randn(3, samples)
    assert normalize(x, AudioContract(sample_rate=16000, seconds=0.5)) is x


@pytest.mark.parametrize(("length", "dtype"), [(1, torch.uint8), (64, torch.int64)])
def test_texts_up_to_the_contracts_length_pass_untouched(length, dtype):
    x = torch.ones(2, length, dtype=dtype)
    assert normalize(x, TextContract(64)) is x


@pytest.mark.parametrize(
    ("x", "contract", "message"),
    [
        (
            torch.zeros(2, 7998),
            AudioContract(16000, 0.5),
            r"0\.5 s at 16000 Hz, 8000 samples; got 7",
        ),
        (torch.zeros(2, 1, 8000), AudioContract(16000, 0.5), r"mono; got \[2, 1, 8000\] of torch"),
        (torch.zeros(2, 8000).long(), AudioContract(16000, 0.5), "floats, mono; got .*int64"),
        (torch.zeros(2, 65).byte(), TextContract(64), "at most 64 bytes, got 65"),
        (torch.zeros(2, 64), TextContract(64), r"bytes, uint8; got \[2, 64\] of torch.float32"),
        (torch.zeros(64).byte(), TextContract(64), r"got \[64\] of torch.uint8"),
    ],
)
def test_other_clips_and_texts_are_refused(x, contract, message):
    with pytest.raises(MenteeError, match=message):
        normalize(x, contract)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AudioContract(0, 1.0), "got 0 and 1.0"),
        (lambda: AudioContract(16000, 0.0), "got 16000 and 0.0"),
        (lambda: AudioContract(16000, float("inf")), "got 16000 and inf"),
        (lambda: AudioContract(16000, 1e-6), "long enough for one sample; got 16000 and 1e-06"),
        (lambda: TextContract(0), "at least 1 byte, got 0"),
    ],
)
def test_impossible_clips_and_texts_are_refused(make, message):
    with pytest.raises(MenteeError, match=message):
        make()


def stretched(x, size):
    """Bilinear, pixels as squares: the point (i + ½) / scale − ½ of the source, edges repeated."""
    old = len(x)
    result = np.zeros(size)
    for i in range(size):
        point = min(max((i + 0.5) * old / size - 0.5, 0), old - 1)
        low = int(np.floor(point))
        high, share = min(low + 1, old - 1), point - low
        result[i] = (1 - share) * x[low] + share * x[high]
    return result


def test_images_are_resized_only_where_the_contract_says_so():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(2, 3, 4, 6))
    tall = np.apply_along_axis(stretched, 2, x, 10)
    whole = np.apply_along_axis(stretched, 3, tall, 15)[..., 2:12]  # the center of 15 columns
    contract = InputContract((0.25,), (0.5,), resize=10)
    result = normalize(torch.from_numpy(x), contract)
    np.testing.assert_allclose(result.numpy(), (whole - 0.25) / 0.5, rtol=1e-9, atol=1e-9)
    same = torch.rand(2, 3, 10, 10)
    assert torch.equal(normalize(same, contract), normalize(same, InputContract((0.25,), (0.5,))))
    assert normalize(torch.from_numpy(x), CONTRACTS["cifar10"]).shape == x.shape


def test_resizing_to_nothing_is_refused():
    with pytest.raises(MenteeError, match="resized to 1 pixel at least, not 0"):
        InputContract((0.5,), (0.5,), resize=0)
