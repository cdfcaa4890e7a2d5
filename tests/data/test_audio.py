from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mentee.data import open_examples
from mentee.data.audio_decoding import decode, resample
from mentee.errors import DataError

soundfile = pytest.importorskip("soundfile", reason="audio needs soundfile")

Wav = Callable[..., Path]


def _all(examples: Any) -> list[np.ndarray]:
    return [clip.numpy() for clip in examples.read(np.arange(len(examples)))]


def test_a_file_of_the_wanted_rate_is_read_exactly(wav: Wav) -> None:
    pcm = [0, 1, -1, 32767, -32768, 123]
    got = decode(wav("a.wav", pcm).read_bytes(), 16_000, "a")
    assert got.dtype == np.int16
    assert got.tolist() == pcm


def test_clips_are_float32_between_minus_one_and_one(wav: Wav) -> None:
    path = wav("cat/a.wav", [0, 16384, -32768])
    wav("dog/b.wav", 7)
    examples = open_examples(path.parents[1])
    assert (examples.kind, examples.channels, examples.contents.sample_rate) == ("audio", 1, 16_000)
    assert examples.ids == ("cat/a.wav", "dog/b.wav")
    first, second = _all(examples)
    assert first.dtype == np.float32
    assert first.tolist() == [0, 0.5, -1]
    assert len(second) == 7


def test_channels_are_averaged(wav: Wav, rng: np.random.Generator) -> None:
    pcm = rng.integers(-3000, 3000, (500, 2))
    got = decode(wav("a.wav", pcm).read_bytes(), 16_000, "a")
    assert np.abs(got - pcm.mean(axis=1)).max() <= 0.5


@pytest.mark.parametrize(
    ("ending", "error"), [("flac", 0), ("aiff", 0), ("ogg", 0.1), ("mp3", 0.1)]
)
def test_other_formats(ending: str, error: float, tmp_path: Path) -> None:
    if ending.upper() not in soundfile.available_formats():
        pytest.skip(f"this libsndfile does not write {ending}")
    tone = np.rint(16384 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.int16)
    soundfile.write(tmp_path / f"a.{ending}", tone, 16_000)
    got = decode((tmp_path / f"a.{ending}").read_bytes(), 16_000, "a")
    inner = slice(4000, 12_000)
    assert np.abs(got[inner] - tone[inner].astype(float)).max() / 16384 <= error


@pytest.mark.parametrize("given", [8_000, 22_050, 44_100, 48_000])
def test_another_rate_keeps_a_tone_and_drops_what_is_above(given: int) -> None:
    sample_rate = 16_000
    times = np.arange(given) / given
    low = np.sin(2 * np.pi * 441.7 * times).astype(np.float32)
    changed = resample(low, given, sample_rate)
    assert len(changed) == sample_rate
    there = np.sin(2 * np.pi * 441.7 * np.arange(sample_rate) / sample_rate)
    assert np.abs(changed - there)[500:-500].max() < 2e-3
    if given > 2 * 10_000:
        high = np.sin(2 * np.pi * 10_000 * times).astype(np.float32)
        assert np.abs(resample(high, given, sample_rate))[500:-500].max() < 5e-3


def test_resampling_is_that_of_scipy(rng: np.random.Generator) -> None:
    from scipy.signal import resample_poly

    wave = rng.normal(size=3000).astype(np.float32)
    np.testing.assert_array_equal(resample(wave, 44_100, 16_000), resample_poly(wave, 160, 441))


def test_damaged_files_are_named(wav: Wav, tmp_path: Path) -> None:
    path = wav("cat/a.wav")
    wav("cat/b.wav")
    path.write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"^the audio file 'cat/a.wav' cannot be decoded .*replace"):
        open_examples(path.parents[1]).read(np.array([1]))
    assert not list((tmp_path / "decoded").rglob("*.npy"))
    with pytest.raises(DataError, match="holds no samples"):
        decode(wav("empty.wav", [], root="more").read_bytes(), 16_000, "a")
    soundfile.write(tmp_path / "nan.wav", np.array([np.nan]), 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"'a' .* no finite numbers"):
        decode((tmp_path / "nan.wav").read_bytes(), 16_000, "a")
    gone = open_examples(path.parents[1])
    path.unlink()
    for read in (lambda: gone.contents.raw(0), gone.load):
        with pytest.raises(DataError, match=r"a\.wav cannot be read .*put it back"):
            read()


