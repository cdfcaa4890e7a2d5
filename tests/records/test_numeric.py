"""Numbers in every type they are stored in: what comes back, and what is refused."""

import numpy as np
import pytest
import torch

from mentee.errors import DataError
from mentee.records.numeric import STORED, decode, encode, scales_of

IDS = [f"x/{i}" for i in range(40)]


def vectors(seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(40, 6)) * np.geomspace(1e-2, 1e2, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("dtype", "relative"), [("float32", 0), ("float16", 2**-11), ("bfloat16", 2**-8)]
)
def test_rounded_to_the_nearest(dtype, relative):
    x = vectors()
    stored = encode(x, dtype, IDS)
    assert stored.dtype == STORED[dtype]
    found = decode(stored, dtype)
    assert found.dtype == torch.float32
    assert (np.abs(found.numpy() - x) <= relative * np.abs(x) + 1e-8).all()


def test_bfloat16_is_that_of_torch():
    x = vectors()
    assert torch.equal(
        decode(encode(x, "bfloat16", IDS), "bfloat16"), torch.from_numpy(x).bfloat16().float()
    )


def test_int8_is_off_by_half_a_step_of_its_own_entry_at_most():
    x = vectors()
    scales = scales_of(np.abs(x).max(0))
    found = decode(encode(x, "int8", IDS, scales), "int8", torch.tensor(scales)).numpy()
    assert (np.abs(found - x) <= 0.5001 * np.array(scales)).all()
    # a margin of a quarter beyond the sample's largest, and what is beyond that is cut
    beyond = encode(10 * x, "int8", IDS, scales)
    assert np.abs(beyond.astype(int)).max() == 127
    np.testing.assert_allclose(np.array(scales) * 127, 1.25 * np.abs(x).max(0), rtol=1e-4)


def test_an_entry_that_was_always_zero_keeps_a_scale():
    scales = scales_of(np.array([0.0, 1.0, 8.0]))
    assert scales[0] == scales[2] > scales[1]
    assert min(scales_of(np.zeros(3))) > 0


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
def test_what_is_no_number_is_named(dtype):
    x = vectors()
    x[3, 2] = np.nan
    with pytest.raises(DataError, match=r"entry \[2\] of 'x/3' is nan: expected finite numbers"):
        encode(x, dtype, IDS, scales=[1.0] * 6)


def test_what_float16_cannot_hold_is_named():
    x = vectors()
    x[1, 0] = 7e4
    with pytest.raises(DataError, match=r"entry \[0\] of 'x/1' is 70000, more than float16 holds"):
        encode(x, "float16", IDS)
    assert np.isfinite(decode(encode(x, "bfloat16", IDS), "bfloat16").numpy()).all()
