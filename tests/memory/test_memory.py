"""Banks and queues against plain Python: what they draw, what they keep, what they forget."""

from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mentee.memory.bank
from mentee.errors import MenteeError, RunError
from mentee.losses.contrast import contrast
from mentee.memory import MEMORIES, Bank, Queue, batch_only
from mentee.representations import unit_norm
from tests.processes import ended, start

HALVES = {"float16": 2e-3, "bfloat16": 2e-2}


def vectors(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return unit_norm(torch.randn(*shape, generator=generator, dtype=dtype))


def classes(n=60, count=5):
    return torch.arange(n) % count


# What a bank holds


@pytest.mark.parametrize("width", [3, 48])
def test_a_bank_begins_uniform_and_no_two_parts_of_it_alike(width):
    bank = Bank(["a", "b"], classes(2000), width, seed=4)
    reach = 1 / (width / 3) ** 0.5
    parts = torch.stack([side for name in "ab" for side in bank.stores[name]])
    for part in parts:
        assert part.abs().max() <= reach
        edges = torch.linspace(-reach, reach, 11)
        share = torch.histogram(part.flatten(), edges)[0] / part.numel()
        assert (share - 0.1).abs().max() < 6 * (0.09 / part.numel()) ** 0.5
    correlations = torch.corrcoef(parts.flatten(1)) - torch.eye(4)
    assert correlations.abs().max() < 0.06
    again, other = (Bank(["a", "b"], classes(2000), width, seed=seed) for seed in (4, 5))
    assert torch.equal(bank.stores["a"], again.stores["a"])
    assert not torch.equal(bank.stores["a"], other.stores["a"])


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_a_bank_moves_toward_what_was_seen(momentum):
    bank = Bank(["a", "b"], classes(), 4, negatives=7, momentum=momentum)
    stores = {name: store.double() for name, store in bank.stores.items()}
    bank.stores = {name: store.clone() for name, store in stores.items()}
    expected = {name: store.numpy().copy() for name, store in stores.items()}
    for step, rows in enumerate([[3, 9, 0], [9, 8, 59]]):
        bank.begin(torch.tensor(rows), step)
        for number, name in enumerate("ab"):
            new = [vectors(3, 4, seed=10 * step + 2 * number + side) for side in (0, 1)]
            bank.read(name, *new)
            for side in (0, 1):
                for row, seen in zip(rows, new[side].numpy(), strict=True):
                    moved = momentum * expected[name][side][row] + (1 - momentum) * seen
                    expected[name][side][row] = moved / np.sqrt((moved**2).sum())
        bank.write()
    for name in "ab":
        np.testing.assert_allclose(bank.stores[name].numpy(), expected[name], rtol=1e-12)


def test_a_step_of_several_batches_is_written_as_one():
    """Accumulation: the rows of all its batches are written, each with its own vectors."""
    once, parts = (Bank(["a"], classes(), 4, negatives=7) for _ in range(2))
    student, teacher = (
        vectors(4, 4, dtype=torch.float32),
        vectors(4, 4, seed=1, dtype=torch.float32),
    )
    once.begin(torch.arange(4), 0)
    once.read("a", student, teacher)
    for half in (slice(0, 2), slice(2, 4)):
        parts.begin(torch.arange(4)[half], 0)
        parts.read("a", student[half], teacher[half])
    before = parts.stores["a"].clone()
    assert torch.equal(before, Bank(["a"], classes(), 4, negatives=7).stores["a"])
    once.write()
    parts.write()
    assert not torch.equal(before, parts.stores["a"])
    assert torch.equal(once.stores["a"], parts.stores["a"])
    kept = parts.stores["a"].clone()
    parts.write()  # nothing was read since
    assert torch.equal(kept, parts.stores["a"])


@pytest.mark.parametrize("dtype", HALVES)
def test_a_bank_in_half_precision_follows_one_in_full(dtype):
    full, half = (Bank(["a"], classes(), 8, negatives=9, dtype=d) for d in ("float32", dtype))
    assert half.stores["a"].dtype == getattr(torch, dtype)
    for step in range(5):
        for bank in (full, half):
            bank.begin(torch.arange(step, step + 4), step)
            bank.read("a", *(vectors(4, 8, seed=step + s, dtype=torch.float32) for s in (0, 50)))
            bank.write()
    close = {"rtol": 0.0, "atol": HALVES[dtype]}
    torch.testing.assert_close(half.stores["a"].float(), full.stores["a"], **close)


def test_positives_are_the_rows_of_the_batch_and_nothing_has_a_gradient():
    bank = Bank(["a"], classes(), 4, negatives=7)
    rows = torch.tensor([5, 2, 2])
    bank.begin(rows, 0)
    student = vectors(3, 4, dtype=torch.float32).requires_grad_()
    read = bank.read("a", student, student)
    for side in (0, 1):
        assert torch.equal(read.positives[side], bank.stores["a"][side][rows])
    bank.write()
    assert not any(x.requires_grad for x in (*read.positives, *read.banks, bank.stores["a"]))


# What a bank draws


def test_a_shared_draw_is_uniform_and_without_repetition(monkeypatch):
    n, count, draws = 30, 6, 600
    bank = Bank(["a"], classes(n), 3, negatives=count)
    seen = torch.zeros(n)
    for step in range(draws):
        bank.begin(torch.arange(2), step)
        rows = bank.read("a", vectors(2, 3), vectors(2, 3)).draw.rows
        assert len(rows) == count == len(set(rows.tolist()))
        seen[rows] += 1
    deviation = (draws * (count / n) * (1 - count / n)) ** 0.5
    assert (seen - draws * count / n).abs().max() < 4.5 * deviation


def test_a_shared_draw_from_millions_is_uniform_too(monkeypatch):
    monkeypatch.setattr(mentee.memory.bank, "FULL_PERMUTATION", 10)
    n, count, draws = 30, 6, 600
    bank = Bank(["a"], classes(n), 3, negatives=count)
    seen = torch.zeros(n)
    for step in range(draws):
        bank.begin(torch.arange(2), step)
        rows = bank.read("a", vectors(2, 3), vectors(2, 3)).draw.rows
        assert rows.shape == (count,)
        seen += torch.bincount(rows, minlength=n)
    deviation = (draws * count / n * (1 - 1 / n)) ** 0.5
    assert (seen - draws * count / n).abs().max() < 4.5 * deviation


def loss_of(bank, rows, student, teacher):
    bank.begin(rows, 3)
    negatives = bank.read("a", student, teacher)
    return contrast(student, teacher, negatives=negatives, log_z=torch.tensor([4.0, 4.0]))


@pytest.mark.parametrize("draw", ["shared", "exact"])
@pytest.mark.parametrize("count", [20, 60])
def test_the_own_class_has_no_effect_and_the_others_have(draw, count):
    rows = torch.tensor([0, 5, 10, 15])  # all of class 0, their own rows apart from the changed
    student, teacher = (vectors(4, 6, seed=s, dtype=torch.float32) for s in (1, 2))
    losses = []
    for changed in (None, 0, 1):
        bank = Bank(["a"], classes(), 6, negatives=count, draw=draw)
        if changed is not None:
            touched = (classes() == changed) & ~torch.isin(torch.arange(60), rows)
            bank.stores["a"][:, touched] = vectors(2, int(touched.sum()), 6).float()
        losses.append(loss_of(bank, rows, student, teacher))
    assert torch.equal(losses[0], losses[1])
    assert (losses[0] - losses[2]).abs().min() > 1e-3


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 40), kinds=st.integers(2, 9), seed=st.integers(0, 99))
def test_an_exact_draw_is_k_rows_of_other_classes(count, kinds, seed):
    labels = torch.randint(kinds, (30,), generator=torch.Generator().manual_seed(seed))
    labels[:2] = torch.tensor([0, 1])
    bank = Bank(["a"], labels, 3, negatives=count, draw="exact", seed=seed)
    anchors = torch.arange(0, 30, 7)
    bank.begin(anchors, seed)
    draw = bank.read("a", vectors(len(anchors), 3), vectors(len(anchors), 3)).draw
    assert draw.rows.shape == (len(anchors), count)
    assert draw.count == count
    assert draw.noise == count / 30
    for anchor, rows in zip(anchors.tolist(), draw.rows.tolist(), strict=True):
        assert all(labels[row] != labels[anchor] for row in rows)
        if int((labels != labels[anchor]).sum()) >= count:
            assert len(set(rows)) == count


