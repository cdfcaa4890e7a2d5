"""A method bound to a pair: its terms, what they are worth, and who learns from them."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee import models
from mentee.distillation.layer_pairs import evenly, expand, pair_layers
from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.errors import MenteeError, PairError
from mentee.features import Capture, resolve
from mentee.losses import LOSSES, LossSpec
from mentee.memory import MEMORIES
from mentee.methods import METHODS, Component, Method, Term, adjust, find
from mentee.models import InputContract
from mentee.teachers import OnlineTeacher
from mentee.types import Batch, LayerPair, Mixup, Statistics
from tests.distillation import gathered, in_parts
from tests.losses import formulas as agreements
from tests.processes import ROOT, Two, ended
from tests.representations import formulas as representations

PLAIN = InputContract((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
EXAMPLES = 40
SHAPES = {"stem": (4, 8, 8), "stages.0": (4, 8, 8), "stages.1": (6, 4, 4), "embedding": (6,)}
WIDER = {"stem": (9, 9, 9), "stages.0": (16, 16, 16), "stages.1": (5, 7), "embedding": (20,)}


def labels(n=EXAMPLES, count=4):
    return torch.arange(n) % count


def bind(
    method="cktf-bank", student=SHAPES, teacher=WIDER, *, numbers=None, weights=None, **options
):
    """A row of the table with a small memory, at shapes that need no network."""
    row = find(method) if isinstance(method, str) else method
    numbers = {"memory.negatives": 16, "project.width": 8} if numbers is None else numbers
    options = {"groups": labels(), "examples": EXAMPLES, "seed": 3} | options
    return DistillationLoss(adjust(row, numbers, weights or {}), student, teacher, **options)


def features(shapes, b=5, seed=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    return {name: torch.randn(b, *each, generator=g, dtype=dtype) for name, each in shapes.items()}


def batch(rows, channels=3, size=32):
    rows = torch.as_tensor(rows)
    g = torch.Generator().manual_seed(0)
    images = torch.rand(EXAMPLES, channels, size, size, generator=g)[rows]
    return Batch(images, rows, rows, labels()[rows])


def step(criterion, student, teacher, rows=(0, 1, 2, 3, 4), number=0):
    """The terms of one batch."""
    fixed = criterion.precompute(teacher)
    some = batch(rows, size=1)
    criterion.begin(some, number)
    return criterion(student, fixed, some)


# Pairs of real networks


def read(network, places, inputs):
    return Capture(network, places).capture(inputs)


def pair(method, student, teacher, size=16):
    """The method bound to two networks, with both and what they say of a batch."""
    shapes, said, networks = [], [], []
    for (name, classes, more), places in zip(
        (student, teacher), required_layers(method), strict=True
    ):
        network = models.build(name, classes=classes, seed=0, **more)
        found = resolve(network, places, torch.zeros(2, 3, size, size))
        shapes.append({place.name: place.shape for place in found})
        networks.append(network)
        said.append(found)
    criterion = DistillationLoss(
        method,
        *shapes,
        groups=labels(),
        examples=EXAMPLES,
        classes=4,
        statistics=lambda place: made_up(shapes[1][place]),
    )
    taught = OnlineTeacher(networks[1], said[1], PLAIN)
    inputs = batch(range(3), size=size)
    fixed = criterion.precompute(taught(inputs))
    criterion.begin(inputs, 0)
    losses = criterion(read(networks[0], said[0], inputs.inputs), fixed, inputs)
    return criterion, networks, losses


def made_up(shape):
    """Statistics of a teacher's vectors, of no examples."""
    d = shape[0] if len(shape) == 3 else shape[-1]
    return Statistics(torch.zeros(d), torch.ones(d), torch.eye(d), torch.ones(d))


VIT = "timm:vit_tiny_patch16_224"
SMALL_VIT = (VIT, 4, {"img_size": 32, "depth": 4})
SAME = ("stages.0", "stages.1", "stages.2")
FOUR = (*SAME, "stages.3")
FOUR_TEACH_THREE = ("stages.0", "stages.1~stages.2", "stages.2~stages.3")
THREE_TEACH_FOUR = ("stages.0", "stages.2~stages.1", "stages.3~stages.2")
PAIRS = {
    "equal depth": (("resnet8-cifar", 4, {}), ("resnet20-cifar", 4, {}), SAME),
    "six terms": (("vgg8", 4, {}), ("vgg11", 4, {}), FOUR),
    "four stages teach three": (("resnet8-cifar", 4, {}), ("vgg8", 4, {}), FOUR_TEACH_THREE),
    "three stages teach four": (("vgg8", 4, {}), ("resnet8-cifar", 4, {}), THREE_TEACH_FOUR),
    "other widths": (("resnet8-cifar", 4, {}), ("resnet8x4-cifar", 4, {}), SAME),
    "another resolution": (("resnet8-cifar", 4, {}), ("timm:test_resnet", 4, {}), FOUR_TEACH_THREE),
    "tokens teach maps": (("resnet8-cifar", 4, {}), SMALL_VIT, FOUR_TEACH_THREE),
    "maps teach tokens": (SMALL_VIT, ("resnet8-cifar", 4, {}), THREE_TEACH_FOUR),
    "other classes": (("resnet8-cifar", 4, {}), ("resnet20-cifar", 11, {}), SAME),
}


