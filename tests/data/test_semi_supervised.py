"""Two sets as one, and batches of both: who is in which, the same for every process and restart."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.data import Examples, build_views, join, open_examples
from mentee.data.semi_supervised import Proportion, mixed_batches, proportion
from mentee.errors import DataError
from mentee.types import Batch

VIEWS = build_views("none", seed=0)


def of(n: int, name: str, labels: Any = None, size: int = 4) -> Examples:
    """Images of one gray each, 100 and more where they are the second's."""
    gray = np.arange(n, dtype=np.uint8) + (100 if name == "b" else 0)
    image = np.broadcast_to(gray[:, None, None], (n, size, size)).copy()
    parts = {"image": image, "id": [f"{name}{i}" for i in range(n)]}
    return open_examples(parts if labels is None else {**parts, "label": labels})


def test_the_contents_of_both_are_read_in_any_order() -> None:
    both = join(of(5, "a", [0, 1, 2, 0, 1]), of(7, "b"))
    assert both.ids == tuple([f"a{i}" for i in range(5)] + [f"b{i}" for i in range(7)])
    rows = np.array([11, 0, 6, 4])
    result = both.read(rows)
    assert [int(each[0, 0, 0]) for each in result] == [106, 0, 101, 4]
    assert both.labels is not None
    assert both.labels.tolist() == [0, 1, 2, 0, 1] + [-1] * 7
    assert both.labeled is not None
    assert both.labeled.tolist() == [True] * 5 + [False] * 7
    some = both.take([6, 1])
    assert some.labeled is not None
    assert (some.labeled.tolist(), some.ids) == ([False, True], ("b1", "a1"))
    assert [int(each[0, 0, 0]) for each in some.read(np.array([0, 1]))] == [101, 1]


def test_parts_of_one_source_stay_in_it() -> None:
    whole = of(9, "a", np.arange(9) % 3)
    both = join(whole.take([1, 4, 5]), whole.take([0, 8]))
    assert both.contents is whole.contents
    assert [int(each[0, 0, 0]) for each in both.read(np.arange(5))] == [1, 4, 5, 0, 8]


def test_a_part_behind_another_source() -> None:
    both = join(of(9, "a", np.arange(9) % 3).take([7, 2]), of(6, "b").take([5, 3]))
    assert [int(each[0, 0, 0]) for each in both.read(np.arange(4))] == [7, 2, 105, 103]
    assert both.fingerprint() == both.fingerprint()
    assert both.fingerprint() != both.take([0, 1, 3, 2]).fingerprint()


def test_images_of_several_sizes() -> None:
    both = join(of(3, "a", [0, 1, 0]), of(3, "b", size=6))
    assert [tuple(each.shape) for each in both.read(np.array([4, 0]))] == [(6, 6, 1), (4, 4, 1)]


def test_several_classes_are_masked() -> None:
    both = join(of(3, "a", [[1, 0], [0, -1], [1, 1]]), of(2, "b"))
    assert both.labels is not None
    assert both.mask is not None
    assert both.mask.tolist() == [[True] * 2, [True, False], [True] * 2, [False] * 2, [False] * 2]
    assert (both.labels[3:] == 0).all()