def test_an_exact_draw_reaches_every_row_of_other_classes_equally():
    n, count, draws = 24, 5, 500
    bank = Bank(["a"], classes(n, 4), 3, negatives=count, draw="exact")
    seen = torch.zeros(n)
    for step in range(draws):
        bank.begin(torch.tensor([2]), step)
        seen[bank.read("a", vectors(1, 3), vectors(1, 3)).draw.rows[0]] += 1
    others = classes(n, 4) != 2
    share = count / int(others.sum())
    assert seen[~others].sum() == 0
    assert (seen[others] - draws * share).abs().max() < 4.5 * (draws * share * (1 - share)) ** 0.5


def test_an_exact_draw_from_one_class_is_refused():
    bank = Bank(["a"], torch.zeros(9, dtype=torch.int64), 3, negatives=4, draw="exact")
    with pytest.raises(MenteeError, match=r"all training examples are of one class.*class_aware"):
        bank.begin(torch.tensor([0]), 0)


@pytest.mark.parametrize("count", [30, 31, 500])
def test_a_bank_of_no_more_than_k_rows_is_taken_whole(count):
    bank = Bank(["a"], classes(30, 3), 3, negatives=count)
    bank.begin(torch.tensor([0, 7]), 0)
    draw = bank.read("a", vectors(2, 3), vectors(2, 3)).draw
    assert draw.rows is None
    assert draw.at_hand.tolist() == [20.0, 20.0]
    assert draw.count == count
    assert draw.noise == count / 30


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999), kinds=st.integers(1, 6))
def test_the_rows_at_hand_are_counted(seed, kinds):
    labels = torch.randint(kinds, (40,), generator=torch.Generator().manual_seed(seed))
    bank = Bank(["a"], labels, 3, negatives=11, seed=seed)
    bank.begin(torch.arange(8), seed)
    draw = bank.read("a", vectors(8, 3), vectors(8, 3)).draw
    for anchor in range(8):
        own = [row for row in draw.rows.tolist() if labels[row] == labels[anchor]]
        assert draw.at_hand[anchor] == 11 - len(own)
    assert draw.groups.tolist() == labels[draw.rows].tolist()
    assert draw.anchors.tolist() == labels[:8].tolist()


