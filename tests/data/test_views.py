from __future__ import annotations

import hashlib
import pickle
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.data import MODALITIES, build_views, encode, hash_ids, open_examples
from mentee.data.image_views import Crop, crop, one_size
from mentee.errors import DataError
from mentee.types import CLEAN
from tests.processes import ended, start

KEYS = torch.from_numpy(hash_ids([f"id{i}" for i in range(24)]))
CASES = [(kind, name) for kind, modality in MODALITIES.items() for name in modality.views]
TEXTS = ["", "one", "  né  so\tgood ", *(f"w{i} " * (i + 5) + "end" for i in range(21))]


def _images(c: int = 3, side: int = 16) -> torch.Tensor:
    rng = np.random.default_rng(3)
    return torch.from_numpy(rng.integers(0, 256, (len(KEYS), side, side, c), dtype=np.uint8))


def _clips() -> list[torch.Tensor]:
    rng, lengths = np.random.default_rng(3), [40, 99, 100, 101, 350] * 5
    return [torch.from_numpy(rng.uniform(-1, 1, n).astype(np.float32)) for n in lengths[:24]]


def _views(name: str, seed: int = 11, kind: str = "image"):
    options = {"size": 16, "pad": 2, "seconds": 0.1, "sample_rate": 1000, "max_bytes": 64}
    return build_views(name, kind=kind, seed=seed, **options)


def _clean(kind: str) -> torch.Tensor:
    if kind == "image":
        return _images().permute(0, 3, 1, 2).float() / 255
    if kind == "text":
        return encode(TEXTS, 64)
    return torch.stack([torch.nn.functional.pad(clip, (0, 100))[:100] for clip in _clips()])


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_view_depends_on_seed_id_and_view_alone(kind: str, name: str) -> None:
    contents = {"image": list(_images()), "audio": _clips(), "text": TEXTS}[kind]
    views, before, state = _views(name, kind=kind), pickle.dumps(contents), torch.get_rng_state()
    whole = views(contents, KEYS, 4)
    assert torch.equal(torch.get_rng_state(), state)
    order = torch.randperm(len(KEYS))
    assert torch.equal(views([contents[i] for i in order], KEYS[order], 4), whole[order])
    alone = [views(contents[i : i + 1], KEYS[i : i + 1], 4) for i in range(len(KEYS))]
    assert torch.equal(torch.cat(alone), whole)
    assert pickle.dumps(contents) == before
    if kind == "image":
        assert torch.equal(views(torch.stack(contents), KEYS, 4), whole)
    assert torch.equal(views(contents, KEYS, CLEAN), _clean(kind))
    if name == "none":
        assert torch.equal(whole, _clean(kind))
    else:
        assert not torch.equal(views(contents, KEYS, 5), whole)
        assert not torch.equal(_views(name, seed=12, kind=kind)(contents, KEYS, 4), whole)


def test_views_and_fingerprints_are_the_same_in_another_process() -> None:
    code = """
import hashlib
from mentee.data import MODALITIES, open_examples
from tests.data.test_views import KEYS, _images, _views
for name in MODALITIES["image"].views:
    print(name, hashlib.sha256(_views(name)(_images(), KEYS, 4).numpy().tobytes()).hexdigest())
print("digits", open_examples("embedded:digits", limit=50).fingerprint())
"""
    other = dict(line.split() for line in ended(start("-c", code)).splitlines())
    assert other.pop("digits") == open_examples("embedded:digits", limit=50).fingerprint()
    assert list(other) == list(MODALITIES["image"].views)
    for name, digest in other.items():
        out = _views(name)(_images(), KEYS, 4)
        assert hashlib.sha256(out.numpy().tobytes()).hexdigest() == digest, name


@pytest.mark.parametrize("name", MODALITIES["image"].views)
@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("view", [CLEAN, 0, 5])
def test_what_comes_out(name: str, c: int, view: int) -> None:
    images = _images(c)
    before = images.clone()
    out = _views(name)(images, KEYS, view)
    assert out.dtype == torch.float32
    assert out.shape == (24, c, 16, 16)
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= out.min() <= out.max() <= 1
    assert torch.equal(images, before)
    if view == CLEAN or name == "none":
        assert torch.equal(out, images.permute(0, 3, 1, 2).float() / 255)


