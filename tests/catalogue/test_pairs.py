"""Which methods fit two networks, and what they cost, by formula."""

from __future__ import annotations

import pytest

from mentee.catalogue import show_pair
from mentee.catalogue.pairs import CandidatePair, memory_size
from mentee.errors import MenteeError
from mentee.methods import METHODS, Component, Method, Term, adjust, find


@pytest.fixture(scope="module")
def pair() -> CandidatePair:
    return CandidatePair("resnet8-cifar", "resnet20-cifar", size=16, examples=1000, batch=4)


def test_costs_are_those_of_the_formulas(pair: CandidatePair) -> None:
    kd = pair.apply(find("kd"))
    assert (kd.problem, kd.heads, kd.memory, kd.record, kd.slowdown) == (None, 0, 0, 2 * 10, None)
    crd = pair.apply(find("crd-bank"))
    assert crd.heads == 2 * (64 * 128 + 128)
    assert crd.memory == 2 * 1000 * 128 * 4
    assert crd.record == 2 * 64
    at = pair.apply(find("at"))
    assert (at.heads, at.memory, at.record) == (0, 0, 2 * (16**2 + 8**2 + 4**2))
    both = pair.apply(find("crd-bank+pkt"))
    assert both.record == 2 * 64  # the same place, kept once
    assert pair.apply(find("none")).record == 0


def test_what_a_student_keeps_of_its_teacher_is_said(pair: CandidatePair) -> None:
    found = pair.apply(find("simkd-pooled"))
    projector = (64 * 32 + 2 * 32) + (32 * 32 + 2 * 32) + (32 * 64 + 2 * 64)  # and batch norms
    assert (found.problem, found.added) == (None, projector)  # its own classifier is as large
    assert f"0 (+{projector:,} kept)" in show_pair(pair, {"simkd-pooled": find("simkd-pooled")})
    other = CandidatePair("resnet8-cifar", "resnet20-cifar", size=16, teacher_classes=7)
    problem = other.apply(find("simkd")).problem or ""
    assert problem.startswith("it keeps the teacher's classifier, which has 7 classes")


@pytest.mark.parametrize("name", ["cktf-bank", "similarity"])
def test_memories_grow_in_a_line_or_not_at_all(pair: CandidatePair, name: str) -> None:
    row = adjust(find(name), {"memory.negatives": 50}, {})
    assert pair.apply(row).memory == memory_size(pair.bind(row, 1000))


def test_a_row_that_has_nothing_to_record_says_so(pair: CandidatePair) -> None:
    assert pair.apply(find("cktf-exact")).record is None
    assert "live only" in show_pair(pair, {"cktf-exact": find("cktf-exact")})


def test_what_does_not_apply_says_why() -> None:
    other = CandidatePair("resnet8-cifar", "vgg8", size=32, teacher_classes=7)
    assert "the student has 10 classes, the teacher 7" in (other.apply(find("kd")).problem or "")
    assert other.apply(find("cktf(sp)")).problem is None
    text = show_pair(other, {name: METHODS[name] for name in ("none", "kd", "dist", "crd")})
    applies, _, not_ = text.partition("does not fit\n")
    assert [line.split()[0] for line in not_.splitlines()] == ["kd", "dist"]
    assert [line.split()[0] for line in applies.splitlines()[4:6]] == ["none", "crd"]
    absent = Method("mine", (Term("layer9", Component("mse"), 1.0),))
    assert "layer9" in (other.apply(absent).problem or "")


@pytest.mark.parametrize(
    ("task", "name", "problem"),
    [
        ("multi", "kd", "compares distributions over classes of which one is right (kl)"),
        (
            "single",
            "ec-binary-kd",
            "compares each class on its own (binary_kd), but an example",
        ),
        ("none", "ec", "compress learns from labels and the examples have none"),
        ("none", "dkd", "dkd learns from labels and the examples have none"),
    ],
)
def test_labels_decide_too(task: str, name: str, problem: str) -> None:
    found = (
        CandidatePair("resnet8-cifar", "resnet20-cifar", size=16, task=task)
        .apply(find(name))
        .problem
    )
    assert found is not None
    assert found.startswith(problem)


def test_a_task_that_is_not_known() -> None:
    with pytest.raises(MenteeError, match=r"no task 'mult': did you mean 'multi'"):
        CandidatePair("resnet8-cifar", "resnet8-cifar", task="mult")


def test_the_time_of_a_step_is_measured_beside_the_students_own(pair: CandidatePair) -> None:
    wide = Component("project", {"width": 2048, "grid": 16})
    found = pair.apply(Method("slow", (Term("stem", Component("mse"), 1.0, wide),)), time=True)
    assert found.heads == 2 * (16 * 16**2 * 2048 + 2048)
    assert found.slowdown is not None
    assert found.slowdown > 0.5  # a hundred times the parameters of the student
    text = show_pair(pair, {"kd": find("kd")}, time=True)
    assert text.splitlines()[3].endswith("a step")
    assert text.splitlines()[4].endswith("%")
    assert not pair.student._forward_hooks
    assert all(not module._forward_hooks for module in pair.student.modules())


@pytest.mark.parametrize("task", ["multi", "none"])
def test_the_time_of_a_step_with_other_labels(task: str) -> None:
    pair = CandidatePair(
        "resnet8-cifar", "resnet20-cifar", size=16, examples=100, batch=4, task=task
    )
    row = adjust(find("crd-bank"), {"memory.negatives": 10}, {})
    assert pair.apply(row, time=True).slowdown is not None
