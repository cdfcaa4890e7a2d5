"""One contract, run over every row of the table and every form that is derived from one."""

from __future__ import annotations

import pytest
import torch

from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.errors import MenteeError
from mentee.losses import LOSSES
from mentee.methods import FORMS, METHODS, adjust, find
from mentee.methods.derived import CONTRASTS
from mentee.types import Batch, Statistics

EXAMPLES, CLASSES, SIZE = 40, 4, 6
LABELS = torch.arange(EXAMPLES) % CLASSES
STUDENT = {
    "stem": (4, 8, 8),
    "stages.0": (4, 8, 8),
    "stages.1": (6, 4, 4),
    "stages.2": (8, 2, 2),
    "stages.last": (8, 2, 2),
    "embedding": (8,),
    "logits": (CLASSES,),
}
TEACHER = {
    "stem": (5, 8, 8),
    "stages.0": (6, 8, 8),
    "stages.1": (8, 4, 4),
    "stages.2": (12, 4, 4),
    "stages.last": (12, 4, 4),
    "embedding": (12,),
    "logits": (CLASSES,),
}
ONE_LABEL_EACH = [
    name
    for name, row in METHODS.items()
    if row.terms
    and all(LOSSES[term.loss.name].outputs in (None, "class logits") for term in row.terms)
]


def derived(name):
    """The forms of a row that make sense of it, and its sum with CKTF."""
    forms = [f"{form}({name})" for form in FORMS]
    return [each for each in [*forms, f"{name}+cktf"] if makes_sense(each)]


def makes_sense(name):
    try:
        find(name)
    except MenteeError:
        return False
    return True


EVERY = [each for name in ONE_LABEL_EACH for each in [name, *derived(name)]]
TRIED = [name for name in EVERY if "cktf-exact" not in name]


def bound(name, seed=3):
    """A row with small memories, at shapes that need no network."""
    row = find(name)
    row = adjust(row, {"memory.negatives": 16} if any(t.memory for t in row.terms) else {}, {})
    chains = [word.name for term in row.terms for word in term.representation.chain]
    row = adjust(row, {"pca.width": 4} if "pca" in chains else {}, {})
    row = adjust(row, {"random.width": 8} if "random" in chains else {}, {})
    return DistillationLoss(
        row,
        student_of(name),
        TEACHER,
        groups=LABELS,
        examples=EXAMPLES,
        classes=CLASSES,
        statistics=lambda place: Statistics(*(f(TEACHER[place][-1]) for f in PARTS)),
        seed=seed,
    )


def student_of(name):
    """What the student says; one that keeps the teacher's classifier projects to its features."""
    reuse = find(name).reuse
    return STUDENT | ({"projector": TEACHER[reuse]} if reuse else {})


PARTS = (torch.zeros, torch.ones, torch.eye, torch.ones)


def output(shapes, seed, b=SIZE):
    g = torch.Generator().manual_seed(seed)
    return {name: torch.randn(b, *shape, generator=g) for name, shape in shapes.items()}


def batch(rows):
    rows = torch.as_tensor(rows)
    return Batch(torch.zeros(len(rows), 3, 1, 1), rows, rows, LABELS[rows])


def losses(criterion, student, teacher, rows=tuple(range(SIZE))):
    some = batch(rows)
    criterion.begin(some, 0)
    return criterion(student, criterion.precompute(teacher), some)


def total(criterion, result):
    return torch.stack([criterion.weights[name] * value for name, value in result.items()]).sum()


@pytest.mark.parametrize("name", TRIED)
def test_the_student_learns_and_the_teacher_does_not(name):
    """Finite; a gradient at every place of the student that is read, and at every head."""
    criterion = bound(name)
    student = {k: v.requires_grad_() for k, v in output(student_of(name), 1).items()}
    teacher = {k: v.requires_grad_() for k, v in output(TEACHER, 2).items()}
    loss = total(criterion, losses(criterion, student, teacher))
    loss.backward()
    assert torch.isfinite(loss)
    reached = {place for place, x in student.items() if x.grad is not None and x.grad.any()}
    assert reached == {layer for b in criterion.bound_terms for layer in b.pair.student.layers}
    assert all(x.grad is None for x in teacher.values())
    for each, head in criterion.named_parameters():
        assert not head.requires_grad or head.grad is not None, each


