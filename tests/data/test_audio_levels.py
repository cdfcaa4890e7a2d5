"""How loud clips are: what goes beyond full scale, cancels out, or is next to nothing."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mentee.data import open_examples
from mentee.errors import DataError

soundfile = pytest.importorskip("soundfile", reason="audio needs soundfile")

N = 400
TONE = np.sin(np.arange(N) / 5)


def _file(path: Path, wave: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(wave), options.pop("rate", 16_000), **options)
    return path


def _read(root: Path) -> np.ndarray:
    return open_examples(root, label=False).read(np.array([0]))[0].numpy()


@pytest.mark.parametrize(
    ("name", "wave", "subtype", "expected", "message"),
    [
        pytest.param("a.wav", 3 * TONE, "FLOAT", TONE, "beyond.*: 1, 'a.wav'", id="float"),
        pytest.param("a.aiff", 9 * TONE, "DOUBLE", TONE, "beyond full scale", id="double in AIFF"),
        pytest.param("a.wav", 1.01 * TONE, "FLOAT", TONE, "beyond full scale", id="by little"),
        pytest.param(
            "a.wav",
            np.stack([TONE, -TONE], 1) / 2,
            "PCM_16",
            TONE / 2,
            "opposite phases.*louder channel: 1, 'a.wav'",
            id="opposite phases",
        ),
        pytest.param(
            "a.flac",
            np.stack([0.5 * TONE, -0.52 * TONE], 1),
            "PCM_24",
            -0.52 * TONE,
            "opposite phases",
            id="nearly opposite, FLAC",
        ),
        pytest.param(
            "a.wav",
            np.stack([0.3 * TONE, -0.1 * TONE, -0.1 * TONE, -0.1 * TONE], 1),
            "FLOAT",
            0.3 * TONE,
            "opposite phases",
            id="four channels",
        ),
        pytest.param("a.wav", 0 * TONE, "PCM_16", 0 * TONE, "silent .*: 1, 'a.wav'", id="zeros"),
        pytest.param("a.wav", 0 * TONE + 0.25, "PCM_U8", 0 * TONE + 0.25, "silent", id="DC only"),
        pytest.param("a.wav", TONE * 4e-5, "FLOAT", TONE * 4e-5, "below 0.001 of full", id="quiet"),
    ],
)  # fmt: skip
def test_what_is_changed_or_odd_is_named(
    name: str, wave: Any, subtype: str, expected: Any, message: str, tmp_path: Path
) -> None:
    _file(tmp_path / "clips" / name, wave, subtype=subtype)
    step = 1 / 127 if subtype == "PCM_U8" else 2**-14
    for _ in range(2):  # the second time from the cache
        with pytest.warns(UserWarning, match=message) as lines:
            got = _read(tmp_path / "clips")
        assert len(lines) == 1
        assert np.abs(got - np.clip(expected, -1, 1)).max() < step


@pytest.mark.parametrize(
    ("wave", "subtype"),
    [
        pytest.param(TONE, "PCM_U8", id="8 bits unsigned"),
        pytest.param(TONE, "PCM_24", id="24 bits"),
        pytest.param(TONE, "PCM_32", id="32 bits"),
        pytest.param(TONE, "DOUBLE", id="double"),
        pytest.param(np.stack([TONE, 0 * TONE], 1), "PCM_16", id="one channel is silent"),
        pytest.param(np.stack([TONE, -0.5 * TONE], 1), "PCM_16", id="channels that differ"),
        pytest.param(TONE / 2000, "PCM_16", id="quiet, but stored in 16 bits"),
        pytest.param(TONE[:2], "PCM_16", id="two samples"),
    ],
)
def test_other_widths_and_channels_are_right_without_a_word(
    wave: Any, subtype: str, tmp_path: Path
) -> None:
    _file(tmp_path / "clips/a.wav", wave, subtype=subtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = _read(tmp_path / "clips")
    step = 1 / 127 if subtype == "PCM_U8" else 2**-14
    assert np.abs(got - (wave if wave.ndim == 1 else wave.mean(1))).max() < step


def test_a_lossy_file_that_goes_a_little_beyond_is_clipped(tmp_path: Path) -> None:
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile writes no MP3")
    square = np.sign(np.sin(np.arange(8000) / 9))
    path = _file(tmp_path / "clips/a.mp3", square)
    decoded = soundfile.read(path, dtype="float32")[0]
    assert 1 < np.abs(decoded).max() < 2
    assert np.abs(_read(tmp_path / "clips") - decoded.clip(-1, 1)).max() <= 2**-15


def _lying_flac() -> bytes:
    """A FLAC file of a few samples whose header promises 2³⁶."""
    file = io.BytesIO()
    soundfile.write(file, TONE, 16_000, format="FLAC")
    data = bytearray(file.getvalue())
    head = int.from_bytes(data[18:26], "big") | (1 << 36) - 1
    data[18:26] = head.to_bytes(8, "big")
    return bytes(data)


def _wav(rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, TONE, 16_000, format="WAV")
    data = bytearray(file.getvalue())
    data[24:28] = rate.to_bytes(4, "little")
    return bytes(data)


def _other_units(scale: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, TONE * scale, 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(_other_units(32000), "reaches 319.*another unit", id="16-bit units"),
        pytest.param(_other_units(1e30), r"reaches .*e\+29, and full scale is 1", id="huge"),
        pytest.param(_other_units(np.nan), "samples that are no finite numbers", id="nan"),
        pytest.param(_other_units(1e39), "samples that are no finite numbers", id="inf"),
        pytest.param(_lying_flac(), "68,719,476,735 samples.* more than", id="promise"),
        pytest.param(_wav(2**31 - 1), "2,147,483,647 a second, more than", id="rate too high"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/a.wav").write_bytes(content)
    with pytest.raises(DataError, match=f"'a.wav'.*{message}"):
        _read(tmp_path / "clips")


def test_several_are_counted(tmp_path: Path) -> None:
    for i in range(5):
        _file(tmp_path / f"clips/{i}.wav", (2 + i) * TONE, subtype="FLOAT")
    with pytest.warns(UserWarning, match=r"peak: 5, '0.wav', '1.wav', '2.wav' and 2 more$"):
        open_examples(tmp_path / "clips", label=False).load()


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        pytest.param(np.array([0.5, np.inf]), "no finite numbers; mend it", id="inf"),
        pytest.param(np.array([0.5, 20000]), "reaches 20000; .*divide all clips", id="units"),
        pytest.param(np.array([1, 255], np.uint8), "is uint8; expected floating", id="uint8"),
        pytest.param(np.array([1, 2], np.int32), "is int32; expected floating", id="int32"),
        pytest.param(np.array([True, False]), "is bool; expected floating", id="bool"),
        pytest.param(np.zeros(0), r"has shape \(0,\)", id="empty"),
    ],
)
def test_arrays_of_samples_that_are_refused(clip: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_examples({"audio": [TONE, clip], "sample_rate": 16_000})


@pytest.mark.parametrize(
    "clip", [np.zeros(9, np.float32), np.full(9, -3, np.int16)], ids=["zeros", "DC of int16"]
)
def test_silent_arrays_are_named(clip: Any) -> None:
    with pytest.warns(UserWarning, match="silent .*: 1, 'train/1'"):
        examples = open_examples({"audio": [TONE, clip], "sample_rate": 16_000})
    assert (
        examples.read(np.array([1]))[0].tolist() == (clip / (1 if clip[0] == 0 else 2**15)).tolist()
    )
