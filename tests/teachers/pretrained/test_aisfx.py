"""aisfx: the network against the package's own, the front end against its formula."""

import numpy as np
import pytest
import torch

from mentee.teachers.pretrained.aisfx import LOUDEST, AisfxNetwork, log_mel
from mentee.teachers.pretrained.mel import mel_filters


def test_the_network_says_what_the_packages_own_says():
    cnn2d = pytest.importorskip("aisfx.models.cnn2d", reason="aisfx is not installed")
    theirs = cnn2d.EmbeddingNet("max", 3, 1, 64).eval()
    for name, buffer in theirs.named_buffers():
        if "running" in name:
            buffer.copy_(torch.rand(buffer.shape) + 0.5)
    ours = AisfxNetwork().eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(2, 36, 24)
    with torch.no_grad():
        torch.testing.assert_close(ours(x).amax(2), theirs(x), rtol=1e-4, atol=1e-5)


def test_loudness_does_not_matter_and_silence_is_zero():
    filters = mel_filters(44100, 2048, 96, scale="htk", norm="sum")
    clip = torch.randn(5000)
    torch.testing.assert_close(log_mel(clip * 0.01, filters), log_mel(clip, filters))
    assert log_mel(torch.zeros(3000), filters).abs().max() == 0
    t = np.arange(8192) / 44100
    tone = torch.from_numpy(np.sin(2 * np.pi * 441 * t).astype("f4"))
    frame = tone[1024 : 1024 + 2048].double().numpy() * np.hanning(2049)[:-1]
    power = filters.double().numpy() @ np.abs(np.fft.rfft(frame)) ** 2
    expected = np.log10(1e4 * power + 1) / LOUDEST
    np.testing.assert_allclose(log_mel(tone, filters)[2], expected, rtol=1e-3, atol=1e-4)


def test_a_block_is_filled_with_silence_and_a_last_incomplete_one_is_dropped(real):
    it = real("aisfx")
    clip = torch.randn(30000)
    clip[-2048:] = 0
    silent = torch.cat([clip, torch.zeros(40000)])
    torch.testing.assert_close(it.pooled([clip]), it.pooled([silent]), rtol=1e-4, atol=1e-4)
    long = torch.rand(44100 * 3) - 0.5
    long[0] = 1  # the peak of both
    kept = (99 * 1024 + 1024) + 20000  # one block of 100 frames, and less than half a block
    one, other = it.pooled([long[:kept], long[: kept - 10000]])
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert it.frames([clip]).shape == (1, 3, 512)