@pytest.mark.parametrize("draw", ["shared", "exact"])
def test_all_modules_read_one_draw_and_each_step_has_another(draw):
    bank = Bank(["a", "b"], classes(), 3, negatives=7, draw=draw)
    drawn = []
    for step in range(3):
        bank.begin(torch.arange(4), step)
        reads = [bank.read(name, vectors(4, 3), vectors(4, 3)) for name in "ab"]
        assert reads[0].draw is reads[1].draw
        drawn.append(reads[0].draw.rows)
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])


def test_an_exact_draw_is_the_anchors_own_whatever_its_batch():
    """So every process can draw for its part of the batch alone."""
    bank = Bank(["a"], classes(), 3, negatives=7, draw="exact")
    bank.begin(torch.tensor([4, 9, 30]), 5)
    together = bank.read("a", vectors(3, 3), vectors(3, 3)).draw.rows
    bank.begin(torch.tensor([9]), 5)
    assert torch.equal(together[1:2], bank.read("a", vectors(1, 3), vectors(1, 3)).draw.rows)


PRINT_DRAWS = """
import torch
from mentee.memory import Bank
torch.manual_seed({own})
for draw in ("shared", "exact"):
    bank = Bank(["a"], torch.arange(50) % 5, 3, negatives=6, draw=draw, seed=2)
    bank.begin(torch.tensor([3, 4]), 7)
    read = bank.read("a", torch.zeros(2, 3), torch.zeros(2, 3))
    print(read.draw.rows.tolist(), read.banks[0].sum().item())
"""