@pytest.mark.parametrize("name", [name for name in MODALITIES["image"].views if name != "none"])
def test_another_seed_id_or_view_gives_another_image(name: str) -> None:
    images = _images()[:1].expand(len(KEYS), -1, -1, -1)
    views = _views(name)
    first = views(images, KEYS, 4)
    assert len({image.numpy().tobytes() for image in first}) > len(KEYS) / 2
    assert not torch.equal(views(images, KEYS, 5), first)
    assert not torch.equal(_views(name, seed=12)(images, KEYS, 4), first)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 4),
    st.integers(1, 7),
    st.integers(1, 7),
    st.sampled_from([1, 3]),
    st.integers(0, 3),
    st.integers(0, 1000),
)
def test_crop_against_a_loop(b: int, h: int, w: int, c: int, pad: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (b, h, w, c), dtype=np.uint8)
    down, right = rng.integers(0, 2 * pad + 1, (2, b))
    flipped = rng.random(b) < 0.5
    expected = np.zeros_like(pixels)
    for i in range(b):
        for y in range(h):
            for x in range(w):
                from_y = y + down[i] - pad
                from_x = (w - 1 - x if flipped[i] else x) + right[i] - pad
                if 0 <= from_y < h and 0 <= from_x < w:
                    expected[i, y, x] = pixels[i, from_y, from_x]
    got = crop(torch.from_numpy(pixels), down, right, flipped, pad=pad)
    np.testing.assert_array_equal(got, expected)


def test_all_windows_and_both_sides_are_drawn() -> None:
    keys = torch.arange(4000)
    dots = torch.zeros(4000, 3, 3, 1, dtype=torch.uint8)
    dots[:, 1, 0] = 255
    out = Crop(seed=0, pad=1)(dots, keys, 0)[:, 0]
    seen = {tuple(image.nonzero()[0].tolist()) for image in out if image.any()}
    assert seen == {(y, x) for y in range(3) for x in range(3)}
    digits = Crop(seed=0, pad=0, mirror=False)(dots, keys, 0)[:, 0]
    assert digits[:, 1, 0].all()  # never mirrored


def test_images_of_several_sizes_need_a_size() -> None:
    images = [torch.zeros(4, 6, 3, dtype=torch.uint8), torch.zeros(5, 4, 3, dtype=torch.uint8)]
    with pytest.raises(DataError, match=r"several sizes, such as 4×6 and 5×4 .*choose a `size`"):
        one_size(images, None)
    assert one_size(images, 3).shape == (2, 3, 3, 3)


@pytest.mark.parametrize(("h", "w"), [(40, 60), (60, 40), (40, 40), (8, 12)])
def test_the_center_is_what_stays(h: int, w: int) -> None:
    ramp = torch.linspace(0, 255, w).round().to(torch.uint8).expand(1, h, w)[..., None]
    side = min(h, w)
    for margin in (1.0, 1.25):
        out = one_size(ramp, 16, margin=margin)[0, :, :, 0].float()
        # the center of the window lies in the middle of the ramp; it spans side / margin pixels
        assert abs(out.mean() - 127.5) < 5
        span = 255 * side / margin / w
        assert abs((out[0, -1] - out[0, 0]) - span * 15 / 16) < 255 / w + 8


def test_views_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no views 'crop-filp' of image: did you mean 'crop-flip'"):
        build_views("crop-filp", seed=0)
    with pytest.raises(DataError, match="need a `size`, such as 224"):
        build_views("rand-augment", seed=0)
    with pytest.raises(DataError, match="expected size ≥ 1, pad ≥ 0"):
        build_views("crop", seed=0, pad=-1)
    monkeypatch.setitem(sys.modules, "torchvision.transforms", None)
    with pytest.raises(DataError, match=r"pip install 'mentee\[vision\]'"):
        build_views("random-resized-crop", seed=0, size=16)