@pytest.mark.parametrize("name", PAIRS)
def test_cktf_fits_any_two_networks(name):
    """Every term is finite and reaches the student and both heads; none reaches the teacher."""
    student, teacher, stages = PAIRS[name]
    row = adjust(find("cktf-bank"), {"memory.negatives": 16, "project.width": 8}, {})
    size = 32 if SMALL_VIT in (student, teacher) else 16
    criterion, (learner, frozen), losses = pair(row, student, teacher, size)
    expected = [f"contrast/{place}" for place in ("stem", *stages, "embedding")]
    assert [bound.name for bound in criterion.bound_terms] == list(losses) == expected
    total = sum(criterion.weights[name] * value for name, value in losses.items())
    total.backward()
    assert torch.isfinite(total)
    assert all(p.grad is None and not p.requires_grad for p in frozen.parameters())
    for bound in criterion.bound_terms:
        for side in criterion.adapters_of(bound):
            assert all(p.grad.abs().sum() > 0 for p in side.parameters())
    assert sum(p.grad is not None and bool(p.grad.any()) for p in learner.parameters()) > 3


def test_crd_and_soft_targets_between_networks():
    row = adjust(find("crd-bank+kd"), {"memory.kind": "batch"}, {})
    criterion, (learner, frozen), losses = pair(row, *PAIRS["equal depth"][:2])
    assert list(losses) == ["contrast/embedding", "kl/logits"]
    sum(losses.values()).backward()
    assert all(p.grad is None for p in frozen.parameters())
    assert all(p.grad is not None for p in learner.parameters())
    criterion.write()


def test_soft_targets_of_other_classes_are_refused():
    text = (
        r"kl/logits: the student has 4 classes, the teacher 11; soft targets need the same "
        r"classes .* Use a method without kd \(crd, cktf\), a teacher of these classes"
    )
    for method in ("kd", "cktf-bank+kd"):
        with pytest.raises(PairError, match=text):
            pair(find(method), *PAIRS["other classes"][:2])


def test_a_module_of_the_student_meets_another_of_the_teacher():
    term = find("crd-bank").terms[0]
    row = Method(
        "own", (Term(("layer2", "layer3"), term.loss, 0.7, term.representation, term.memory),)
    )
    row = adjust(row, {"memory.negatives": 16, "project.width": 8}, {})
    assert required_layers(row) == (["layer2"], ["layer3"])
    criterion, _, losses = pair(row, *PAIRS["equal depth"][:2], size=32)
    assert list(losses) == ["contrast/layer2~layer3"]
    assert criterion.weights == {"task": 1.0, "contrast/layer2~layer3": 0.7}
    student, teacher = criterion.adapters_of(criterion.bound_terms[0])
    assert student.head.in_features == 32 * 2 * 2  # 16 × 16 pixels
    assert teacher.head.in_features == 64  # 8 × 8


# Which place meets which


