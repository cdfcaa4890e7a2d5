"""musicnn: the network against its layers written out in float64, TensorFlow's way round."""

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from mentee.errors import MenteeError
from mentee.teachers.pretrained.musicnn import MusicnnNetwork, named_weights

CONVS = [(7, 38, 1, 204), (7, 67, 1, 204), (128, 1, 1, 51), (64, 1, 1, 51), (32, 1, 1, 51)]
CONVS += [(7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64)]
NORMS = [1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200]


def layer(kind, number):
    return f"{kind}_{number}" if number else kind


@pytest.fixture
def checkpoint():
    """Random weights under TensorFlow's names and shapes."""
    draw = np.random.default_rng(0)
    found = {
        "dense/kernel": draw.normal(size=(1506, 200)) * 0.03,
        "dense/bias": draw.normal(size=200),
    }
    for i, shape in enumerate(CONVS):
        scale = (shape[0] * shape[1]) ** -0.5
        found[f"{layer('conv2d', i)}/kernel"] = draw.normal(size=shape) * scale
        found[f"{layer('conv2d', i)}/bias"] = draw.normal(size=shape[3]) * 0.1
    for i, width in enumerate(NORMS):
        name = layer("batch_normalization", i)
        found[f"{name}/gamma"], found[f"{name}/beta"] = draw.normal(size=(2, width))
        found[f"{name}/moving_mean"] = draw.normal(size=width) * 0.1
        found[f"{name}/moving_variance"] = draw.uniform(0.5, 1.5, size=width)
    return {name: value.astype("f4") for name, value in found.items()}


def by_formula(w, x):
    """One window [t, bands] → (mean, maximum, penultimate)."""

    def norm(i, y):
        g, b, m, v = (
            w[f"{layer('batch_normalization', i)}/{part}"].astype("f8")
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (y - m) / np.sqrt(v + 1e-3) * g + b

    def conv(i, y):
        """[t, f] → [t, f', filters]; over time as many frames as before."""
        kernel = w[f"{layer('conv2d', i)}/kernel"].astype("f8")[:, :, 0]
        before = (len(kernel) - 1) // 2
        padded = np.pad(y, ((before, len(kernel) - 1 - before), (0, 0)))
        windows = sliding_window_view(padded, kernel.shape[:2])
        said = np.einsum("tfab,abc->tfc", windows, kernel)
        return np.maximum(said + w[f"{layer('conv2d', i)}/bias"], 0)

    y = norm(0, x[:, :, None])[:, :, 0]
    front = np.concatenate([norm(i + 1, conv(i, y)).max(1) for i in range(5)], 1)
    first = norm(6, conv(5, front))[:, 0]
    second = norm(7, conv(6, first))[:, 0] + first
    third = norm(8, conv(7, second))[:, 0] + second
    features = np.concatenate([front, first, second, third], 1)
    pools = np.stack([features.max(0), features.mean(0)], 1).reshape(-1)
    dense = norm(9, pools) @ w["dense/kernel"].astype("f8") + w["dense/bias"]
    return features.mean(0), features.max(0), norm(10, np.maximum(dense, 0))


def test_the_network_is_the_one_of_the_formula(checkpoint):
    network = MusicnnNetwork()
    network.load_state_dict(named_weights(checkpoint))
    network.eval()
    x = np.random.default_rng(1).uniform(0, 3, size=(21, 96))
    mean, largest, penultimate = by_formula(checkpoint, x)
    with torch.no_grad():
        pools = network(torch.from_numpy(x[None].astype("f4")))
        last = network.penultimate(pools)
    np.testing.assert_allclose(pools[0], np.concatenate([mean, largest]), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(last[0], penultimate, rtol=1e-3, atol=1e-3)


def test_a_checkpoint_without_a_layer_is_refused(checkpoint):
    del checkpoint["conv2d_3/bias"]
    with pytest.raises(MenteeError, match="lacks 'conv2d_3/bias'"):
        named_weights(checkpoint)


def test_long_clips_are_cut_into_windows_and_short_ones_repeated_if_asked(real):
    it = real("musicnn")
    clip = torch.rand(3 * 187 * 256, generator=torch.Generator().manual_seed(0)) - 0.5
    windows = it.frames([clip])
    assert windows.shape == (1, 3, 1506)
    torch.testing.assert_close(it.pooled([clip]), windows.mean(1), rtol=1e-4, atol=1e-4)
    assert real("musicnn", layer="penultimate").pooled([clip[:9000]]).shape == (1, 200)
    repeated = real("musicnn", short="repeat").pooled([clip[:9000]])
    assert not torch.allclose(repeated, it.pooled([clip[:9000]]), atol=0.1)
