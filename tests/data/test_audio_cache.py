from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mentee.data import audio, open_examples
from mentee.data.audio import EncodedClips
from mentee.data.payload import FolderFiles, ReadOptions

pytest.importorskip("soundfile", reason="audio needs soundfile")

Wav = Callable[..., Path]


def _all(examples: Any) -> list[np.ndarray]:
    return [clip.numpy() for clip in examples.read(np.arange(len(examples)))]


def _count(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    plain = audio.decode
    monkeypatch.setattr(
        audio,
        "decode",
        lambda data, sample_rate, name, notes: (seen.append(name), plain(data, sample_rate, name))[
            1
        ],
    )
    return seen


def test_clips_are_decoded_once_for_all_runs(
    wav: Wav, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = _count(monkeypatch)
    for i in range(4):
        path = wav(f"cat/{i}.wav", 50 + i)
    root = path.parents[1]
    first = _all(open_examples(root))
    assert sorted(seen) == [f"cat/{i}.wav" for i in range(4)]
    again = open_examples(root)
    for a, b in zip(_all(again), first, strict=True):
        np.testing.assert_array_equal(a, b)
    assert _all(open_examples(root, limit=1))[0].size in range(50, 54)
    assert len(seen) == 4
    assert again.load()

    _all(open_examples(root, sample_rate=8_000))
    assert len(seen) == 8
    wav("cat/2.wav", 60)
    assert [len(clip) for clip in _all(open_examples(root))] == [50, 51, 60, 53]
    assert len(seen) == 12
    assert len(list((tmp_path / "decoded" / "audio").iterdir())) == 3 * 2


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_cache_is_written_again(
    damage: str, wav: Wav, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = wav("cat/a.wav", 90).parents[1]
    first = _all(open_examples(root))
    seen = _count(monkeypatch)
    for file in (tmp_path / "decoded" / "audio").iterdir():
        if damage == "cut":
            file.write_bytes(file.read_bytes()[:-4])
        elif "offsets" in file.name:
            file.unlink()
    np.testing.assert_array_equal(_all(open_examples(root))[0], first[0])
    assert len(seen) == 1
    _all(open_examples(root))
    assert len(seen) == 1


def test_a_small_part_is_kept_in_memory_only(
    wav: Wav, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for i in range(5):
        path = wav(f"cat/{i}.wav")
    part = open_examples(path.parents[1]).take([3, 0])
    seen = _count(monkeypatch)
    assert part.load()
    part.read(np.array([1]))
    part.read(np.array([0, 1]))
    assert sorted(seen) == ["cat/0.wav", "cat/3.wav"]
    assert not (tmp_path / "decoded").exists()


def test_no_room(wav: Wav, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = wav("a.wav", 30)
    wav("b.wav", 40)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MENTEE_CACHE", str(tmp_path / "file"))
    for memory, loaded in ((200, True), (100, False)):
        names = ["a.wav", "b.wav"]
        files, options = FolderFiles(path.parent, names), ReadOptions("clips")
        clips = EncodedClips(files, names, options, memory=memory)
        with pytest.warns(UserWarning, match=r"not cached.* cannot write .*MENTEE_CACHE may name"):
            assert clips.load(np.arange(2)) is loaded
        assert clips.ready(np.arange(2))
        assert [len(clip) for clip in clips.read(np.array([1, 0]))] == [40, 30]


def test_no_room_on_the_disk(wav: Wav, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = wav("cat/a.wav", 1000).parents[1]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3999))
    with pytest.warns(UserWarning, match="more than half of the free space"):
        assert len(_all(open_examples(root))[0]) == 1000
    assert not list((tmp_path / "decoded").rglob("*.npy"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4000))
    _all(open_examples(root))
    assert list((tmp_path / "decoded").rglob("*.npy"))


def test_examples_can_be_sent_to_a_process(wav: Wav) -> None:
    root = wav("cat/a.wav", 10_000).parents[1]
    examples = open_examples(root)
    examples.load()
    sent = pickle.dumps(examples)
    assert len(sent) < 2_000
    np.testing.assert_array_equal(_all(pickle.loads(sent))[0], _all(examples)[0])
