"""The corruptions of audio, measured: levels, spectra, delays."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mentee.data import open_examples
from mentee.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mentee.data.corruptions.payload import Draws
from mentee.data.counter_rng import hash_ids
from mentee.errors import DataError
from tests.conftest import folder_from

RATE = 16_000


def done(name, wave, severity, *, sample_rate=RATE, id="a"):
    return CORRUPTIONS["audio"][name](wave, sample_rate, Draws(0, hash_ids([id]), name), severity)


def tone(hertz, seconds=1.0, level=0.25, sample_rate=RATE):
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return (level * np.sin(2 * math.pi * hertz * time)).astype(np.float32)


def decibels(wave):
    return 10 * math.log10(np.square(wave, dtype=np.float64).mean())


@pytest.fixture
def music(rng):
    """Notes with an attack and an end."""
    time = np.arange(RATE) / RATE
    result = np.zeros(RATE)
    for start in (0.05, 0.4, 0.7):
        later = time[time >= start] - start
        result[time >= start] += (
            0.2 * np.exp(-8 * later) * np.sin(2 * math.pi * rng.uniform(200, 1500) * later)
        )
    return (result + rng.normal(0, 0.002, RATE)).astype(np.float32)


@pytest.mark.parametrize("name", ["white_noise", "pink_noise"])
def test_noise_has_its_ratio_to_the_clip(name, music):
    for severity, ratio in ((1, 20), (3, 10), (5, 0)):
        noise = done(name, music, severity).astype(float) - music
        assert decibels(music) - decibels(noise) == pytest.approx(ratio, abs=0.1)


def test_white_is_flat_and_pink_falls_with_frequency():
    for name, wanted in (("white_noise", 0.0), ("pink_noise", -3.01)):
        quiet = tone(440, 4.0, 0.01)
        noise = done(name, quiet, 1).astype(float) - quiet
        power = abs(np.fft.rfft(noise)) ** 2
        octaves = [power[4 * k : 8 * k].mean() for k in (100, 200, 400, 800, 1600, 3200)]
        slope = np.polyfit(np.arange(6), 10 * np.log10(octaves), 1)[0]
        assert slope == pytest.approx(wanted, abs=0.3)


@pytest.mark.parametrize("name", CORRUPTIONS["audio"])
def test_silence_gives_no_numbers_that_are_none(name):
    pytest.importorskip("soundfile")
    for length in (40, 4000):
        result = done(name, np.zeros(length, np.float32), 5)
        assert result.shape == (length,)
        assert np.isfinite(result).all()
        assert abs(result).max() < 0.02


def test_gain_goes_both_ways():
    wave, signs = tone(300, 0.1, 0.05), set()
    for severity, change in ((1, 3), (5, 18)):
        for row in range(12):
            result = decibels(done("gain", wave, severity, id=str(row))) - decibels(wave)
            assert abs(result) == pytest.approx(change, abs=0.01)
            signs.add(math.copysign(1, result))
    assert signs == {1.0, -1.0}


def test_what_is_too_loud_is_cut():
    loud = [done("gain", tone(300, 0.1, 0.9), 5, id=str(row)) for row in range(12)]
    assert max(abs(wave).max() for wave in loud) == 1


def test_a_telephone_passes_300_to_3400_hertz():
    for hertz, least, most in ((1000, -0.5, 0.1), (100, -90, -30), (6000, -90, -30)):
        change = decibels(done("band_limit", tone(hertz), 4)) - decibels(tone(hertz))
        assert least < change < most
    for edge in (300, 3400):  # 3 dB at the edges, twice
        change = decibels(done("band_limit", tone(edge), 4)) - decibels(tone(edge))
        assert change == pytest.approx(-6.02, abs=0.4)


def test_a_band_above_the_rate_only_loses_its_low_end():
    result = done("band_limit", tone(3900, sample_rate=8000), 1, sample_rate=8000)
    assert decibels(result) == pytest.approx(decibels(tone(3900, sample_rate=8000)), abs=0.1)


def test_a_room_dies_away_by_60_decibels_in_its_time():
    click = np.zeros(2 * RATE, np.float32)
    click[0] = 1
    for severity, seconds, ratio in ((1, 0.2, 10), (3, 0.7, 3), (5, 1.6, -3)):
        decoded = done("reverberation", click, severity).astype(float)
        echo = np.square(decoded[1:])
        direct_to_echo = 10 * math.log10(decoded[0] ** 2 / echo.sum())
        assert direct_to_echo == pytest.approx(ratio, abs=0.1)
        positions = np.arange(8) * seconds / 10
        levels = [echo[round(t * RATE) :][: round(0.05 * seconds * RATE)].mean() for t in positions]
        slope = np.polyfit(positions, 10 * np.log10(levels), 1)[0]
        assert slope == pytest.approx(-60 / seconds, rel=0.1)


def test_a_room_keeps_the_level(music):
    for severity in SEVERITIES:
        assert decibels(done("reverberation", music, severity)) == pytest.approx(
            decibels(music), abs=0.1
        )


def test_mu_law_as_a_loop():
    """At 8 kHz nothing is resampled: |error| of a sample is at most that of its step."""
    wave = tone(200, 0.1, 0.8, sample_rate=8000)
    for severity, bits in ((1, 8), (5, 4)):
        half = 2 ** (bits - 1)
        result = done("mu_law", wave, severity, sample_rate=8000)
        for sample, decoded in zip(wave.tolist(), result.tolist(), strict=True):
            y = math.copysign(math.log(1 + 255 * abs(sample)) / math.log(256), sample)
            step = min(max(math.floor(y * half), -half), half - 1)
            middle = (step + 0.5) / half
            wanted = math.copysign((256 ** abs(middle) - 1) / 255, middle)
            assert decoded == pytest.approx(wanted, abs=1e-6)
    assert len(np.unique(done("mu_law", wave, 5, sample_rate=8000))) <= 16


def test_a_telephone_line_ends_at_four_kilohertz(music):
    whole = music + tone(6000, level=0.1)
    decoded = abs(np.fft.rfft(done("mu_law", whole, 1)))
    assert decoded[5900:6100].max() < 0.01 * abs(np.fft.rfft(whole))[5900:6100].max()


@pytest.mark.parametrize("name", ["mp3", "vorbis"])
@pytest.mark.parametrize("sample_rate", [8000, 16_000, 22_050, 44_100])
def test_codecs_do_not_move_the_clip(name, sample_rate, music):
    pytest.importorskip("soundfile")
    for severity in SEVERITIES:
        decoded = done(name, music, severity, sample_rate=sample_rate)
        product = np.fft.irfft(np.fft.rfft(decoded) * np.conj(np.fft.rfft(music)))
        assert int(product.argmax()) == 0
        assert np.corrcoef(decoded, music)[0, 1] > 0.8


@pytest.mark.parametrize(
    ("name", "sample_rate"),
    [
        pytest.param("mp3", 8000, id="mp3 at 8 kHz"),
        pytest.param("mp3", 11_025, id="mp3 at 11 kHz"),
        pytest.param("mp3", 12_000, id="mp3 at 12 kHz"),
        pytest.param("mp3", 16_000, id="mp3 at 16 kHz"),
        pytest.param("vorbis", 8000, id="vorbis at 8 kHz"),
        pytest.param("band_limit", 8000, id="band at 8 kHz"),
        pytest.param("mu_law", 8000, id="mu-law at 8 kHz"),
    ],
)
def test_each_severity_is_worse_than_the_one_before(name, sample_rate, music, rng):
    pytest.importorskip("soundfile")
    music = music + rng.normal(0, 0.05, RATE).astype(np.float32)
    errors = [
        np.square(done(name, music, severity, sample_rate=sample_rate) - music).mean()
        for severity in SEVERITIES
    ]
    assert all(b > 1.02 * a for a, b in itertools.pairwise(errors)), errors


def test_a_rate_that_mp3_does_not_have():
    pytest.importorskip("soundfile")
    with pytest.raises(DataError, match="MP3 cannot be written at 12345"):
        done("mp3", tone(300), 1, sample_rate=12_345)


@pytest.mark.data
def test_real_notes():
    home = folder_from("MENTEE_DATA") / "philharmonia"
    examples = open_examples(str(home), split="validation", limit=6)
    rows = np.arange(6)
    clean = examples.read(rows)
    for name in CORRUPTIONS["audio"]:
        errors = []
        for severity in (1, 5):
            result = corrupt(examples, name, severity).read(rows)
            pairs = list(zip(result, clean, strict=True))
            assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)
            errors.append(np.mean([float((a - b).abs().mean()) for a, b in pairs]))
        assert 0 < errors[0] < errors[1]
