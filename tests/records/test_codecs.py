"""Types, principal components and largest logits: what is exact, and how far off the rest is."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mentee import models
from mentee.data import open_examples
from mentee.errors import DataError
from mentee.losses.kd import kl
from mentee.records.codecs import (
    STORED,
    decode,
    encode,
    pack,
    scales_of,
    unpack,
)
from mentee.records.columns import Column, with_components, with_largest
from mentee.records.statistics import fit_basis, load_bases, save_bases

MEAN = Column(layer="stages.0", reduction="mean", shape=(16,), layer_shape=(16, 4, 4))
CELLS = Column(layer="stages.0", reduction="2x2 cells", shape=(64,), layer_shape=(16, 4, 4))
LOGITS = Column(layer="logits", reduction="", shape=(1000,), layer_shape=(1000,))
ALL = (MEAN, CELLS, LOGITS)
WIDE = Column(
    layer="embedding", reduction="", shape=(6, 2), layer_shape=(6, 2), form="pca", count=3
)


def vectors(n, d=12, rank=12, seed=0):
    draw = np.random.default_rng(seed)
    scaled = draw.standard_normal((n, rank)) * 2.0 ** -np.arange(rank)
    return (scaled @ draw.standard_normal((rank, d)) + 5).astype(np.float32)


@pytest.mark.parametrize("n", [7, 12, 200])
def test_directions_are_those_of_the_singular_vectors(n):
    x = vectors(n)
    basis = fit_basis(x, 3, "x")
    centered = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    _, values, right = np.linalg.svd(centered, full_matrices=False)
    cosines = np.abs((basis.components.numpy() * right[:3]).sum(1))
    np.testing.assert_allclose(cosines, 1, rtol=1e-5)
    assert basis.explained == pytest.approx((values[:3] ** 2).sum() / (values**2).sum())
    np.testing.assert_allclose(basis.mean, x.mean(0), rtol=1e-6)


def test_what_is_read_is_the_mean_and_the_components_and_no_nearer_plane_exists():
    x = vectors(60)
    basis = fit_basis(x, 3, "embedding")
    stored = pack([WIDE], x, {"embedding": basis})
    assert stored.shape == (60, 3)
    found = unpack([WIDE], torch.from_numpy(stored), {"embedding": basis})["embedding"]
    assert found.shape == (60, 6, 2)
    lost = ((found.flatten(1).numpy() - x) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    assert lost == pytest.approx(1 - basis.explained, rel=1e-3)


@pytest.mark.parametrize("n", [8, 40])
def test_vectors_of_fewer_directions_come_back_as_they_are(n):
    x = vectors(n, rank=2)
    basis = fit_basis(x, 5, "embedding")
    wide = WIDE.model_copy(update={"count": 5})
    stored = pack([wide], x, {"embedding": basis})
    found = unpack([wide], torch.from_numpy(stored), {"embedding": basis})["embedding"]
    np.testing.assert_allclose(found.flatten(1), x, rtol=1e-4, atol=1e-4)
    assert basis.explained == pytest.approx(1)
    same = fit_basis(np.ones((9, 4), np.float32), 2, "x")
    assert torch.isfinite(same.components).all()


def test_too_few_examples_have_not_so_many_directions():
    with pytest.raises(DataError, match=r"--pca 5 for x: 5 examples have 4 principal directions"):
        fit_basis(vectors(5), 5, "x")


def test_directions_are_kept_in_a_file(tmp_path):
    basis = fit_basis(vectors(20), 3, "embedding")
    save_bases(tmp_path / "b.safetensors", {"embedding": basis})
    found = load_bases(tmp_path / "b.safetensors", [WIDE, LOGITS])["embedding"]
    assert torch.equal(found.components, basis.components)
    assert (torch.equal(found.mean, basis.mean), found.explained) == (True, basis.explained)
    with pytest.raises(DataError, match="of other columns than embedding"):
        load_bases(tmp_path / "b.safetensors", [WIDE.model_copy(update={"count": 2})])
    (tmp_path / "b.safetensors").write_bytes(b"x")
    with pytest.raises(DataError, match="cannot be read"):
        load_bases(tmp_path / "b.safetensors", [WIDE])


def stored_logits(z, k, dtype="float32"):
    """Logits as a record gives them again."""
    column = LOGITS.model_copy(update={"shape": (z.shape[1],)})
    columns = with_largest([column], k, dtype)
    stored = pack(columns, z.numpy(), {})
    scales = np.full(stored.shape[1], 0.05)
    scales[k : k * (1 + columns[0].digits)] = 1.0
    scales = tuple(scales) if dtype == "int8" else None
    ids = [str(i) for i in range(len(z))]
    back = decode(encode(stored, dtype, ids, scales), dtype, scales and torch.tensor(scales))
    return unpack(columns, back, {})["logits"]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
@pytest.mark.parametrize("classes", [10, 300, 5000])
def test_as_many_as_there_are_classes_is_all_of_them(classes, dtype):
    z = torch.randn(7, classes)
    found = stored_logits(z, classes, dtype)
    step = {"float32": 0.0, "float16": 2**-10, "bfloat16": 2**-7, "int8": 0.026}[dtype]
    torch.testing.assert_close(found, z, rtol=0 if dtype == "int8" else step, atol=step)
    assert torch.equal(found, z) == (dtype == "float32")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_largest_are_exact_and_so_is_their_mass(dtype):
    z = torch.randn(20, 1000).half().float() * 3
    found = stored_logits(z, 10, dtype)
    values, classes = z.topk(10)
    assert torch.equal(found.gather(1, classes), values.to(getattr(torch, dtype)).float())
    near = 1e-5 if dtype == "float32" else 1e-2
    torch.testing.assert_close(
        found.softmax(1).gather(1, classes), z.softmax(1).gather(1, classes), rtol=near, atol=0
    )
    torch.testing.assert_close(found.logsumexp(1), z.logsumexp(1), rtol=near, atol=0)
    rest = found.scatter(1, classes, float("nan"))
    spread = [row[~row.isnan()].unique() for row in rest]
    assert all(len(each) == 1 for each in spread), "one number for all the others"


def test_equal_logits_are_kept_in_the_order_of_the_classes():
    z = torch.zeros(1, 6)
    column = with_largest([LOGITS.model_copy(update={"shape": (6,)})], 2, "float32")[0]
    stored = pack([column], z.numpy(), {})[0]
    np.testing.assert_allclose(stored, [0, 0, 0, 1, np.log(4)], rtol=1e-6)
    assert torch.allclose(unpack([column], torch.from_numpy(stored[None]), {})["logits"], z)


def like_imagenet(n, seed=0):
    """Logits of 1,000 classes as a classifier's are: a few plausible classes, a broad rest."""
    draw = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 1000, generator=draw) * 1.2
    peaks = torch.randint(1000, (n, 6), generator=draw)
    heights = 9 - 1.2 * torch.arange(6) + torch.randn(n, 6, generator=draw)
    return z.scatter_add(1, peaks, heights)