def test_seed_and_step_fix_the_draw_in_any_process(capsys):
    exec(PRINT_DRAWS.format(own=1), {})
    here = capsys.readouterr().out
    assert here == ended(start("-c", PRINT_DRAWS.format(own=2)))
    exec(PRINT_DRAWS.format(own=1).replace("seed=2", "seed=3"), {})
    assert here.splitlines()[0] != capsys.readouterr().out.splitlines()[0]


# Queues


@settings(deadline=None, max_examples=40)
@given(
    length=st.integers(0, 7),
    sizes=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=2), min_size=1, max_size=6),
)
def test_a_queue_is_first_in_first_out(length, sizes):
    """A step may read several batches; a batch may be longer than the queue."""
    labels = torch.arange(100) % 7
    queue = Queue(["a", "b"], labels, 2, negatives=length)
    kept = {name: deque(maxlen=length) for name in "ab"}
    tag = 0
    for step, parts in enumerate(sizes):
        seen = {name: [] for name in "ab"}
        for b in parts:
            rows = torch.arange(tag, tag + b) % 100
            queue.begin(rows, step)
            for name in "ab":
                student = torch.stack([torch.arange(tag, tag + b).float() + 1, torch.ones(b)], 1)
                student[:, 1] *= ord(name)
                read = queue.read(name, student, -student)
                groups = [int(labels[row]) for row in rows] + [each[2] for each in kept[name]]
                check_read(read, student, kept[name], groups, labels[rows])
                new = [
                    (*each, int(labels[row]))
                    for each, row in zip(student.tolist(), rows, strict=True)
                ]
                seen[name] += new
            tag += b
        queue.write()
        for name in "ab":
            kept[name].extend(seen[name])


def check_read(read, student, kept, groups, anchors):
    """The batch itself, then what is queued, in any order; each entry with its group."""
    b, found = len(student), read.banks[0]
    assert torch.equal(read.positives[0], student)
    assert torch.equal(read.positives[1], -student)
    assert torch.equal(read.banks[1], -found)
    assert torch.equal(found[:b], student)
    queued = zip(found[b:].tolist(), read.draw.groups[b:].tolist(), strict=True)
    assert sorted((*vector, group) for vector, group in queued) == sorted(kept)
    others = [sum(group != int(own) for group in groups) for own in anchors]
    assert read.draw.at_hand.tolist() == others


@pytest.mark.parametrize("dtype", HALVES)
def test_a_queue_in_half_precision_gives_back_what_it_was_given(dtype):
    queue = Queue(["a"], classes(), 8, negatives=6, dtype=dtype)
    first = vectors(4, 8, dtype=torch.float32)
    queue.begin(torch.arange(4), 0)
    queue.read("a", first, first.flip(0))
    queue.write()
    assert queue.stores["a"].dtype == getattr(torch, dtype)
    queue.begin(torch.arange(4, 6), 1)
    read = queue.read("a", first[:2], first[:2])
    close = {"rtol": 0.0, "atol": HALVES[dtype]}
    torch.testing.assert_close(read.banks[0][2:], first, **close)
    torch.testing.assert_close(read.banks[1][2:], first.flip(0), **close)


def test_a_queue_stands_for_its_length_and_the_batch_for_itself():
    queue, alone = (make(["a"], classes(), 4) for make in (Queue, batch_only))
    for memory, count in ((queue, 16384), (alone, 2)):
        memory.begin(torch.tensor([0, 1, 5]), 0)
        draw = memory.read("a", vectors(3, 4), vectors(3, 4)).draw
        assert draw.count == count
        assert draw.rows is None
        assert draw.at_hand.tolist() == [1.0, 2.0, 1.0]


