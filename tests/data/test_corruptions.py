"""Every corruption: the same examples, reproducibly worse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mentee.data import MODALITIES, open_examples
from mentee.data.arrays import open_arrays
from mentee.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt, names
from mentee.data.corruptions.payload import Draws
from mentee.data.counter_rng import hash_ids
from mentee.data.examples import make_examples
from mentee.data.payload import InMemory
from mentee.errors import DataError
from mentee.tasks import Labels

IMAGE, AUDIO = CORRUPTIONS["image"], CORRUPTIONS["audio"]
NO_NUMBERS = {  # nothing random in them
    *("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"),
    *("band_limit", "mu_law", "mp3", "vorbis"),
}
N = 24


def smooth(rng, n=N, h=32, w=32, c=3):
    """Images with edges, shades and some detail, neither black nor white."""
    coarse = rng.uniform(40, 215, (n, 5, 5, c)).repeat(-(-h // 5), 1).repeat(-(-w // 5), 2)
    shade = np.linspace(-30, 30, w)[:, None]
    result = coarse[:, :h, :w] + shade + rng.normal(0, 5, (n, h, w, c))
    return result.clip(0, 255).astype(np.uint8)


@pytest.fixture
def images(rng):
    return open_arrays({"image": smooth(rng), "label": np.arange(N) % 4}, rows="test")


def opened(kind, values, labels=None, **about):
    channels = values[0].shape[-1] if kind == "image" else 1
    contents = InMemory(kind, values, channels=channels, **about)
    ids = [f"c/{i}" for i in range(len(values))]
    return make_examples(contents, ids, labels or Labels(), modality=MODALITIES[kind], name=kind)


@pytest.fixture
def clips(rng):
    pytest.importorskip("soundfile")
    time = np.arange(8000) / 16_000
    waves = [
        (
            0.3
            * np.sin(2 * np.pi * rng.uniform(200, 900) * time[: 8000 - 300 * i])
            * np.exp(-4 * time[: 8000 - 300 * i])
            + rng.normal(0, 0.01, 8000 - 300 * i)
        ).astype(np.float32)
        for i in range(6)
    ]
    labels = Labels(np.arange(6) % 2, None, ("a", "b"))
    return opened("audio", waves, labels, sample_rate=16_000)


@pytest.fixture(
    params=[("image", name) for name in IMAGE] + [("audio", name) for name in AUDIO],
    ids=lambda pair: pair[1],
)
def case(request):
    kind, name = request.param
    return request.getfixturevalue("images" if kind == "image" else "clips"), name


def arrays(examples, rows=None):
    rows = np.arange(len(examples)) if rows is None else np.asarray(rows)
    return [item.numpy() for item in examples.read(rows)]


def distance(examples, name, severity):
    pairs = zip(arrays(examples), arrays(corrupt(examples, name, severity)), strict=True)
    return np.mean([np.abs(a.astype(float) - b).mean() for a, b in pairs])


def test_there_are_fifteen_of_images_and_none_of_text():
    assert len(names("image")) == 15
    assert names("audio") == tuple(AUDIO)
    assert names("text") == ()
    with pytest.raises(DataError, match="did you mean 'image'"):
        names("images")


def test_only_the_contents_change(case):
    examples, name = case
    result = corrupt(examples, name, 2)
    assert result.ids == examples.ids
    assert result.classes == examples.classes
    assert (result.keys == examples.keys).all()
    assert (result.labels == examples.labels).all()
    assert (result.kind, result.channels) == (examples.kind, examples.channels)
    assert result.contents.sample_rate == examples.contents.sample_rate
    for severity in SEVERITIES:
        for clean, worse in zip(
            arrays(examples), arrays(corrupt(examples, name, severity)), strict=True
        ):
            assert worse.shape == clean.shape
            assert worse.dtype == clean.dtype
            assert worse.dtype == np.uint8 or abs(worse).max() <= 1
            assert np.isfinite(worse).all()


def test_an_example_does_not_depend_on_its_company(case):
    examples, name = case
    together = arrays(corrupt(examples, name, 4))
    other = corrupt(examples.take([5, 2, 3]), name, 4)
    for position, row in enumerate((5, 2, 3)):
        assert (arrays(other)[position] == together[row]).all()
        assert (arrays(other, [position])[0] == together[row]).all()


def test_the_seed_changes_what_is_random(case):
    examples, name = case
    first, second = (arrays(corrupt(examples, name, 3, seed=seed)) for seed in (0, 1))
    same = all((a == b).all() for a, b in zip(first, second, strict=True))
    assert same == (name in NO_NUMBERS)


def test_the_worst_is_further_from_the_clean_than_the_least(case):
    examples, name = case
    least, worst = distance(examples, name, 1), distance(examples, name, 5)
    assert least > 0
    # the warp's published strengths trade one large move for many small ones: see
    # test_the_warp_grows_more_local
    assert least < worst or name == "elastic_transform"


def test_the_fingerprint_says_what_was_done(images):
    made = [
        images,
        corrupt(images, "fog", 1),
        corrupt(images, "fog", 2),
        corrupt(images, "fog", 1, seed=1),
        corrupt(images, "snow", 1),
        corrupt(corrupt(images, "snow", 1), "fog", 1),
    ]
    assert len({examples.fingerprint() for examples in made}) == len(made)
    assert corrupt(images, "fog", 1).fingerprint() == made[1].fingerprint()
    assert made[1].name.endswith("fog 1")


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (64, 48, 3), (1, 9, 3)])
def test_images_of_any_size_and_color(rng, shape):
    pixels = smooth(rng, 2, *shape)
    examples = opened("image", pixels)
    for name in IMAGE:
        for severity in (1, 5):
            result = corrupt(examples, name, severity).read(np.arange(2))
            assert result.shape == pixels.shape
            assert result.dtype == torch.uint8


def test_images_of_several_sizes(rng):
    pixels = smooth(rng, 3)
    several = opened("image", [image[: 32 - row] for row, image in enumerate(pixels)])
    result = corrupt(several, "shot_noise", 2).read(np.array([2, 0]))
    assert [tuple(item.shape) for item in result] == [(30, 32, 3), (32, 32, 3)]
    one = opened("image", pixels)
    assert (result[1] == corrupt(one, "shot_noise", 2).read(np.array([0]))[0]).all()


def test_names_and_severities_that_do_not_exist(images):
    with pytest.raises(DataError, match="did you mean 'motion_blur'"):
        corrupt(images, "motion_blurr", 1)
    with pytest.raises(DataError, match="of image"):
        corrupt(images, "white_noise", 1)
    for severity in (0, 6):
        with pytest.raises(DataError, match="expected 1, 2, 3, 4 or 5"):
            corrupt(images, "fog", severity)


@pytest.mark.data
def test_photographs(cifar10):
    """On real images the mean error of Gaussian noise is that of its normal distribution."""
    examples = open_examples(str(cifar10), split="test", limit=100)
    clean = examples.read(np.arange(100)).double()
    for name in IMAGE:
        assert not torch.equal(corrupt(examples, name, 1).read(np.arange(100)).double(), clean)
    noisy = corrupt(examples, "gaussian_noise", 1).read(np.arange(100)).double()
    inside = (clean > 60) & (clean < 195)  # six deviations from being cut off
    error = (noisy - clean)[inside]
    assert float(error.std()) == pytest.approx(0.04 * 255, rel=0.02)
    assert abs(float(error.mean())) < 0.1


def test_numbers_are_uniform_and_their_own():
    keys = hash_ids([f"x/{i}" for i in range(200)])
    draws = Draws(0, keys, "noise")
    uniform, normal = draws.uniform(10, 50), draws.normal(500)
    counts, _ = np.histogram(uniform, 20, (0, 1))
    assert abs(counts / 5000 - 1).max() < 0.06
    assert 0 < uniform.min() < uniform.max() < 1
    assert abs(normal.mean()) < 0.01
    assert normal.std() == pytest.approx(1, abs=0.01)
    flat = uniform.reshape(200, -1)
    assert abs(np.corrcoef(flat[:, :-1].ravel(), flat[:, 1:].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(flat[:-1].ravel(), flat[1:].ravel())[0, 1]) < 0.01
    assert (Draws(0, keys, "other").uniform(10, 50) != uniform).all()
    assert np.ptp(Draws(0, keys, "noise").uniform(3, low=-2.0, high=-1.0)) < 1