def test_what_cannot_be_joined() -> None:
    with pytest.raises(DataError, match=r"2 ids of .* stand in .* too, such as 'a0'; name a col"):
        join(of(3, "a", [0, 1, 0]), of(2, "a"))
    with pytest.raises(DataError, match=r"holds image of 1 channels, .* text; expected the same"):
        join(of(3, "a", [0, 1, 0]), open_examples({"text": ["x", "y"]}))


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 300), st.integers(1, 300), st.integers(2, 12), st.floats(0.01, 0.99),
    st.integers(1, 4),
)  # fmt: skip
def test_a_proportion_is_near_the_share_and_equal_in_every_process(
    labeled: int, unlabeled: int, own: int, share: float, world: int
) -> None:
    batch = own * world
    try:
        result = proportion(labeled, unlabeled, batch, share, world)
    except DataError:
        wanted = max(min(round(own * share), own - 1), 1) * world
        assert wanted > unlabeled or batch - wanted > labeled
        return
    assert result.labeled + result.unlabeled == batch
    assert result.labeled % world == result.unlabeled % world == 0
    assert min(result.labeled, result.unlabeled) >= world
    assert abs(result.unlabeled - share * batch) <= max(world, 1)
    assert result.passes == (labeled // result.labeled, unlabeled // result.unlabeled)


def epoch(
    both: Examples, of: Proportion, number: int, start: int = 0, rank: int = 0, world: int = 1
) -> list[Batch]:
    return list(
        mixed_batches(
            both, of, views=VIEWS, seed=3, epoch=number, start=start, rank=rank, world=world
        )
    )


def test_every_example_comes_once_a_pass_and_views_go_on() -> None:
    """7 labeled, 3 a batch: 2 batches a pass; 31 others, 6 a batch: 5 batches an epoch."""
    both = join(of(7, "a", np.arange(7) % 2), of(31, "b"))
    result = proportion(7, 31, 9, 0.67, 1)
    assert (result.labeled, result.unlabeled, result.steps) == (3, 6, 5)
    batches = [batch for number in range(4) for batch in epoch(both, result, number)]
    assert len(batches) == 20
    for batch in batches:
        assert batch.labeled is not None
        assert batch.labeled.tolist() == [True] * 3 + [False] * 6
        assert batch.labels is not None
        assert ((batch.labels >= 0) == batch.labeled).all()
        assert torch.equal(batch.inputs[:, 0, 0, 0].mul(255).round().long() < 100, batch.labeled)
    for kind, passes in ((slice(0, 3), 2), (slice(3, 9), 5)):
        seen = [batch.ids[kind].tolist() for batch in batches]
        turns = [list(chain(*seen[i : i + passes])) for i in range(0, 20, passes)]
        assert all(len(set(turn)) == len(turn) for turn in turns)
        assert all(one != other for one, other in pairwise(turns)), "another order each time"
    assert [batch.view for batch in batches] == [i // 2 for i in range(20)]


@pytest.mark.parametrize("start", [0, 1, 4, 5])
def test_a_restart_goes_on_where_it_was(start: int) -> None:
    both = join(of(7, "a", np.arange(7) % 2), of(31, "b"))
    result = proportion(7, 31, 9, 0.67, 1)
    whole, rest = epoch(both, result, 2), epoch(both, result, 2, start)
    assert [b.ids.tolist() for b in rest] == [b.ids.tolist() for b in whole[start:]]
    assert [b.view for b in rest] == [b.view for b in whole[start:]]


def test_processes_share_each_batch() -> None:
    both = join(of(20, "a", np.arange(20) % 2), of(40, "b"))
    result = proportion(20, 40, 12, 0.5, 2)
    alone = epoch(both, result, 1)
    parts = [epoch(both, result, 1, rank=rank, world=2) for rank in (0, 1)]
    for whole, *shares in zip(alone, *parts, strict=True):
        assert {len(share) for share in shares} == {6}
        assert all(share.labeled is not None and share.labeled.sum() == 3 for share in shares)
        assert set(whole.ids.tolist()) == {k for share in shares for k in share.ids.tolist()}
        assert {share.view for share in shares} == {whole.view}


def test_views_begin_again_after_a_cycle() -> None:
    both = join(of(6, "a", np.arange(6) % 2), of(12, "b"))
    result = proportion(6, 12, 4, 0.5, 1)
    views = [
        batch.view
        for number in range(2)
        for batch in mixed_batches(both, result, views=VIEWS, seed=0, epoch=number, cycle=3)
    ]
    assert views == [0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0]


def test_too_few_for_a_batch() -> None:
    with pytest.raises(DataError, match=r"is 8 labeled and 8 unlabeled examples, and there are 5"):
        proportion(5, 100, 16, 0.5, 1)
