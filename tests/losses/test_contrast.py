"""The contrast against loops, against other people's numbers, and at its corners."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from mentee.errors import MenteeError
from mentee.losses.contrast import contrast, log_normalizer
from mentee.losses.negatives import Draw, Negatives
from mentee.memory import Bank
from mentee.representations import unit_norm
from tests.losses import formulas


def vectors(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return unit_norm(torch.randn(*shape, generator=generator, dtype=dtype))


def problem(*, b=5, n=40, m=17, d=6, classes=4, kind="shared", seed=0, count=23):
    """Anchors of both sides, negatives for them, and for each anchor its list of negative rows."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=g, dtype=torch.int32)
    labels[b] = (labels[0] + 1) % classes  # no anchor is without negatives in the whole bank
    banks = (vectors(n, d, seed=seed + 1), vectors(n, d, seed=seed + 2))
    anchors = (vectors(b, d, seed=seed + 3), vectors(b, d, seed=seed + 4))
    own = labels[:b]
    if kind == "exact":
        rows = torch.randint(n, (b, m), generator=g)
        lists = [rows[i].tolist() for i in range(b)]
        draw = Draw(rows, torch.full((b,), float(m)), None, None, count, count / n)
    else:
        rows = None if kind == "whole" else torch.randperm(n, generator=g)[:m]
        taken = range(n) if rows is None else rows.tolist()
        lists = [[j for j in taken if labels[j] != own[i]] for i in range(b)]
        at_hand = torch.tensor([float(len(each)) for each in lists])
        groups = labels if rows is None else labels[rows]
        draw = Draw(rows, at_hand, groups, own, count, count / n)
    positives = (banks[0][:b], banks[1][:b])
    return *anchors, Negatives(positives, banks, draw), lists


def by_loops(student, teacher, negatives, lists, temperature, log_z):
    count, examples = negatives.draw.count, len(negatives.banks[0])
    total = np.zeros(len(student))
    for anchor, side, z in ((student, 1, log_z[0]), (teacher, 0, log_z[1])):
        bank, own = negatives.banks[side].numpy(), negatives.positives[side].numpy()
        for i, rows in enumerate(lists):
            total[i] += formulas.nce(
                anchor[i].detach().numpy(),
                own[i],
                [bank[j] for j in rows],
                temperature,
                math.exp(z),
                count,
                examples,
            )
    return torch.from_numpy(total)


@pytest.mark.parametrize("kind", ["shared", "whole", "exact"])
@settings(deadline=None, max_examples=10)
@given(
    seed=st.integers(0, 999),
    temperature=st.sampled_from([0.03, 0.07, 0.5]),
    chunk=st.sampled_from([1, 7, 100]),
)
def test_equals_the_formula_in_loops(kind, seed, temperature, chunk):
    student, teacher, negatives, lists = problem(kind=kind, seed=seed)
    log_z = torch.tensor([3.1, 2.3], dtype=torch.float64)
    got = contrast(
        student, teacher, negatives=negatives, log_z=log_z, temperature=temperature, chunk=chunk
    )
    expected = by_loops(student, teacher, negatives, lists, temperature, log_z)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["shared", "whole", "exact"])
def test_the_normalizer_equals_the_formula_in_loops(kind):
    student, teacher, negatives, lists = problem(kind=kind)
    got = log_normalizer(student, teacher, negatives=negatives, temperature=0.2, chunk=5)
    for anchor, side, z in ((student, 1, got[0]), (teacher, 0, got[1])):
        bank = negatives.banks[side].numpy()
        expected = formulas.normalizer(
            anchor.numpy(),
            negatives.positives[side].numpy(),
            [[bank[j] for j in rows] for rows in lists],
            0.2,
            negatives.draw.count,
            len(bank),
        )
        assert z.exp().item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["shared", "whole", "exact"])
@pytest.mark.parametrize("temperature", [0.03, 0.1, 1.0])
def test_gradient_of_both_sides(kind, temperature):
    student, teacher, negatives, _ = problem(kind=kind, b=3, n=11, m=7, d=3)
    log_z = torch.tensor([2.0, 2.5], dtype=torch.float64)
    assert gradcheck(
        lambda s, t: contrast(
            s, t, negatives=negatives, log_z=log_z, temperature=temperature, chunk=4
        ),
        (student.requires_grad_(), teacher.requires_grad_()),
    )


