from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mentee.data import batches, build_views, hash_ids, open_examples
from mentee.data.audio_views import Mask
from mentee.data.counter_rng import mix
from mentee.errors import DataError
from tests.data.test_views import KEYS, _clips

RATE, SAMPLES = 1000, 100


def _views(name: str, seed: int = 11):
    return build_views(name, kind="audio", seed=seed, seconds=SAMPLES / RATE, sample_rate=RATE)


def test_a_shifted_piece_is_one_of_the_pieces() -> None:
    clips = _clips()
    for clip, piece in zip(clips, _views("shift")(clips, KEYS, 0).numpy(), strict=True):
        n = len(clip)
        if n >= SAMPLES:
            pieces = [clip.numpy()[i : i + SAMPLES] for i in range(n - SAMPLES + 1)]
        else:
            pieces = [np.pad(clip.numpy(), (i, SAMPLES - n - i)) for i in range(SAMPLES - n + 1)]
        assert any(np.array_equal(piece, one) for one in pieces)


@pytest.mark.parametrize("n", [SAMPLES - 3, SAMPLES + 3])
def test_all_places_are_equally_likely(n: int) -> None:
    keys = torch.from_numpy(hash_ids([str(i) for i in range(4000)]))
    ramp = torch.arange(1, n + 1) / n
    pieces = _views("shift")([ramp] * len(keys), keys, 0).numpy()
    # where the ramp's first value stands, or how much of it is cut off
    starts = (pieces == 0).argmin(axis=1) if n < SAMPLES else np.rint(pieces[:, 0] * n) - 1
    counts = np.bincount(starts.astype(int), minlength=4)
    assert len(counts) == 4
    assert np.abs(counts - 1000).max() < 5 * math.sqrt(1000 * 0.75)


def _mel(f: float) -> float:
    return 2595 * math.log10(1 + f / 700)


def _draw(key: int, view: int, i: int, purpose: str = "mask") -> float:
    words = (purpose, view, i) if purpose == "mask" else (purpose, view)
    return (int(mix(11, np.array([key]), *words)[0]) >> 11) / 2**53


def test_masks_by_the_formula() -> None:
    n, view = SAMPLES, 2
    clips = [clip[:n] for clip in _clips() if len(clip) >= n]
    keys = KEYS[: len(clips)]
    got = _views("mask")(clips, keys, view).numpy()
    for clip, key, piece in zip(clips, keys.tolist(), got, strict=True):
        x, top = clip.numpy().astype(np.float64), _mel(RATE / 2)
        width = _draw(key, view, 0) * 0.375 * top
        low = _draw(key, view, 1) * (top - width)
        time, want = np.arange(n), np.zeros(n)
        for k in range(n // 2 + 1):
            if low <= _mel(k * RATE / n) < low + width:
                continue
            angle = 2 * np.pi * k * time / n
            share = 1 if k in (0, n // 2) else 2  # a real wave: bins k and n - k together
            real, imaginary = (x * np.cos(angle)).sum(), (x * np.sin(angle)).sum()
            want += share / n * (real * np.cos(angle) + imaginary * np.sin(angle))
        want = want.clip(-1, 1)
        silent = math.floor(_draw(key, view, 2) * (0.192 * n + 1))
        start = math.floor(_draw(key, view, 3) * (n - silent + 1))
        want[start : start + silent] = 0
        np.testing.assert_allclose(piece, want, atol=2e-6)


def test_no_share_no_mask() -> None:
    clips = _clips()
    plain = _views("shift")(clips, KEYS, 1)
    masked = Mask(11, SAMPLES, RATE, band=0.0, stretch=0.0)(clips, KEYS, 1)
    torch.testing.assert_close(masked, plain, atol=1e-6, rtol=0)
    silent = (Mask(11, SAMPLES, RATE, band=0.0, stretch=0.5)(clips, KEYS, 1) == 0).sum(dim=1)
    bare = (plain == 0).sum(dim=1)
    assert (silent - bare).max() > 30
    assert (silent - bare).max() <= 50


def test_batches_of_audio() -> None:
    clips = _clips()
    examples = open_examples(
        {"audio": clips, "sample_rate": RATE, "label": [0, 1] * 12}, sample_rate=RATE
    )
    for workers in (0, 1):
        options = {"batch": 5, "views": _views("mask"), "view": 3, "seed": 0, "epoch": 0}
        for batch in batches(examples, workers=workers, **options):
            rows = batch.rows.tolist()
            want = _views("mask")([clips[row] for row in rows], batch.ids, 3)
            assert torch.equal(batch.inputs, want)


def test_views_that_are_refused() -> None:
    with pytest.raises(DataError, match=r"several lengths, such as 40 and 99 .* choose `seconds`"):
        build_views("none", kind="audio", seed=0)(_clips(), KEYS, 0)
    same = [torch.zeros(7)] * 2
    assert build_views("none", kind="audio", seed=0)(same, KEYS[:2], 0).shape == (2, 7)
    with pytest.raises(DataError, match="views 'mask' need `seconds`"):
        build_views("mask", kind="audio", seed=0)
    with pytest.raises(DataError, match="no views 'crop' of audio: known: mask, none, shift"):
        build_views("crop", kind="audio", seed=0, seconds=1.0)
    with pytest.raises(DataError, match=r"of 0.0 seconds at rate 16000: expected"):
        build_views("none", kind="audio", seed=0, seconds=0.0)
    with pytest.raises(DataError, match="kind 'sound': known: audio, image, text"):
        build_views("none", kind="sound", seed=0)
