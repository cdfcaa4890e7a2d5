from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.data import (
    MODALITIES,
    Examples,
    batches,
    build_views,
    open_examples,
    read_batch,
    steps_per_epoch,
)
from mentee.data.loader import ahead
from mentee.errors import DataError
from mentee.types import CLEAN, Batch


def _examples(n: int = 23) -> Examples:
    rng = np.random.default_rng(0)
    parts = {
        "image": rng.integers(0, 256, (n, 4, 4), dtype=np.uint8),
        "label": rng.integers(0, 3, n),
    }
    return open_examples(parts, classes=["a", "b", "c"])


def _epoch(examples: Examples, **options: Any) -> list[Batch]:
    views = build_views("crop", seed=1, pad=1)
    options = {"batch": 5, "views": views, "view": 2, "seed": 3, "epoch": 0, **options}
    return list(batches(examples, **options))


def _rows(some: list[Batch]) -> list[int]:
    return [row for batch in some for row in batch.rows.tolist()]


def _same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x.inputs, y.inputs)
        and torch.equal(x.ids, y.ids)
        and torch.equal(x.rows, y.rows)
        and (x.labels is y.labels is None or torch.equal(x.labels, y.labels))
        and x.view == y.view
        for x, y in zip(a, b, strict=True)
    )


def test_a_batch_holds_what_belongs_together() -> None:
    examples = _examples()
    for batch in _epoch(examples, view=CLEAN):
        rows = batch.rows.numpy()
        assert batch.ids.tolist() == examples.keys[rows].tolist()
        assert examples.labels is not None
        assert batch.labels is not None
        assert batch.labels.tolist() == examples.labels[rows].tolist()
        assert batch.mask is None
        assert batch.view == CLEAN
        pixels = examples.read(rows).permute(0, 3, 1, 2).float() / 255
        assert torch.equal(batch.inputs, pixels)
        assert batch.inputs.is_contiguous(memory_format=torch.channels_last)


def test_several_classes_and_no_labels() -> None:
    image = np.zeros((4, 2, 2), np.uint8)
    multi = open_examples({"image": image, "label": [[1, 0], [0, -1], [1, 1], [0, 0]]})
    batch = _epoch(multi, batch=4, shuffle=False)[0]
    assert batch.labels is not None
    assert batch.labels.dtype == torch.float32
    assert batch.mask is not None
    assert batch.mask[1].tolist() == [True, False]
    assert _epoch(open_examples({"image": image}), batch=4)[0].labels is None


def test_an_epoch_replays_and_another_differs() -> None:
    examples = _examples()
    first = _epoch(examples)
    torch.manual_seed(99)
    assert _same(first, _epoch(examples))
    assert len(set(_rows(first))) == len(_rows(first)) == 20
    assert _rows(_epoch(examples, epoch=1)) != _rows(first)
    assert _rows(_epoch(examples, seed=4)) != _rows(first)
    plain = _epoch(examples, shuffle=False, drop_last=False)
    assert _rows(plain) == list(range(23))


def test_the_order_follows_the_ids_not_the_source() -> None:
    image, names = np.zeros((23, 2, 2), np.uint8), [f"id{i}" for i in range(23)]
    examples = open_examples({"image": image, "id": names})
    backwards = open_examples({"image": image, "id": names[::-1]})
    ids = [batch.ids.tolist() for batch in _epoch(examples)]
    assert [batch.ids.tolist() for batch in _epoch(backwards)] == ids


@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_a_restart_goes_on_exactly(start: int) -> None:
    examples = _examples()
    assert _same(_epoch(examples, start=start), _epoch(examples)[start:])


def test_a_restart_reads_nothing_of_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    examples, read = _examples(), []
    plain = Examples.read
    monkeypatch.setattr(
        Examples, "read", lambda self, rows: (read.append(rows), plain(self, rows))[1]
    )
    _epoch(examples, start=3)
    assert [len(rows) for rows in read] == [5]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4), st.booleans())
def test_shares_of_processes_make_up_the_batches(
    n: int, batch: int, world: int, drop_last: bool
) -> None:
    batch = batch * world
    if drop_last and n < batch:
        return
    examples = _examples(n)
    options = {"batch": batch, "drop_last": drop_last}
    whole = _epoch(examples, **options)
    assert len(whole) == steps_per_epoch(n, batch, drop_last)
    shares = [_epoch(examples, rank=rank, world=world, **options) for rank in range(world)]
    for i, one in enumerate(whole):
        parts = [share[i].rows for share in shares if i < len(share)]
        assert torch.cat(parts).tolist() == one.rows.tolist()
        if drop_last:
            assert {len(part) for part in parts} == {batch // world}
    assert drop_last or sorted(_rows(whole)) == list(range(n))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 4))