@pytest.mark.parametrize("name", TRIED)
def test_the_corners_stay_finite(name):
    """A batch of one, zero features, features of 1e4."""
    for scale, b in ((1.0, 1), (0.0, SIZE), (1e4, SIZE)):
        criterion = bound(name)
        student = {
            k: (scale * v).requires_grad_() for k, v in output(student_of(name), 1, b).items()
        }
        teacher = {k: scale * v for k, v in output(TEACHER, 2, b).items()}
        loss = total(criterion, losses(criterion, student, teacher, range(b)))
        loss.backward()
        assert torch.isfinite(loss), (scale, b)
        slopes = [x.grad for x in student.values() if x.grad is not None]
        assert all(bool(torch.isfinite(slope).all()) for slope in slopes), (scale, b)


@pytest.mark.parametrize("name", [n for n in TRIED if "cc" not in n and "semckd" not in n])
def test_the_order_of_the_examples_does_not_matter(name):
    """But for cc, which compares neighbors, and semckd, whose attention reads them in order."""
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    student, teacher = output(student_of(name), 1), output(TEACHER, 2)
    turned = [{k: v[order] for k, v in each.items()} for each in (student, teacher)]
    result = losses(bound(name).eval(), student, teacher)
    again = losses(bound(name).eval(), *turned, order.tolist())
    for each, value in result.items():
        torch.testing.assert_close(again[each], value, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", TRIED)
def test_what_a_record_keeps_is_all_that_is_needed(name):
    """From the fixed parts alone, by their columns, the losses are those of the live teacher."""
    student, teacher = output(student_of(name), 1), output(TEACHER, 2)
    criterion = bound(name).eval()
    saved = {}
    for each in criterion.bound_terms:
        side = criterion.adapters_of(each)[1]
        if side.reduction is None:
            pytest.skip("it depends on the batch and is read live")
        fixed = side.precompute(each.pair.teacher.select(teacher))
        key = str(each.pair.teacher.reduced(side.reduction))
        assert key not in saved or torch.equal(saved[key], fixed)
        saved[key] = fixed
    live = losses(criterion, student, teacher)
    recorded = losses(bound(name).eval(), student, saved)
    for each, value in live.items():
        torch.testing.assert_close(recorded[each], value, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in TRIED if name.startswith("cktf(")])
def test_the_contrast_form_has_one_contrast_for_each_representation(name):
    row, form = find(name[5:-1]), find(name)
    assert form.task == 1
    assert all(term.loss.name in CONTRASTS and not term.exclusive_warmup for term in form.terms)
    assert set(required_layers(form)[0]) == set(required_layers(row)[0])
    compared = {(t.layers, str(t.representation)) for t in row.terms}
    assert len(form.terms) == len(compared)


@pytest.mark.parametrize("name", [name for name in ONE_LABEL_EACH if not name.startswith("cktf")])
def test_a_sum_with_cktf_has_every_contrast_at_its_weight(name):
    if name == "kd":
        assert find("kd+cktf") is METHODS["cktf+kd"]
        return
    row, own = find(f"{name}+cktf"), METHODS[name].summed_terms or METHODS[name].terms
    result = {t.layers: t.weight for t in row.terms if t.loss.name == "info_nce"}
    expected = {t.layers: t.weight for t in METHODS["cktf"].terms}
    if name == "crd":
        expected["embedding"] += METHODS["crd"].terms[0].weight
    assert result == expected
    assert row.terms[: len(own)] == own or name == "crd"


@pytest.mark.parametrize("name", ["at", "kd", "pkt"])
def test_a_sum_with_the_banks_has_every_contrast_at_the_weight_of_the_second_table(name):
    if name == "kd":
        assert find("kd+cktf-bank") is METHODS["cktf-bank+kd"]  # a row of the first table
        return
    weights = {t.layers: t.weight for t in find(f"{name}+cktf-bank").terms if t.memory}
    assert weights == {"stem": 0.8, "stages": 0.8, "embedding": 0.8}


@pytest.mark.parametrize("name", TRIED)
def test_in_half_precision_a_row_says_about_the_same(name):
    result = {}
    for half in (False, True):
        criterion = bound(name)
        student = {k: x.requires_grad_() for k, x in output(student_of(name), 1).items()}
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            each = losses(criterion, student, output(TEACHER, 2))
        total(criterion, each).backward()
        result[half] = {key: value.item() for key, value in each.items()}
        for x in [*student.values(), *criterion.parameters()]:
            assert x.grad is None or bool(x.grad.isfinite().all())
        assert any(x.grad is not None for x in student.values())
    assert result[True] == pytest.approx(result[False], rel=0.1, abs=0.02)