def test_the_batch_alone_keeps_nothing():
    memory = batch_only(["a"], torch.arange(60), 4)
    for step, b in enumerate((3, 1, 5)):
        memory.begin(torch.arange(b), step)
        student = vectors(b, 4, seed=step, dtype=torch.float32)
        read = memory.read("a", student, student)
        assert torch.equal(read.banks[0], student)
        assert read.draw.at_hand.tolist() == [b - 1.0] * b
        memory.write()
    assert memory.stores["a"].numel() == 0


# Groups, states, errors


@pytest.mark.parametrize("kind", ["bank", "queue"])
def test_without_classes_only_an_example_itself_is_left_out(kind):
    n = 12
    memory = MEMORIES[kind](["a"], torch.arange(n), 3, negatives=n)
    for step in (0, 1):  # the second time the queue holds the examples themselves
        memory.begin(torch.arange(n), step)
        draw = memory.read("a", vectors(n, 3).float(), vectors(n, 3).float()).draw
        copies = [draw.groups.tolist().count(row) for row in range(n)]
        assert draw.at_hand.tolist() == [len(draw.groups) - times for times in copies]
        memory.write()
    assert copies == ([1] * n if kind == "bank" else [2] * n)


def new(kind):
    recorded = (lambda name, rows: vectors(60, 3).float()[rows],) if kind == "record" else ()
    numbers = {} if kind == "batch" else {"negatives": 5}
    return MEMORIES[kind](["a", "b"], classes(), 3, *recorded, **numbers)


def after_some_steps(kind, steps, memory=None, begun=0):
    memory = memory or new(kind)
    for step in range(begun, begun + steps):
        memory.begin(torch.arange(step, step + 4), step)
        for name in "ab":
            reads = memory.read(name, *(vectors(4, 3, seed=step + s).float() for s in (0, 30)))
            memory.log_z.setdefault(name, torch.tensor([1.0 + step, 2.0]))
        memory.write()
    return memory, reads


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_loaded_state_goes_on_as_if_never_interrupted(kind):
    whole, expected = after_some_steps(kind, 5)
    half, _ = after_some_steps(kind, 3)
    state = {key: value.clone() for key, value in half.state().items()}
    fresh = new(kind)
    fresh.load(state)
    _, got = after_some_steps(kind, 2, fresh, begun=3)
    for side in (0, 1):
        assert torch.equal(got.banks[side], expected.banks[side])
        assert torch.equal(got.positives[side], expected.positives[side])
    assert fresh.state().keys() == whole.state().keys()
    assert all(torch.equal(value, whole.state()[key]) for key, value in fresh.state().items())
    assert fresh.log_z["a"].tolist() == [1.0, 2.0]


def test_a_state_of_another_size_is_refused():
    small, large = (Bank(["a"], classes(n), 3) for n in (20, 30))
    with pytest.raises(RunError, match=r"has bank\.a \[2, 20, 3\], this run expects \[2, 30, 3\]"):
        large.load(small.state())
    short, long = (Queue(["a"], classes(), 3, negatives=k) for k in (4, 6))
    with pytest.raises(RunError, match=r"has queue\.a .*; resume with the recipe, the data and"):
        long.load(short.state())


def test_a_state_with_other_modules_is_refused():
    one, two = (Bank(names, classes(), 3) for names in (["a"], ["a", "b"]))
    with pytest.raises(RunError, match=r"has bank\.b .*, this run expects no such entry"):
        one.load(two.state())
    with pytest.raises(RunError, match=r"has bank\.b no such entry, this run expects \[2, 60, 3\]"):
        two.load(one.state())


@pytest.mark.parametrize(("kind", "count"), [("bank", 0), ("bank", -1), ("queue", -1)])
def test_too_few_negatives_are_refused(kind, count):
    with pytest.raises(MenteeError, match=rf"negatives is {count}, expected at least"):
        MEMORIES[kind](["a"], classes(), 3, negatives=count)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_a_momentum_outside_its_range_is_refused(momentum):
    with pytest.raises(MenteeError, match=r"momentum is .*, expected at least 0 and below 1"):
        Bank(["a"], classes(), 3, momentum=momentum)
