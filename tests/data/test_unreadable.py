"""Images and clips that cannot be read: told all at once, or left out and counted."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mentee.data import examples, open_examples
from mentee.data.inspection import inspect
from mentee.errors import DataError

Make = Callable[..., Path]


def _damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    broken = {"text": b"this is no image", "empty": b"", "cut": data[:-200]}
    path.write_bytes(broken[how])


@pytest.fixture
def photographs(tmp_path: Path) -> Callable[[int], Path]:
    """JPEG files `cat/0.jpg` ... below the root; of several sizes, so that none are kept."""

    def make(count: int, *, one_size: bool = False) -> Path:
        rng = np.random.default_rng(0)
        for i in range(count):
            path = tmp_path / "images" / "cat" / f"{i:02}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = rng.integers(0, 256, (24, 24 if one_size else 24 + i, 3), dtype=np.uint8)
            Image.fromarray(noise).save(path)
        return tmp_path / "images"

    return make


@pytest.mark.parametrize("one_size", [True, False], ids=["kept in memory", "decoded each time"])
def test_all_damaged_images_are_told_at_once(
    photographs: Callable[..., Path], one_size: bool
) -> None:
    root = photographs(40, one_size=one_size)
    for i, how in ((1, "text"), (7, "empty"), (20, "cut"), (39, "text")):
        _damage(root / "cat" / f"{i:02}.jpg", how)
    examples = open_examples(root)
    with pytest.raises(DataError) as raised:
        inspect(examples)
    message = str(raised.value)
    assert message.startswith(
        f"4 of 40 files of {root} [train] cannot be read: 'cat/01.jpg' (it is no"
    )
    for name, reason in (("07", "it is empty"), ("20", "image file is truncated"), ("39", "")):
        assert f"'cat/{name}.jpg' ({reason}" in message
    assert message.endswith("; replace them, or leave them out with data.unreadable: skip")
    with pytest.raises(DataError, match="4 of 40 files"):
        open_examples(root).read(np.array([1]))  # as an evaluation of other data does


def test_many_are_told_by_a_few_and_a_count(photographs: Callable[..., Path]) -> None:
    root = photographs(30)
    for i in range(25):
        _damage(root / "cat" / f"{i:02}.jpg", "empty")
    with pytest.raises(
        DataError, match=r"25 of 30 files .*'cat/04.jpg' \([^,]* and 20 more; replace"
    ):
        inspect(open_examples(root))


@pytest.mark.parametrize("one_size", [True, False], ids=["kept in memory", "decoded each time"])
def test_damaged_images_can_be_left_out(photographs: Callable[..., Path], one_size: bool) -> None:
    whole = open_examples(photographs(6, one_size=one_size))
    before = [np.asarray(each) for each in whole.read(np.arange(6))]
    root = photographs(6, one_size=one_size)
    for i, how in ((0, "text"), (4, "cut")):
        _damage(root / "cat" / f"{i:02}.jpg", how)
    examples = open_examples(root, unreadable="skip")
    assert examples.ids == tuple(f"cat/{i:02}.jpg" for i in (1, 2, 3, 5))
    assert examples.labels is not None
    assert examples.labels.tolist() == [0] * 4
    for got, i in zip(examples.read(np.arange(4)), (1, 2, 3, 5), strict=True):
        np.testing.assert_array_equal(got, before[i])
    (note,) = inspect(examples)
    assert note.startswith(
        f"left out of {root} [train]: 2 of 6 images that cannot be read: 'cat/00.jpg' (it is no"
    )


def test_in_a_table_and_with_metadata(photographs: Callable[..., Path], tmp_path: Path) -> None:
    import datasets

    root = photographs(4)
    _damage(root / "cat" / "02.jpg", "cut")
    files = [path.read_bytes() for path in sorted((root / "cat").iterdir())]
    table = datasets.Dataset.from_dict({"image": [*files, None], "label": [0, 1, 2, 3, 4]})
    with pytest.raises(DataError, match=r"2 of 5 files of .*'train/2' \(image file is truncated"):
        inspect(open_examples(table))
    examples = open_examples(table, unreadable="skip")
    assert examples.ids == ("train/0", "train/1", "train/3")
    assert examples.labels is not None
    assert examples.labels.tolist() == [0, 1, 3]

    names = ["cat/00.jpg", "gone.jpg", "cat/02.jpg", "cat/03.jpg"]
    lines = [f"{name},{kind}" for name, kind in zip(names, "abcd", strict=True)]
    (root / "metadata.csv").write_text("\n".join(["file_name,label", *lines]))
    with pytest.raises(DataError, match=r"1 files of .* do not exist, such as 'gone.jpg'"):
        open_examples(root)
    examples = open_examples(root, unreadable="skip")
    assert examples.ids == ("cat/00.jpg", "cat/03.jpg")
    assert "'gone.jpg' (No such file or directory)" in examples.left_out[0]


def test_damaged_clips_are_told_at_once_or_left_out(wav: Make) -> None:
    root = wav("a/0.wav").parents[1]
    for i in range(1, 6):
        wav(f"a/{i}.wav")
    whole = open_examples(root).read(np.arange(6))
    for i, data in ((1, b""), (3, b"RIFF but no more"), (5, b"text")):
        (root / "a" / f"{i}.wav").write_bytes(data)
    with pytest.raises(DataError, match=r"3 of 6 files .*'a/1.wav' .*'a/3.wav' .*'a/5.wav'"):
        inspect(open_examples(root))
    for _ in range(2):  # the second time from the cache
        examples = open_examples(root, unreadable="skip")
        assert examples.ids == ("a/0.wav", "a/2.wav", "a/4.wav")
        for got, i in zip(examples.read(np.arange(3)), (0, 2, 4), strict=True):
            np.testing.assert_array_equal(got, whole[i])
    with pytest.raises(DataError, match="3 of 6 files"):
        inspect(open_examples(root))


def test_nothing_that_can_be_read_is_one_sentence(photographs: Callable[..., Path]) -> None:
    root = photographs(3)
    for i in range(3):
        _damage(root / "cat" / f"{i:02}.jpg", "text")
    with pytest.raises(DataError, match="3 of 3 files"):
        inspect(open_examples(root))
    with pytest.raises(DataError, match="is empty: give it at least one example"):
        open_examples(root, unreadable="skip")


def test_of_large_sources_a_part_is_read(
    monkeypatch: pytest.MonkeyPatch, photographs: Callable[..., Path]
) -> None:
    root = photographs(30)
    _damage(root / "cat" / "04.jpg", "text")
    monkeypatch.setattr(examples, "INSPECTED", 10)
    assert inspect(open_examples(root)) == []
    _damage(root / "cat" / "03.jpg", "text")
    with pytest.raises(DataError, match=r"the image 'cat/03.jpg' cannot be decoded"):
        inspect(open_examples(root))


def test_empty_texts_are_counted(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text('text,label\nfine,0\n"",1\n"  ",1\n')
    examples = open_examples(tmp_path)
    assert inspect(examples) == [f"{examples.name}: 2 of 3 texts are empty, such as 'train/1'"]


def test_constant_images_are_counted_in_files_and_arrays(folder: Make) -> None:
    root = folder("a/0.png", "a/1.png")
    flat = io.BytesIO()
    Image.new("RGB", (5, 6), (9, 8, 7)).save(flat, "PNG")
    (root / "a" / "1.png").write_bytes(flat.getvalue())
    assert inspect(open_examples(root)) == [
        f"{root} [train]: 1 of 2 images are of one color, such as 'a/1.png'"
    ]
    array = np.zeros((3, 4, 4, 3), np.uint8)
    array[0, 1] = 5
    assert inspect(open_examples({"image": array})) == [
        "arrays: 2 of 3 images are of one color, such as 'train/1'"
    ]
    large = np.zeros((2, 40, 40, 3), np.uint8)
    large[0, 5, 9] = 1  # no other pixel tells
    assert inspect(open_examples({"image": large})) == [
        "arrays: 1 of 2 images are of one color, such as 'train/1'"
    ]