def off(student, teacher, k, t):
    """By what share the loss, and its gradient by the student's logits, are off."""
    found = stored_logits(teacher, k, "float16")
    exact, near = (float(kl(student, z, temperature=float(t)).mean()) for z in (teacher, found))
    p, ours, q = ((z / t).softmax(1) for z in (teacher, found, student))
    return abs(near / exact - 1), float((ours - p).norm() / (p - q).norm())


@pytest.mark.parametrize(
    ("k", "t", "loss", "gradient"),
    [(10, 1, 0.02, 0.02), (100, 1, 0.01, 0.01), (100, 2, 0.2, 0.12), (200, 4, 0.35, 0.35)],
)
def test_of_a_thousand_classes_the_loss_is_near_at_low_temperatures(k, t, loss, gradient):
    found = off(torch.randn(256, 1000) * 0.1, like_imagenet(256), k, t)
    assert found[0] <= loss
    assert found[1] <= gradient


def test_of_a_thousand_classes_ten_are_too_few_for_a_high_temperature():
    """What docs/records.md warns of: there the spread of the small logits is what is learned."""
    assert off(torch.randn(256, 1000) * 0.1, like_imagenet(256), 10, 4)[1] > 0.4


@pytest.mark.data
def test_of_a_real_teacher_of_ten_classes(cifar10, teacher_weights):
    test = open_examples(str(cifar10), split="test")
    network = models.build("resnet20-cifar", classes=10)
    network.load_state_dict(load_file(teacher_weights))
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    x = test.read(np.arange(256)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        z = network.eval()(
            (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        )
    fresh = torch.randn(256, 10) * 0.1
    for k, t, loss, gradient in [(3, 1, 0.01, 0.03), (3, 4, 0.2, 0.2), (5, 4, 0.08, 0.08)]:
        found = off(fresh, z, k, t)
        assert found[0] <= loss
        assert found[1] <= gradient


def forms(columns):
    return [(each.form, each.count, each.stored) for each in columns]


def test_a_number_is_for_all_that_has_more_numbers_but_the_logits():
    assert forms(with_components(ALL, 16)) == [
        ("whole", 0, 16),
        ("pca", 16, 16),
        ("whole", 0, 1000),
    ]
    assert forms(with_components(ALL, 8))[0] == ("pca", 8, 8)


def test_a_place_or_a_column_has_a_number_of_its_own():
    chosen = with_components(ALL, {"stages.0 | 2x2 cells": 20, "logits": 30})
    assert forms(chosen) == [("whole", 0, 16), ("pca", 20, 20), ("pca", 30, 30)]
    assert forms(with_components(ALL, {"stages.0": 5}))[:2] == [("pca", 5, 5), ("pca", 5, 5)]


@pytest.mark.parametrize(
    ("pca", "text"),
    [
        (64, r"--pca 64: nothing has more numbers \(stages.0 | mean 16, .*cells 64\)"),
        (0, "--pca 0: "),
        ({"stages.0": 16}, r"stages.0 | mean has 16 numbers, expected 1 to 15"),
        ({"stage.0": 4}, r"nothing is read at 'stage.0'; did you mean 'stages.0'"),
    ],
)
def test_where_nothing_would_be_saved_it_is_said(pca, text):
    with pytest.raises(DataError, match=text):
        with_components(ALL, pca)


@pytest.mark.parametrize(
    ("dtype", "digits"), [("float32", 1), ("float16", 1), ("bfloat16", 2), ("int8", 2)]
)
def test_a_class_has_as_many_digits_as_the_type_needs(dtype, digits):
    top = with_largest(ALL, 10, dtype)[2]
    assert (top.digits, top.stored) == (digits, 10 * (1 + digits) + 1)
    assert with_largest(ALL, 1000, dtype)[2].stored == 1000 * (1 + digits)


def test_logits_that_are_not_read_or_not_there_are_not_kept():
    with pytest.raises(DataError, match=r"--top-k 3: no method reads the logits as they are, only"):
        with_largest((MEAN, CELLS), 3, "float16")
    for k in (0, 1001):
        with pytest.raises(DataError, match=rf"--top-k {k}: there are 1000 logits; expected 1 to"):
            with_largest(ALL, k, "float16")


IDS = [f"x/{i}" for i in range(40)]


def numbers(seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(40, 6)) * np.geomspace(1e-2, 1e2, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("dtype", "relative"), [("float32", 0), ("float16", 2**-11), ("bfloat16", 2**-8)]
)
def test_rounded_to_the_nearest(dtype, relative):
    x = numbers()
    stored = encode(x, dtype, IDS)
    assert stored.dtype == STORED[dtype]
    found = decode(stored, dtype)
    assert found.dtype == torch.float32
    assert (np.abs(found.numpy() - x) <= relative * np.abs(x) + 1e-8).all()


def test_bfloat16_is_that_of_torch():
    x = numbers()
    assert torch.equal(
        decode(encode(x, "bfloat16", IDS), "bfloat16"), torch.from_numpy(x).bfloat16().float()
    )


def test_int8_is_off_by_half_a_step_of_its_own_entry_at_most():
    x = numbers()
    scales = scales_of((), np.abs(x).max(0))
    found = decode(encode(x, "int8", IDS, scales), "int8", torch.tensor(scales)).numpy()
    assert (np.abs(found - x) <= 0.5001 * np.array(scales)).all()
    # a margin of a quarter beyond the sample's largest, and what is beyond that is cut
    beyond = encode(10 * x, "int8", IDS, scales)
    assert np.abs(beyond.astype(int)).max() == 127
    np.testing.assert_allclose(np.array(scales) * 127, 1.25 * np.abs(x).max(0), rtol=1e-4)


def test_an_entry_that_was_always_zero_keeps_a_scale():
    scales = scales_of((), np.array([0.0, 1.0, 8.0]))
    assert scales[0] == scales[2] > scales[1]
    assert min(scales_of((), np.zeros(3))) > 0


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
def test_what_is_no_number_is_named(dtype):
    x = numbers()
    x[3, 2] = np.nan
    with pytest.raises(DataError, match=r"entry 2 of 'x/3' is nan: expected finite numbers"):
        encode(x, dtype, IDS, scales=[1.0] * 6)


def test_what_float16_cannot_hold_is_named():
    x = numbers()
    x[1, 0] = 7e4
    with pytest.raises(DataError, match=r"entry 0 of 'x/1' is 70000, more than float16 holds"):
        encode(x, "float16", IDS)
    assert np.isfinite(decode(encode(x, "bfloat16", IDS), "bfloat16").numpy()).all()
