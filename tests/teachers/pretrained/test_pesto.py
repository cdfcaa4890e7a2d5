"""PESTO: its transform against the formula, its pitches against tones."""

import numpy as np
import pytest
import torch

from mentee.teachers.pretrained.pesto import log_spectra, vqt_kernels

RATE = 16000


@pytest.mark.parametrize("samples", [1, 2, 700, 4000])
def test_the_transform_is_the_formulas(samples):
    kernels, reach = vqt_kernels(RATE)
    clip = torch.randn(samples)
    made = log_spectra(clip, kernels, reach, 160)
    x = clip.double().numpy()
    assert made.shape == (1 + samples // 160, 251)
    alpha = 2 ** (1 / 36) - 1
    for k in (0, 30, 120, 250):
        f = 27.5 / 2 ** (1 / 36) * 2 ** (k / 36)
        length = int(np.ceil(RATE / alpha / (f + 7 / alpha)))
        n = np.arange(length) - (length + 1) // 2
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
        wave = hann * np.exp(-2j * np.pi * f / RATE * n) / hann.sum() * np.sqrt(length)
        for t in {0, len(made) - 1}:
            heard = [x[mirrored(t * 160 + int(i), samples)] for i in n]
            power = abs((wave * heard).sum()) ** 2
            assert made[t, k] == pytest.approx(np.log(max(power, 1.2e-7**2)), abs=0.02)


def mirrored(at, samples):
    """Where a mirror on the first and last sample leads, step by step."""
    while samples > 1 and not 0 <= at < samples:
        at = -at if at < 0 else 2 * (samples - 1) - at
    return at if samples > 1 else 0


@pytest.mark.parametrize(("hz", "pitch"), [(220.0, 57), (440.0, 69), (659.2551, 76)])
def test_a_tone_is_heard_at_its_pitch(real, hz, pitch):
    t = torch.arange(RATE, dtype=torch.float64) / RATE
    tone = sum(torch.sin(2 * torch.pi * hz * k * t) / k for k in (1, 2, 3, 4)) / 3
    said = real("pesto").pooled([tone.float()])[0]
    assert said.sum() == pytest.approx(1, abs=1e-4)
    assert abs(int(said.argmax()) / 3 - pitch) <= 1 / 3


def test_poolings_and_layers_of_one_clip_agree(real):
    clip = torch.rand(4000) - 0.5
    frames = real("pesto").frames([clip])[0]
    both = real("pesto", pooling="mean+std").pooled([clip])[0]
    torch.testing.assert_close(both, torch.cat([frames.mean(0), frames.std(0, correction=0)]))
    features = real("pesto", layer="features")
    assert features.frames([clip]).shape == (1, 13, 120)
    assert features.fingerprint() == real("pesto").fingerprint()


def test_the_packages_own_network_says_the_same(real):
    model = pytest.importorskip("pesto.model", reason="pesto with torchaudio is not installed")
    from mentee.teachers.pretrained.pesto import PestoNetwork

    ours = PestoNetwork().eval()
    theirs = model.Resnet1d(1, [40, 30, 30, 10, 3], 3, 39, True, 219, 384).eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 219)
    torch.testing.assert_close(ours(x), theirs(x[:, None]), rtol=1e-4, atol=1e-6)