@given(ours=st.integers(1, 9), theirs=st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_stages_meet_in_order_and_the_last_meets_the_last(ours, theirs):
    student, teacher = ({f"stages.{i}": (2, 2, 2) for i in range(n)} for n in (ours, theirs))
    pairs = pair_layers(Term("stages", Component("contrast"), 1.0), student, teacher)
    assert len(pairs) == min(ours, theirs)
    assert pairs[-1] == LayerPair.parse(f"stages.{ours - 1}", f"stages.{theirs - 1}")
    for side in ("student", "teacher"):
        numbers = [int(getattr(pair, side).layers[0].partition(".")[2]) for pair in pairs]
        assert numbers == sorted(set(numbers))
        gaps = np.diff([-1, *numbers])
        assert gaps.max() - gaps.min() <= 1
    names = [str(i) for i in range(max(ours, theirs))]
    assert [evenly(names, i, len(names)) for i in range(len(names))] == names


def test_stages_are_counted_not_spelled():
    shapes = {f"stages.{i}": (2,) for i in reversed(range(12))}
    assert expand("stages", shapes) == [f"stages.{i}" for i in range(12)]


def test_a_place_that_is_not_read_is_refused():
    with pytest.raises(PairError, match=r"nothing is read at 'stag'; did you mean .*'stages\.0'"):
        expand("stag", SHAPES)


# What the terms are worth: one whole method in loops


def bank_after(bank, rows, new, momentum=0.5):
    bank = bank.copy()
    for row, seen in zip(rows, new, strict=True):
        moved = momentum * bank[row] + (1 - momentum) * seen
        bank[row] = moved / np.sqrt((moved**2).sum())
    return bank


def said_by(side, place, given):
    head = [(side.head.weight.detach().numpy(), side.head.bias.detach().numpy())]
    return np.array([representations.project(each, head) for each in given[place].numpy()])


def negatives_by_loops(kind, twin, rows, number):
    """For each anchor the rows of the bank that it is contrasted with."""
    twin.begin(torch.tensor(rows), number)
    drawn = twin.read(next(iter(twin.stores)), torch.zeros(5, 8), torch.zeros(5, 8)).draw.rows
    if kind == "exact":
        return drawn.tolist()
    pool = range(EXAMPLES) if drawn is None else drawn.tolist()
    return [[row for row in pool if row % 4 != own % 4] for own in rows]


@pytest.mark.parametrize("kind", ["shared", "whole", "exact"])
def test_cktf_is_the_sum_of_its_modules_in_loops(kind):
    """Two steps: heads, both directions, negatives, normalizers of the first batch, banks moved."""
    count = EXAMPLES + 7 if kind == "whole" else 16
    draw = "exact" if kind == "exact" else "shared"
    numbers = {"memory.negatives": count, "memory.draw": draw, "project.width": 8}
    criterion = bind(numbers=numbers).double()
    (memory,) = criterion.memories
    memory.stores = {name: store.double() for name, store in memory.stores.items()}
    banks = {name: store.numpy().copy() for name, store in memory.stores.items()}
    names = [bound.name for bound in criterion.bound_terms]
    twin = MEMORIES["bank"](names, labels(), 8, negatives=count, draw=draw, seed=3)
    z = {}
    for number, rows in enumerate([[0, 1, 2, 3, 4], [4, 9, 17, 2, 30]]):
        student, teacher = (
            features(shapes, seed=10 * number + side, dtype=torch.float64)
            for side, shapes in enumerate((SHAPES, WIDER))
        )
        losses = step(criterion, student, teacher, rows, number)
        criterion.write()
        lists = negatives_by_loops(kind, twin, rows, number)
        for bound in criterion.bound_terms:
            mine, theirs = criterion.adapters_of(bound)
            said = (
                said_by(mine, str(bound.pair.student), student),
                said_by(theirs, str(bound.pair.teacher), teacher),
            )
            expected, bank = 0.0, banks[bound.name]
            for side, (anchors, against) in enumerate([(said[0], bank[1]), (said[1], bank[0])]):
                positives, negatives = against[rows], [against[each] for each in lists]
                if number == 0:
                    z[bound.name, side] = agreements.normalizer(
                        anchors, positives, negatives, 0.1, count, EXAMPLES
                    )
                for each in zip(anchors, positives, negatives, strict=True):
                    whole = agreements.nce(*each, 0.1, z[bound.name, side], count, EXAMPLES)
                    expected += whole / len(rows)
            assert losses[bound.name].item() == pytest.approx(expected, rel=1e-8)
            banks[bound.name] = np.stack(
                [bank_after(*a) for a in zip(bank, [rows] * 2, said, strict=True)]
            )
            np.testing.assert_allclose(memory.stores[bound.name], banks[bound.name], rtol=1e-8)


def test_soft_targets_are_the_mean_of_the_formula_in_loops():
    student, teacher = {"logits": (5,)}, {"logits": (5,)}
    criterion = bind("kd", student, teacher, numbers={})
    s, t = features(student, seed=1), features(teacher, seed=2)
    expected = agreements.kl(s["logits"].tolist(), t["logits"].tolist(), 4.0).mean()
    assert step(criterion, s, t)["kl/logits"].item() == pytest.approx(expected, rel=1e-5)
    assert criterion.weights == {"task": 0.1, "kl/logits": 0.9}


# Who learns


def test_no_gradient_reaches_what_the_teacher_said():
    student, teacher = features(SHAPES, seed=1), features(WIDER, seed=2)
    for said in (student, teacher):
        for tensor in said.values():
            tensor.requires_grad_()
    criterion = bind()
    some = batch(range(5), size=1)
    criterion.begin(some, 0)
    fixed = {name: x.detach().requires_grad_() for name, x in criterion.precompute(teacher).items()}
    sum(criterion(student, fixed, some).values()).backward()
    assert all(tensor.grad is None for tensor in (*teacher.values(), *fixed.values()))
    assert all(tensor.grad.any() for tensor in student.values())


@pytest.mark.parametrize("name", ["ec-kd", "ec-binary-kd"])
def test_soft_labels_of_the_compressor_teach_the_student_alone(name):
    shapes = SHAPES | {"logits": (4,)}
    criterion = bind(name, shapes, numbers={}, classes=4, statistics=measured)
    student, teacher = features(shapes, seed=1), features(WIDER, seed=2)
    some = batch(range(5), size=1)
    criterion.begin(some, 0)
    fixed = {key: x.requires_grad_() for key, x in criterion.precompute(teacher).items()}
    student["logits"].requires_grad_()
    losses = criterion(student, fixed, some)
    (soft,) = [key for key in losses if key.endswith("/logits~embedding")]
    losses[soft].backward()
    assert student["logits"].grad.any()
    assert all(x.grad is None for x in (*fixed.values(), *criterion.parameters()))


def test_only_heads_are_in_the_state():
    criterion = bind("cktf-bank", weights={})
    parts = {name.rpartition(".head.")[0] for name in criterion.state_dict()}
    assert len(parts) == 2 * len(criterion.bound_terms)
    assert {id(p) for p in criterion.parameters()} == {
        id(p)
        for b in criterion.bound_terms
        for side in criterion.adapters_of(b)
        for p in side.parameters()
    }


def test_what_was_said_is_left_as_it_was():
    student, teacher = features(SHAPES, seed=1), features(WIDER, seed=2)
    before = [x.clone() for said in (student, teacher) for x in said.values()]
    step(bind(), student, teacher)
    after = [x for said in (student, teacher) for x in said.values()]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("kind", [*(kind for kind in MEMORIES if kind != "record"), "exact"])
def test_the_order_of_examples_does_not_matter(kind):
    numbers = {"project.width": 8}
    if kind in ("bank", "exact", "queue"):
        numbers["memory.negatives"] = 16
    numbers |= {"memory.draw": "exact"} if kind == "exact" else {"memory.kind": kind}
    order = torch.tensor([3, 1, 4, 0, 2])
    results = []
    for turn in (torch.arange(5), order):
        criterion = bind(numbers=numbers)
        losses = {}
        for number in range(2):
            said = [features(shapes, seed=number + 7) for shapes in (SHAPES, WIDER)]
            said = [{name: x[turn] for name, x in each.items()} for each in said]
            losses = step(criterion, *said, torch.tensor([0, 5, 2, 3, 9])[turn], number)
            criterion.write()
        results.append(losses)
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], rtol=1e-5, atol=1e-5)