def test_without_soundfile(wav: Wav, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wav("a.wav").read_bytes()
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(DataError, match=r"need soundfile: pip install 'mentee\[audio\]'"):
        decode(data, 16_000, "a")


def test_a_fingerprint_is_of_the_files(wav: Wav) -> None:
    root = wav("cat/a.wav").parents[1]
    wav("dog/b.wav")
    print_ = open_examples(root).fingerprint()
    assert open_examples(root, sample_rate=8_000).fingerprint() == print_
    other = open_examples(root, classes=["dog", "cat"])
    assert other.fingerprint() != print_
    before = other.fingerprint(labels=False)
    assert before == open_examples(root).fingerprint(labels=False) != print_
    wav("dog/b.wav")
    assert open_examples(root).fingerprint(labels=False) != before


def test_metadata_with_labels_that_are_missing(wav: Wav) -> None:
    root = wav("train/a.wav").parents[1]
    wav("train/b.wav")
    table = "file_name,drums,flute\na.wav,1,\nb.wav,0.5,0.2\n"
    (root / "train" / "metadata.csv").write_text(table)
    examples = open_examples(root, label=["drums", "flute"])
    assert examples.task.name == "multi"
    assert examples.classes == ("drums", "flute")
    assert examples.labels is not None
    assert examples.mask is not None
    assert examples.labels.tolist() == [[1, 0], [0, 0]]
    assert examples.mask.tolist() == [[True, False], [False, True]]
    assert examples.ids == ("train/a.wav", "train/b.wav")


def test_images_beside_audio(wav: Wav, folder: Callable[..., Path]) -> None:
    root = wav("cat/a.wav", root="both").parents[1]
    folder("cat/a.png", root="both")
    with pytest.raises(DataError, match=r"holds 1 images and 1 audio files: say which .* `kind`"):
        open_examples(root)
    assert open_examples(root, kind="audio").ids == ("cat/a.wav",)
    assert open_examples(root, kind="image").ids == ("cat/a.png",)
    with pytest.raises(DataError, match=r"holds no .*csv.* files with texts"):
        open_examples(root, kind="text")
    with pytest.raises(DataError, match=r"channels 3: .* holds audio"):
        open_examples(root, kind="audio", channels=3)
    with pytest.raises(DataError, match="rate 16: expected samples a second"):
        open_examples(root, kind="audio", sample_rate=16)


def test_a_column_of_audio_files(wav: Wav, tmp_path: Path) -> None:
    import datasets

    paths = [wav("a.wav", [1, 2, 3]), wav("b.wav", [4, 5])]
    cells = [{"bytes": path.read_bytes(), "path": None} for path in paths]
    table = datasets.Dataset.from_dict({"audio": cells, "text": ["x", "y"], "label": [1, 0]})
    typed = table.cast_column("audio", datasets.Audio())
    typed.to_parquet(tmp_path / "train.parquet")
    for source in (table, typed, tmp_path / "train.parquet"):
        examples = open_examples(source)
        assert examples.kind == "audio"
        assert [(clip * 2**15).tolist() for clip in _all(examples)] == [[1, 2, 3], [4, 5]]
    assert open_examples(typed, kind="text").read(np.array([1])) == ["y"]


def test_arrays_of_samples(rng: np.random.Generator) -> None:
    clips = rng.uniform(-1, 1, (3, 441))
    examples = open_examples({"audio": clips, "sample_rate": 16_000, "label": [0, 1, 0]})
    np.testing.assert_allclose(np.stack(_all(examples)), clips, rtol=1e-6)
    ragged = {
        "audio": [np.array([0, 16384], np.int16), np.linspace(0, 1, 441, dtype=np.float32)],
        "sample_rate": 44_100,
    }
    assert [len(clip) for clip in _all(open_examples(ragged))] == [1, 160]
    assert _all(open_examples(ragged, sample_rate=44_100))[0].tolist() == [0, 0.5]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"audio": np.zeros((2, 4))}, "has the sample_rate None; expected .* 'sample_rate': 16000"),
        (
            {"audio": np.full((2, 4), 1.5), "sample_rate": 16_000},
            r"clip 'train/0' reaches 1.5; .*divide",
        ),
        (
            {"audio": np.full((2, 4), np.nan), "sample_rate": 16_000},
            "clip 'train/0' holds samples that are no finite numbers; mend it",
        ),
        ({"audio": np.zeros((2, 4, 2)), "sample_rate": 16_000}, r"has shape \(4, 2\); .* mono"),
        (
            {"audio": np.zeros((2, 4), np.int32), "sample_rate": 16_000},
            "is int32; expected floating",
        ),
        ({"audio": [], "sample_rate": 16_000}, "are empty"),
        (
            {"audio": [], "text": []},
            "need one part of 'image', 'audio' and 'text'; they have audio",
        ),
    ],
)
def test_arrays_that_are_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_examples(parts)


@pytest.mark.data
def test_real_notes(real: Callable[[str], Path]) -> None:
    root = real("philharmonia")
    sizes = {"train": 2297, "validation": 358, "test": 664, "test_dynamics": 612}
    parts = {split: open_examples(root, split=split) for split in sizes}
    assert {split: len(part) for split, part in parts.items()} == sizes
    assert len({part.classes for part in parts.values()}) == 1
    assert all(name.startswith("test/") for name in parts["test"].ids)
    assert all(name.startswith("test_dynamics/") for name in parts["test_dynamics"].ids)
    part = parts["test_dynamics"].take(range(0, 612, 60))
    for clip, name in zip(_all(part), part.ids, strict=True):
        wave, sample_rate = soundfile.read(root / name)
        assert abs(len(clip) / 16_000 - len(wave) / sample_rate) < 1e-4
        assert abs(np.square(clip).sum() / 16_000 - np.square(wave).sum() / sample_rate) < 2e-3