@pytest.mark.parametrize("name", ["crd_tau0.1", "crd_tau0.07"])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_published_code(reference, name, seed):
    """Loss, gradients through the heads, normalizers and both banks after the step."""
    z = {
        key: torch.from_numpy(np.asarray(value))
        for key, value in np.load(reference / f"{name}_seed{seed}.npz").items()
    }
    temperature = float(np.float32(name.removeprefix("crd_tau")))  # kept in float32 there
    student = z["in_student"].clone().requires_grad_()
    teacher = z["in_teacher"].clone().requires_grad_()
    s = unit_norm(student @ z["w_student"].T + z["b_student"])
    t = unit_norm(teacher @ z["w_teacher"].T + z["b_teacher"])

    memory = Bank(["m"], torch.arange(200), 24, negatives=64, momentum=0.5)
    memory.stores["m"] = torch.stack([z["bank_student"], z["bank_teacher"]])
    memory.begin(z["in_indices"], 0)
    draw = Draw(z["in_contrast_indices"][:, 1:], torch.full((6,), 64.0), None, None, 64, 64 / 200)
    read = memory.read("m", s, t)
    negatives = Negatives(read.positives, read.banks, draw)

    log_z = log_normalizer(s, t, negatives=negatives, temperature=temperature)
    published = torch.stack([z["z_student"], z["z_teacher"]])
    torch.testing.assert_close(log_z.exp(), published, rtol=1e-9, atol=0)
    loss = contrast(s, t, negatives=negatives, log_z=log_z, temperature=temperature).mean()
    loss.backward()
    memory.write()
    close = {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(loss.detach(), z["loss"], **close)
    torch.testing.assert_close(student.grad, z["grad_student"], **close)
    torch.testing.assert_close(teacher.grad, z["grad_teacher"], **close)
    torch.testing.assert_close(memory.stores["m"][0], z["bank_student_after"], **close)
    torch.testing.assert_close(memory.stores["m"][1], z["bank_teacher_after"], **close)


def test_a_shared_draw_has_the_expectation_of_one_draw_per_anchor():
    """Both estimate K times the mean over the other classes' rows: within 4 standard errors."""
    b, n, count = 4, 60, 20
    labels = torch.arange(n) % 5
    exact, shared = (
        Bank(["m"], labels, 8, negatives=count, draw=kind, seed=3) for kind in ("exact", "shared")
    )
    whole = Bank(["m"], labels, 8, negatives=n, seed=3)
    for memory in (exact, shared, whole):
        memory.stores["m"] = torch.stack([vectors(n, 8, seed=1), vectors(n, 8, seed=2)])
    student, teacher = vectors(b, 8, seed=5), vectors(b, 8, seed=6)
    log_z = torch.tensor([4.0, 4.2], dtype=torch.float64)

    def losses(memory, draws):
        found = []
        for step in range(draws):
            memory.begin(torch.arange(b), step)
            negatives = memory.read("m", student, teacher)
            found.append(contrast(student, teacher, negatives=negatives, log_z=log_z))
        return torch.stack(found)

    # The whole bank is the expectation itself, once its noise is that of K negatives.
    whole.begin(torch.arange(b), 0)
    read = whole.read("m", student, teacher)
    draw = read.draw
    read = Negatives(
        read.positives,
        read.banks,
        Draw(None, draw.at_hand, draw.groups, draw.anchors, count, count / n),
    )
    expectation = contrast(student, teacher, negatives=read, log_z=log_z)
    for memory in (exact, shared):
        drawn = losses(memory, 400)
        error = drawn.std(0) / math.sqrt(len(drawn))
        assert drawn.std(0).min() > 0, "nothing was drawn at random"
        assert ((drawn.mean(0) - expectation).abs() < 4 * error).all()


def test_the_order_of_examples_does_not_matter():
    student, teacher, negatives, _ = problem()
    log_z = torch.zeros(2, dtype=torch.float64)
    whole = contrast(student, teacher, negatives=negatives, log_z=log_z)
    order = torch.tensor([3, 0, 4, 2, 1])
    d, (s, t) = negatives.draw, negatives.positives
    turned = Negatives(
        (s[order], t[order]),
        negatives.banks,
        Draw(d.rows, d.at_hand[order], d.groups, d.anchors[order], d.count, d.noise),
    )
    got = contrast(student[order], teacher[order], negatives=turned, log_z=log_z)
    torch.testing.assert_close(got, whole[order])


def corners(kind, student, teacher, temperature, dtype=torch.float32, **sizes):
    _, _, negatives, _ = problem(kind=kind, b=len(student), d=student.shape[1], **sizes)
    negatives = Negatives(
        tuple(x.float() for x in negatives.positives),
        tuple(x.float() for x in negatives.banks),
        negatives.draw,
    )
    s, t = (x.to(dtype).clone().requires_grad_() for x in (student, teacher))
    us, ut = unit_norm(s), unit_norm(t)
    log_z = log_normalizer(us, ut, negatives=negatives, temperature=temperature)
    loss = contrast(us, ut, negatives=negatives, log_z=log_z, temperature=temperature)
    loss.sum().backward()
    return loss, s.grad, t.grad


@pytest.mark.parametrize("kind", ["shared", "whole", "exact"])
@pytest.mark.parametrize("temperature", [0.02, 0.1, 10.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "what", ["batch of one", "equal rows", "zero rows", "large", "small", "opposite"]
)
def test_finite_at_the_corners(kind, temperature, dtype, what):
    x = vectors(1 if what == "batch of one" else 4, 6, seed=9, dtype=torch.float32)
    student, teacher = {
        "batch of one": (x, x),
        "equal rows": (x[:1].expand(4, -1), x[:1].expand(4, -1)),
        "zero rows": (torch.zeros_like(x), x),
        "large": (1e4 * x, 1e4 * x.flip(0)),
        "small": (1e-6 * x, x),
        "opposite": (x, -x),
    }[what]
    loss, gs, gt = corners(kind, student, teacher, temperature, dtype)
    for found in (loss, gs, gt):
        assert torch.isfinite(found).all()
    steepest = 1e3 * 2 * 24 / temperature  # unit's bound, times K + 1 rows pulling both ways
    assert max(gs.abs().max(), gt.abs().max()) <= steepest


def test_extreme_normalizers_stay_finite():
    """A first batch far from the rest can fix a Z that later scores are far above or below."""
    student, teacher, negatives, _ = problem()
    for log_z in (-200.0, 200.0):
        s = student.float().clone().requires_grad_()
        loss = contrast(
            s,
            teacher.float(),
            negatives=Negatives(
                tuple(x.float() for x in negatives.positives),
                tuple(x.float() for x in negatives.banks),
                negatives.draw,
            ),
            log_z=torch.full((2,), log_z),
            temperature=0.02,
        )
        loss.sum().backward()
        assert torch.isfinite(loss).all()
        assert torch.isfinite(s.grad).all()


def test_inputs_are_left_as_they_were():
    student, teacher, negatives, _ = problem()
    before = [x.clone() for x in (student, teacher, *negatives.banks, *negatives.positives)]
    contrast(student, teacher, negatives=negatives, log_z=torch.zeros(2, dtype=torch.float64))
    after = (student, teacher, *negatives.banks, *negatives.positives)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_an_anchor_without_negatives_keeps_its_positive_term():
    student, teacher, negatives, _ = problem(kind="whole", classes=1)
    log_z = torch.zeros(2, dtype=torch.float64)
    got = contrast(student, teacher, negatives=negatives, log_z=log_z)
    expected = by_loops(student, teacher, negatives, [[] for _ in student], 0.1, log_z)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


def test_compiles():
    student, teacher, negatives, _ = problem()
    log_z = torch.zeros(2, dtype=torch.float64)
    plain = contrast(student, teacher, negatives=negatives, log_z=log_z)
    compiled = torch.compile(contrast, backend="aot_eager")
    got = compiled(student, teacher, negatives=negatives, log_z=log_z)
    torch.testing.assert_close(got, plain)


def test_half_precision_is_close_to_full():
    student, teacher, negatives, _ = problem(n=400, m=300, count=300)
    log_z = torch.tensor([6.0, 6.0], dtype=torch.float64)
    full = contrast(student, teacher, negatives=negatives, log_z=log_z)
    half = contrast(
        student.bfloat16(), teacher.bfloat16(), negatives=negatives, log_z=log_z.float()
    )
    torch.testing.assert_close(half.double(), full, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("temperature", [0.0, -1.0, 0.01, math.nan])
def test_a_temperature_that_is_too_low_is_refused(temperature):
    student, teacher, negatives, _ = problem()
    with pytest.raises(MenteeError, match=r"temperature is .*, expected at least 0\.02"):
        contrast(
            student,
            teacher,
            negatives=negatives,
            log_z=torch.zeros(2, dtype=torch.float64),
            temperature=temperature,
        )