# Normalizers and memories


def test_the_normalizer_is_that_of_the_first_batch_for_ever():
    criterion = bind()
    (memory,) = criterion.memories
    for number in range(3):
        step(criterion, features(SHAPES, seed=number), features(WIDER, seed=number), number=number)
        if number == 0:
            first = {name: z.clone() for name, z in memory.log_z.items()}
        criterion.write()
    assert first.keys() == {bound.name for bound in criterion.bound_terms}
    assert all(torch.equal(first[name], z) for name, z in memory.log_z.items())
    assert all(math.isfinite(v) for z in first.values() for v in z.tolist())
    other = bind()
    step(other, features(SHAPES, seed=8), features(WIDER, seed=9))
    assert not torch.equal(other.memories[0].log_z["contrast/stem"], first["contrast/stem"])


@pytest.mark.parametrize("kind", ["bank", "queue"])
def test_a_memory_is_written_by_write_alone(kind):
    criterion = bind(numbers={"memory.kind": kind, "memory.negatives": 16, "project.width": 8})
    held = {key: x.clone() for key, x in criterion.memory_state().items()}
    sum(step(criterion, features(SHAPES), features(WIDER)).values()).backward()
    state = criterion.memory_state()
    assert all(torch.equal(x, state[key]) for key, x in held.items())
    criterion.write()
    state = criterion.memory_state()
    moved = {key for key, x in held.items() if not torch.equal(x, state[key])}
    assert moved >= {f"0.{kind}.{bound.name}" for bound in criterion.bound_terms}


def test_terms_with_one_memory_share_it_and_others_have_their_own():
    assert len(bind().memories) == 1
    numbers = {"memory.negatives": 16, "stem.memory.negatives": 8, "embedding.project.width": 4}
    criterion = bind(numbers={"project.width": 8} | numbers)
    assert len(criterion.memories) == 3
    held = {bound.name: bound.memory for bound in criterion.bound_terms}
    assert held["contrast/stages.0"] is held["contrast/stages.1"]
    assert held["contrast/embedding"].stores["contrast/embedding"].shape == (2, EXAMPLES, 4)
    step(criterion, features(SHAPES), features(WIDER))
    criterion.write()
    state = {key: x.clone() for key, x in criterion.memory_state().items()}
    fresh = bind(numbers={"project.width": 8} | numbers)
    fresh.load_memory(state)
    again = fresh.memory_state()
    assert state.keys() == again.keys()
    assert all(torch.equal(x, again[key]) for key, x in state.items())


@pytest.mark.parametrize(("groups", "aware"), [(None, True), (labels(), False)])
def test_without_classes_each_example_is_its_own_group(groups, aware):
    numbers = {"memory.class_aware": aware, "memory.negatives": EXAMPLES, "project.width": 8}
    criterion = bind(numbers=numbers, groups=groups)
    assert criterion.memories[0].groups.tolist() == list(range(EXAMPLES))
    assert bind().memories[0].groups.tolist() == labels().tolist()
    assert all(
        torch.isfinite(x) for x in step(criterion, features(SHAPES), features(WIDER)).values()
    )


