from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import torch
from torch import nn

from mentee.errors import MenteeError
from mentee.models.logmel import LogMel, mel_filters, to_hertz, to_mel


def mel(f, scale):
    if scale == "htk":
        return 2595 * math.log10(1 + f / 700)
    return 3 * f / 200 if f < 1000 else 15 + 27 * math.log(f / 1000) / math.log(6.4)


def hertz(m, scale):
    """The inverse of `mel`, by halving an interval."""
    low, high = 0.0, 1e5
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if mel(middle, scale) < m else (low, middle)
    return low


def spectrogram(x, sample_rate, n_fft, hop, window, mels, fmin, fmax, emphasis, offset, scale):
    """The docstring's formulas, one number at a time."""
    y = [x[n] - emphasis * (x[n - 1] if n else 0.0) for n in range(len(x))]
    low, high = mel(fmin, scale), mel(fmax, scale)
    center = [hertz(low + (high - low) * i / (mels + 1), scale) for i in range(mels + 2)]
    out = np.zeros((mels, 1 + len(x) // hop))
    for t in range(out.shape[1]):
        power = []
        for k in range(n_fft // 2 + 1):
            total = 0j
            for n in range(window):
                at = n + t * hop - window // 2
                if 0 <= at < len(y):
                    hann = math.sin(math.pi * n / window) ** 2
                    total += hann * y[at] * cmath.exp(-2j * math.pi * k * n / n_fft)
            power.append(abs(total) ** 2)
        for m in range(mels):
            energy, (a, b, c) = 0.0, center[m : m + 3]
            for k, value in enumerate(power):
                f = k * sample_rate / n_fft
                energy += value * max(0.0, min((f - a) / (b - a), (c - f) / (c - b)))
            out[m, t] = math.log(energy + offset)
    return out


@pytest.mark.parametrize(
    "settings",
    [
        {"n_fft": 64, "hop": 20, "window": 64, "fmin": 0.0, "fmax": 4000.0, "emphasis": 0.0},
        {"n_fft": 64, "hop": 17, "window": 40, "fmin": 90.0, "fmax": 3000.0, "emphasis": 0.97},
    ],
)
@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_logmel_is_the_loop_of_its_formulas(settings, scale):
    settings = {"sample_rate": 8000, "mels": 5, "offset": 1e-4, "scale": scale, **settings}
    x = np.random.default_rng(0).normal(size=(2, 71))
    want = np.stack([spectrogram(clip, **settings) for clip in x])[:, None]
    given = LogMel(**settings)(torch.from_numpy(x).float())
    np.testing.assert_allclose(given.numpy(), want, atol=1e-4)
    precise = LogMel(**settings).double()  # the buffers still have float32's digits
    np.testing.assert_allclose(precise(torch.from_numpy(x)).numpy(), want, atol=1e-5)


def test_a_tone_is_loudest_where_it_is():
    layer = LogMel(sample_rate=16000, n_fft=512, hop=256, mels=64)
    for frequency in (220.0, 880.0, 3520.0):
        x = torch.sin(2 * math.pi * frequency * torch.arange(16000) / 16000)[None]
        loudest = int(layer(x)[0, 0, :, 30].argmax())
        edges = to_hertz(torch.linspace(0, to_mel(8000.0, "slaney"), 66).double(), "slaney")
        assert float(edges[loudest]) < frequency < float(edges[loudest + 2])


@pytest.mark.parametrize(("sample_rate", "n_fft", "mels"), [(16000, 512, 64), (16000, 512, 96),
                                                     (32000, 1024, 128)])  # fmt: skip
def test_filters_of_the_networks_all_hear_something_and_overlap_to_one(sample_rate, n_fft, mels):
    filters = mel_filters(sample_rate, n_fft, mels, 0.0, sample_rate / 2, "slaney")
    assert bool((filters.sum(0) > 0).all())
    assert bool((filters.sum(1) <= 1 + 1e-9).all())
    center = to_hertz(
        torch.linspace(0, to_mel(sample_rate / 2, "slaney"), mels + 2).double(), "slaney"
    )
    bins = torch.arange(n_fft // 2 + 1) * sample_rate / n_fft
    inner = (bins > center[1]) & (bins < center[-2])
    torch.testing.assert_close(filters.sum(1)[inner], torch.ones(int(inner.sum())).double())


@pytest.mark.parametrize("samples", [1, 255, 256, 1000])
def test_any_length_has_frames(samples):
    out = LogMel(sample_rate=16000, n_fft=512, hop=256, mels=8)(torch.zeros(3, samples))
    assert out.shape == (3, 1, 8, 1 + samples // 256)
    torch.testing.assert_close(out, torch.full_like(out, math.log(1e-5)))


def test_nothing_is_saved_and_the_layer_still_works_in_another_network():
    layer = nn.Sequential(LogMel(sample_rate=8000, n_fft=64, hop=32, mels=4))
    assert layer.state_dict() == {}
    other = nn.Sequential(LogMel(sample_rate=8000, n_fft=64, hop=32, mels=4))
    other.load_state_dict(layer.state_dict())
    x = torch.randn(1, 500)
    assert torch.equal(layer(x), other(x))


def test_mixed_precision_stops_at_the_door():
    layer, x = LogMel(sample_rate=8000, n_fft=64, hop=32, mels=4), torch.randn(2, 500)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = layer(x)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, layer(x))


def test_the_graph_can_be_exported():
    layer, x = LogMel(sample_rate=8000, n_fft=64, hop=32, mels=4, emphasis=0.9), torch.randn(2, 500)
    exported = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    more = torch.randn(5, 500)
    torch.testing.assert_close(exported.module()(more), layer(more))
    assert not any("fft" in str(node.target) for node in exported.graph.nodes)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hop": 0}, "hop and mels of at least 1.*hop=0"),
        ({"mels": 0}, "mels=0"),
        ({"window": 65}, "at most n_fft; got .*window=65"),
        ({"window": 31}, "even window.*window=31"),
        ({"fmax": 5000.0}, "half the rate, 4000 Hz; got fmin=0, fmax=5000"),
        ({"fmin": 4000.0}, "got fmin=4000, fmax=4000"),
        ({"emphasis": 1.0}, r"in \[0, 1\) and offset above 0; got 1 and"),
        ({"offset": 0.0}, "offset above 0; got 0 and 0"),
    ],
)
def test_impossible_numbers_are_refused(changed, message):
    with pytest.raises(MenteeError, match=message):
        LogMel(**{"sample_rate": 8000, "n_fft": 64, "hop": 32, "mels": 4, **changed})