def test_what_is_scored_is_cut_into_the_same_batches_by_any_number_of_processes(
    n: int, batch: int, world: int
) -> None:
    """So that the outputs for an example do not depend on that number."""
    options = {"shuffle": False, "drop_last": False, "view": CLEAN}
    examples = _examples(n)
    alone = [part.rows.tolist() for part in _epoch(examples, batch=batch, **options)]
    options |= {"batch": batch * world, "world": world}
    shares = [part for rank in range(world) for part in _epoch(examples, rank=rank, **options)]
    assert sorted(part.rows.tolist() for part in shares) == alone


@pytest.mark.parametrize("name", ["crop-flip", "random-resized-crop"])
def test_workers_change_nothing(name: str, folder: Callable[..., Path]) -> None:
    root = folder(*(f"cat/{i}.png" for i in range(5)), h=9, w=7)
    folder(*(f"dog/{i}.png" for i in range(6)), h=8, w=12)
    examples = open_examples(root)
    options = {"batch": 3, "views": build_views(name, seed=0, size=6, pad=1), "drop_last": False}
    torch.manual_seed(1)
    before = torch.get_rng_state()
    here = _epoch(examples, **options)
    assert _same(_epoch(examples, workers=2, **options), here)
    assert torch.equal(torch.get_rng_state(), before)
    assert _same(_epoch(examples, workers=1, start=3, **options), here[3:])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named_from_a_worker(folder: Callable[..., Path], workers: int) -> None:
    root = folder("cat/0.png", "cat/1.png", h=9, w=7)
    folder("cat/2.png", h=8, w=7)
    examples = open_examples(root)
    assert not examples.load()
    (root / "cat" / "1.png").write_bytes(b"rubbish")
    views = build_views("none", seed=0, size=4)
    with pytest.raises(DataError, match=r"^the image 'cat/1.png' cannot be decoded"):
        _epoch(examples, batch=3, views=views, workers=workers)


def test_examples_and_views_can_be_sent_to_a_process(folder: Callable[..., Path]) -> None:
    examples = open_examples(folder("cat/0.png", "dog/1.png"))
    for name in MODALITIES["image"].views:
        views = build_views(name, seed=0, size=4)
        there = pickle.loads(pickle.dumps((examples, views)))
        options = {"batch": 2, "shuffle": False}
        assert _same(
            _epoch(there[0], views=there[1], **options), _epoch(examples, views=views, **options)
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 24}, "23 examples are fewer than one batch of 24"),
        ({"batch": 0}, "batch 0: expected at least 1"),
        ({"batch": 10, "world": 4}, "cannot be shared equally by 4 processes: .* such as 12"),
        ({"rank": 2, "world": 2}, "rank 2 of 2 processes: expected 0 to 1"),
        ({"start": 5}, "start 5: the epoch has 4 batches"),
    ],
)
def test_numbers_that_are_refused(options: dict[str, int], message: str) -> None:
    views = build_views("none", seed=0)
    options = {"batch": 5, "views": views, "view": 0, "seed": 0, "epoch": 0, **options}
    with pytest.raises(DataError, match=message):
        batches(_examples(), **options)


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "ahead" in thread.name]


@pytest.mark.parametrize("name", MODALITIES["audio"].views)
def test_reading_ahead_changes_nothing(name: str) -> None:
    rng = np.random.default_rng(0)
    clips = [rng.uniform(-1, 1, n).astype(np.float32) for n in (40, 60, 50, 90, 70, 80, 30)]
    examples = open_examples({"audio": clips, "sample_rate": 1000})
    views = build_views(name, kind="audio", seed=0, seconds=0.05, sample_rate=1000)
    options = {"batch": 2, "views": views, "start": 1}
    here = [
        read_batch(examples, b.rows.numpy(), views=views, view=2)
        for b in _epoch(examples, **options)
    ]
    assert _same(_epoch(examples, **options), here)
    assert len(here) == 2
    assert not _threads()


def test_at_most_one_more_is_read_ahead_and_closing_ends_the_thread() -> None:
    read: list[int] = []
    items = ahead(read.append(i) or i for i in range(9))
    assert not read
    assert [next(items), next(items)] == [0, 1]
    assert _threads()
    items.close()
    assert read == [0, 1, 2]
    assert not _threads()


def test_an_error_ahead_is_raised_in_its_turn() -> None:
    def numbers() -> Iterator[int]:
        yield 0
        yield 1
        raise DataError("a damaged clip")

    items = ahead(numbers())
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(DataError, match="a damaged clip"):
        next(items)
    assert not _threads()


def test_an_interrupted_reader_ahead_leaves_no_thread() -> None:
    def take() -> None:
        for _ in ahead(iter(range(9))):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take()
    gc.collect()
    assert not _threads()