def test_the_memory_is_as_wide_as_the_representation():
    """Also where the representation has no parameter for its width."""
    term = Term(
        "embedding",
        Component("contrast"),
        1.0,
        Component("as_is"),
        Component("bank", {"negatives": 9}),
    )
    shapes = {"embedding": (20,)}
    criterion = bind(Method("own", (term,)), shapes, shapes, numbers={})
    assert criterion.memories[0].stores["contrast/embedding"].shape == (2, EXAMPLES, 20)
    maps = {"embedding": (3, 4, 4)}
    text = r"contrast/embedding: a memory keeps a vector .* has shape \(3, 4, 4\); use one that"
    with pytest.raises(PairError, match=text):
        bind(Method("own", (term,)), maps, maps, numbers={})


# Weights, seeds, precision


def test_a_weight_of_zero_drops_the_term():
    row = adjust(find("cktf-bank"), {}, {"stem": 0.0, "stages": 0.0})
    assert required_layers(row) == (["embedding"], ["embedding"])
    criterion = bind(weights={"stem": 0.0, "stages": 0.0})
    assert criterion.weights == {"task": 1.0, "contrast/embedding": 0.8}
    assert list(step(criterion, features(SHAPES), features(WIDER))) == ["contrast/embedding"]


def test_a_method_without_terms_asks_for_nothing():
    criterion = bind("none", {}, {}, numbers={})
    assert required_layers(METHODS["none"]) == ([], [])
    assert step(criterion, {}, {}) == {}
    assert criterion.memory_state() == {}
    assert not list(criterion.parameters())
    criterion.write()


def test_the_weights_are_those_of_the_row():
    assert bind().weights == {
        "task": 1.0,
        "contrast/stem": 0.1,
        "contrast/stages.0": 0.1,
        "contrast/stages.1": 0.1,
        "contrast/embedding": 0.8,
    }


def test_the_seed_fixes_heads_and_memories_and_nothing_global():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = bind(), bind(), bind(seed=4)
    assert torch.equal(torch.rand(1), expected)
    states = [t.state_dict() | t.memory_state() for t in (one, same, other)]
    assert all(torch.equal(x, states[1][key]) for key, x in states[0].items())
    assert not any(torch.equal(x, states[2][key]) for key, x in states[0].items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_under_autocast_are_close_and_in_full_precision(dtype):
    student, teacher = features(SHAPES, seed=1), features(WIDER, seed=2)
    full = step(bind(), student, teacher)
    with torch.autocast("cpu", dtype=dtype):
        half = step(bind(), student, teacher)
    for name, value in half.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, full[name], rtol=0.02, atol=0.02)


# What is refused


def changed(term=None, **more):
    term = {
        "loss": Component("contrast"),
        "representation": Component("project"),
        "memory": Component("bank"),
    } | more
    return Method("own", (Term("embedding", weight=1.0, **term),))


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            {"loss": Component("contrats")},
            "there is no loss 'contrats'; did you mean 'contrast'",
        ),
        (
            {"representation": Component("projct")},
            "no representation 'projct'; did you mean 'project'",
        ),
        ({"memory": Component("bnak")}, "there is no memory 'bnak'; did you mean 'bank'"),
        ({"memory": None}, "contrast/embedding needs negatives; give the term a memory: bank"),
        (
            {"loss": Component("contrast", {"temprature": 1.0})},
            "contrast has no parameter 'temprature'; did you mean 'temperature'",
        ),
        ({"loss": Component("contrast", {"log_z": 1.0})}, "contrast has no parameter 'log_z'"),
        ({"loss": Component("contrast", {"chunk": 1})}, "contrast has no parameter 'chunk'"),
        (
            {"loss": Component("contrast", {"temperature": "cold"})},
            "contrast.temperature is 'cold': .*number",
        ),
        (
            {"representation": Component("project", {"width": 4.5})},
            "project.width is 4.5: .*integer",
        ),
        (
            {"representation": Component("project", {"width": "64"})},
            "project.width is '64': .*integer",
        ),
        (
            {"representation": Component("project", {"width": 0})},
            "project: width is 0, expected at least 1",
        ),
        (
            {"representation": Component("project", {"head": "deep"})},
            "project.head is 'deep': .*'linear'",
        ),
        ({"memory": Component("bank", {"momentum": None})}, "bank.momentum is None: .*number"),
        (
            {"memory": Component("bank", {"draw": "all"})},
            "bank.draw is 'all': .*'shared' or 'exact'",
        ),
        ({"memory": Component("bank", {"dtype": "int8"})}, "bank.dtype is 'int8': .*'float32'"),
        ({"memory": Component("queue", {"momentum": 0.5})}, "queue has no parameter 'momentum'"),
        ({"memory": Component("batch", {"negatives": 5})}, "batch has no parameter 'negatives'"),
    ],
)
def test_a_word_or_number_that_is_not_known_is_refused(more, text):
    with pytest.raises(MenteeError, match=text):
        bind(changed(**more), numbers={})


def test_a_whole_number_serves_where_a_fraction_is_asked_for():
    """A recipe may say temperature: 4."""
    logits = {"logits": (3,)}
    row = adjust(find("kd"), {"kl.temperature": 4}, {})
    bound = DistillationLoss(row, logits, logits, groups=None, examples=9)
    student, teacher = torch.randn(2, 5, 3)
    found = bound(
        {"logits": student}, bound.precompute({"logits": teacher}), batch(range(5), size=1)
    )
    expected = agreements.kl(student.tolist(), teacher.tolist(), 4).mean()
    assert found["kl/logits"].item() == pytest.approx(expected, rel=1e-5)


def test_a_term_that_is_given_twice_is_refused():
    """Within one row; what two rows of a sum have in common is added up."""
    logits = {"logits": (3,)}
    twice = Method(
        "twice", (Term("logits", Component("kl"), 0.3), Term("logits", Component("kl"), 0.7))
    )
    with pytest.raises(MenteeError, match=r"'twice' has kl/logits twice; add up their weights"):
        bind(twice, logits, logits, numbers={})


def test_other_representations_at_one_place_are_named():
    """Each is a term of its own: the sum of two rows that differ in what is compared."""
    criterion = bind("ec-published+east+random", numbers={}, classes=4, statistics=measured)
    names = [f"distance_correlation/embedding{which}" for which in ("", " (pooled)", " (random)")]
    assert [bound.name for bound in criterion.bound_terms] == names
    losses = step(criterion, features(SHAPES), features(WIDER))
    assert list(losses) == [f"own/{names[0]}", *names]
    assert criterion.weights == {"task": 1.0} | dict.fromkeys(names, 1.5) | {f"own/{names[0]}": 1.0}
    assert len({losses[name].item() for name in names}) == 3


def test_other_numbers_of_one_representation_are_named():
    words = [
        Component("pooled"),
        Component("pooled", {"scale": "standard"}),
        Component("pooled"),
    ]
    terms = tuple(Term("embedding", Component("distance_correlation"), 1.0, word) for word in words)
    criterion = bind(Method("own", terms[:2]), numbers={}, statistics=measured)
    assert [bound.name for bound in criterion.bound_terms] == [
        "distance_correlation/embedding",
        "distance_correlation/embedding (pooled, scale=standard)",
    ]
    with pytest.raises(MenteeError, match=r"'own' has distance_correlation/embedding twice; add"):
        bind(Method("own", terms), numbers={}, statistics=measured)


def measured(place):
    d = WIDER[place][0]
    return Statistics(torch.zeros(d), torch.ones(d), torch.eye(d), torch.ones(d))


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("compress", r"equal ones: set compress\.student_head: linear$"),
        ("pca", r"equal ones: set pca\.student_head: linear$"),
        ("pooled", r"equal ones: use to_teacher in place of pooled$"),
    ],
)
def test_the_head_that_a_representation_may_have_is_named(word, text):
    numbers = {} if word == "pooled" else {"width": 4}
    row = Method("own", (Term("embedding", Component("cosine"), 1.0, Component(word, numbers)),))
    with pytest.raises(PairError, match=text):
        bind(row, numbers={}, classes=4, statistics=measured)


@pytest.mark.parametrize(
    ("place", "held", "text"),
    [
        (
            "logits",
            "embedding",
            "'logits' of .* has no logits, only embedding; take probe-kd in pl",
        ),
        ("stages", "embedding", "'stages' of .* has no stages, only embedding; take ec, east or"),
        ("logits", "frames", "'logits' of .* has no logits, only frames; take probe-kd"),
        ("embedding", "frames", r"made with --frames; .* layers: \[stages\.2, frames\]"),
        ("frames", "embedding", "one vector an example; record with --frames, or take a method"),
        ("logits.b", "embedding.b", "has no logits, only embedding; take probe-kd"),
        ("embedding.b", "frames.b", "record was made with --frames"),
        ("embedding.c", "embedding.b", "nothing is read at 'embedding.c'; did you mean"),
    ],
)
def test_what_a_record_of_embeddings_does_not_have_is_said_with_what_does(place, held, text):
    shapes = {held: (3, 8) if held.startswith("frames") else (8,)}
    student = {"logits": (4,), "embedding": (6,), "stages.2": (6, 4, 4)}
    with pytest.raises(PairError, match=text):
        pair_layers(Term(("embedding", place), Component("cka"), 1.0), student, shapes)


def test_representations_of_unequal_shape_are_refused():
    row = Method("own", (Term("embedding", Component("kl"), 1.0),))
    text = r"kl/embedding: .* has shape \(6,\), the teacher's \(20,\); .* such as project"
    with pytest.raises(PairError, match=text):
        bind(row, numbers={})


LOGITS = {"logits": (5,)}


def test_an_agreement_that_asks_for_labels_is_given_them():
    criterion = bind("dkd", LOGITS, LOGITS, numbers={}, classes=5)
    s, t = features(LOGITS, seed=1), features(LOGITS, seed=2)
    expected = agreements.dkd(
        s["logits"].tolist(), t["logits"].tolist(), labels()[:5].tolist(), 4.0, 1.0, 8.0
    )
    got = step(criterion, s, t)["dkd/logits"].item()
    assert got == pytest.approx(expected.mean(), rel=1e-5)


def test_of_mixed_examples_both_classes_count_by_their_shares():
    criterion = bind("nkd", LOGITS, LOGITS, numbers={}, classes=5)
    s, t = features(LOGITS, seed=1), features(LOGITS, seed=2)
    some, partner = batch(range(5), size=1), torch.tensor([1, 2, 3, 4, 0])
    mixed = dataclasses.replace(some, mixed=Mixup(partner, 0.75))
    expected = sum(
        share * agreements.nkd(s["logits"].tolist(), t["logits"].tolist(), y.tolist(), 1.0, 1.5)
        for share, y in ((0.75, some.labels), (0.25, some.labels[partner]))
    )
    got = criterion(s, criterion.precompute(t), mixed)["nkd/logits"].item()
    assert got == pytest.approx(expected.mean(), rel=1e-5)


def test_without_labels_an_agreement_that_asks_for_them_is_refused():
    with pytest.raises(PairError, match="dkd learns from labels and the examples have none"):
        bind("dkd", LOGITS, LOGITS, numbers={})


def test_terms_that_differ_in_a_number_only_are_told_apart_by_it():
    criterion = bind("mlkd", LOGITS, LOGITS, numbers={})
    names = [bound.name for bound in criterion.bound_terms]
    assert names[:2] == ["kl/logits", "batch_level/logits"]
    assert names[3] == "kl/logits (temperature=3.0)"
    losses = step(criterion, features(LOGITS, seed=1), features(LOGITS, seed=2))
    assert list(losses) == names
    twice = adjust(find("mlkd"), {"representation.kind": "standardized"}, {})
    sum_of_both = Method("own", find("mlkd").terms + twice.terms)
    assert (
        len({bound.name for bound in bind(sum_of_both, LOGITS, LOGITS, numbers={}).bound_terms})
        == 30
    )
    both = bind("kd+lskd", LOGITS, LOGITS, numbers={})
    assert [b.name for b in both.bound_terms] == ["kl/logits", "kl/logits (standardized)"]


# Places together, stages that fade, terms that come first

MAPPED = {"stem": (4, 8, 8), "stages.0": (4, 8, 8), "stages.1": (6, 4, 4), "stages.2": (8, 2, 2)}
WIDE = {name: (2 * shape[0], *shape[1:]) for name, shape in MAPPED.items()}
MAPPED["embedding"], WIDE["embedding"] = (8,), (16,)


def test_places_that_are_read_together_make_one_term():
    criterion = bind("fsp", MAPPED, WIDE, numbers={})
    (bound,) = criterion.bound_terms
    assert str(bound.pair) == "stem&stages.0&stages.1&stages.2"
    assert required_layers(find("fsp")) == (["stem", "stages"], ["stem", "stages"])
    s, t = features(MAPPED, seed=1), features(WIDE, seed=2)
    mine, theirs = criterion.adapters_of(bound)
    names = bound.pair.student.layers
    x, y = mine(mine.precompute([s[n] for n in names])), theirs.precompute([t[n] for n in names])
    got = step(criterion, s, t)[bound.name].item()
    assert got == pytest.approx((x - y).square().sum(1).mean().item(), rel=1e-5)


def test_of_unequal_depths_evenly_spaced_places_meet_together():
    fewer = {name: WIDE[name] for name in ("stem", "stages.0", "stages.2", "embedding")}
    fewer["stages.1"] = fewer.pop("stages.2")
    criterion = bind("reviewkd", MAPPED, fewer, numbers={})
    (bound,) = criterion.bound_terms
    assert str(bound.pair) == "stages.1&stages.2&embedding~stages.0&stages.1&embedding"
    assert math.isfinite(step(criterion, features(MAPPED), features(fewer))[bound.name].item())


def test_as_many_places_are_read_together_on_both_sides():
    row = Method(
        "own", (Term(("stem&stages", "stages"), Component("squared"), 1.0, Component("fsp")),)
    )
    with pytest.raises(PairError, match="read at stem & stages, the teacher at stages; expected"):
        bind(row, MAPPED, WIDE, numbers={})


def test_a_word_of_one_place_does_not_read_several():
    row = Method("own", (Term("stem&stages", Component("mse"), 1.0, Component("attention")),))
    text = (
        "mse/stem&stages.0&stages.1&stages.2: attention reads one layer; expected fsp or reviewkd"
    )
    with pytest.raises(PairError, match=text):
        bind(row, MAPPED, WIDE, numbers={})


def test_each_place_of_one_network_meets_each_of_the_other_whatever_their_number():
    fewer = {name: WIDE[name] for name in ("stem", "stages.0", "stages.1", "embedding")}
    criterion = bind("semckd", MAPPED, fewer, numbers={"semckd.examples": 5})
    (bound,) = criterion.bound_terms
    assert bound.name == "squared/stages.0&stages.1&stages.2~stages.0&stages.1"
    s = {name: x.requires_grad_() for name, x in features(MAPPED, seed=1).items()}
    losses = step(criterion, s, features(fewer, seed=2))
    losses[bound.name].backward()
    assert [name for name, x in s.items() if x.grad is not None] == [
        f"stages.{i}" for i in range(3)
    ]
    assert all(p.grad is not None and bool(p.grad.any()) for p in criterion.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_attention_is_told_of_similarities_beyond_half_precision(dtype):
    s, t = ({k: 300 * x for k, x in features(each, seed=1).items()} for each in (MAPPED, WIDE))
    full = step(bind("semckd", MAPPED, WIDE, numbers={}), s, t)
    with torch.autocast("cpu", dtype=dtype):
        half = step(bind("semckd", MAPPED, WIDE, numbers={}), s, t)
    for name, value in half.items():
        torch.testing.assert_close(value, full[name], rtol=0.02, atol=0.02)


def test_nothing_is_made_of_one_side_of_what_depends_on_both():
    word = Component("project", {}, Component("semckd"))
    row = Method("own", (Term("stages", Component("cosine"), 1.0, word),))
    with pytest.raises(PairError, match="project of semckd: what semckd compares depends on"):
        bind(row, MAPPED, WIDE, numbers={})


def test_stages_fade_toward_the_finer_ones():
    weights = bind("ofd", MAPPED, WIDE, numbers={}).weights
    places = [f"partial_l2/stages.{i}" for i in range(3)]
    assert weights == {"task": 1.0} | dict(zip(places, (0.25, 0.5, 1.0), strict=True))


def test_where_the_teacher_is_no_longer_needed_the_heads_get_a_zero_gradient():
    criterion = bind("ab", MAPPED, WIDE, numbers={})
    losses = criterion(features(MAPPED), {}, batch(range(5), size=1))
    assert list(losses) == [f"ab/stages.{i}" for i in range(3)]
    sum(losses.values()).backward()
    assert [value.item() for value in losses.values()] == [0.0] * 3
    assert all(not p.grad.any() for p in criterion.parameters())


def test_a_loss_that_needs_labels_and_negatives_gets_both():
    contexts = []

    def supervised(student, teacher, *, labels, negatives, log_z, scale: float = 1.0):
        contexts.append((labels, negatives, log_z))
        return scale * (student - teacher).square().sum(1)

    spec = LossSpec(supervised, needs=("labels", "negatives", "log_z"), memory="must")
    term = Term(
        "embedding",
        Component("supervised", {"scale": 2.0}),
        1.0,
        Component("project", {"width": 8}),
        Component("bank", {"negatives": 16}),
    )
    criterion = bind(Method("own", (term,)), numbers={}, classes=4, losses={"supervised": spec})
    step(criterion, features(SHAPES), features(WIDER), rows=(4, 9, 17, 2, 30))
    ((labels_of_batch, negatives, log_z),) = contexts
    assert labels_of_batch.tolist() == [0, 1, 1, 2, 2]
    assert negatives.banks[0].shape == (EXAMPLES, 8)
    assert negatives.draw.count == 16
    assert log_z.shape == (2,)
    criterion.write()  # the memory stores what the loss read
    assert "supervised" not in LOSSES, "nothing global was changed"


def test_the_context_of_gathered_examples_is_gathered_with_them(tmp_path):
    """Two processes with half of a batch each compute what one computes with all of it."""
    ended(Two(gathered.__file__, cwd=tmp_path))


@pytest.fixture(scope="module")
def in_processes(tmp_path_factory):
    """By the number of processes: every method's losses and gradients, means over them."""
    out = tmp_path_factory.mktemp("parts")
    for count in (1, 2, 4):
        ended(Two("-m", in_parts.__name__, out, cwd=ROOT, count=count))
    return {n: torch.load(out / f"{n}.pt", weights_only=True) for n in (1, 2, 4)}


# As published, cktf-exact contrasts the rows of a process's own batch (decision 6).
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("name", [name for name in METHODS if name != "cktf-exact"])
def test_parts_of_a_batch_make_what_the_whole_batch_makes(in_processes, name, count):
    whole, parts = in_processes[1][name], in_processes[count][name]
    assert parts.keys() == whole.keys()
    for key, value in whole.items():
        size = max(value.abs().max().item(), 1e-3)
        torch.testing.assert_close(parts[key] / size, value / size, rtol=0, atol=1e-5, msg=key)


def test_binding_measures_nothing():
    """The shapes are those of zeros, which are no examples."""
    criterion = bind("cktf", numbers={})
    counts = [x for name, x in criterion.state_dict().items() if name.endswith("1.count")]
    assert counts
    assert not any(counts)
