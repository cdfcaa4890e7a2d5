"""Examples to batches: an order that replays, an exact restart, a share for each process; mixup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mentee.data.counter_rng import Int64Array, mix
from mentee.data.examples import Examples
from mentee.data.modality import Views
from mentee.errors import DataError
from mentee.threads import held_signals
from mentee.types import Batch, Mixup

_LOW_64 = (1 << 64) - 1


def steps_per_epoch(n: int, batch: int, drop_last: bool = True) -> int:
    """How many batches an epoch has: `⌊n / batch⌋`, or `⌈n / batch⌉` with the last, smaller one.

    Example:
        >>> steps_per_epoch(50_000, 64), steps_per_epoch(50_000, 64, drop_last=False)
        (781, 782)
    """
    return n // batch if drop_last else -(-n // batch)


def batches(
    examples: Examples,
    *,
    batch: int,
    views: Views,
    view: int,
    seed: int,
    epoch: int,
    start: int = 0,
    shuffle: bool = True,
    drop_last: bool = True,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    balanced: bool = False,
) -> Iterator[Batch]:
    """One epoch, in an order that depends on nothing but (seed, epoch) and the ids.

    Args:
        examples: what to read.
        batch: examples in a batch, over all processes.
        views: turns what the examples hold into what a network reads.
        view: the number of the view, or `CLEAN`.
        seed: of the order.
        epoch: from 0; another epoch, another order.
        start: leave out so many batches without reading them, to go on where a run stopped.
        shuffle: false: the order of `examples`.
        drop_last: leave out the last, smaller batch; then all processes get equal shares.
        rank: which process this is, in [0, world).
        world: how many processes share each batch; process `rank` gets a contiguous piece of it,
            as long as every other, apart from a last, smaller batch.
        workers: worker processes; 0: read in this one. The batches are the same either way, and
            what is in memory and has fast views is read in this one whatever the number.
        balanced: every class is equally frequent, by `balanced_order`.

    Returns:
        The batches from `start` on. A process whose share of the last batch is empty gets one
        batch less.

    Raises:
        DataError: there are fewer examples than one batch, or a number is out of range.
    """
    steps = _steps(len(examples), batch, drop_last, rank, world, start)
    order = np.arange(len(examples))
    if shuffle:
        order = (balanced_order if balanced else _order)(examples, seed, epoch)
    piece = -(-batch // world)
    own = slice(rank * piece, (rank + 1) * piece)
    shares = [order[i * batch : (i + 1) * batch][own] for i in range(start, steps)]
    return in_turn(examples, views, [(view, share) for share in shares if len(share)], workers)


def in_turn(
    examples: Examples, views: Views, shares: list[tuple[int, Int64Array]], workers: int
) -> Iterator[Batch]:
    """Batches of some rows, each in its view, read one after the other."""
    reader = _Reader(examples, views, shares)
    if workers == 0 or (examples.load() and views.fast):
        read: Iterator[Batch | DataError] = map(reader.__getitem__, range(len(reader)))
        if examples.modality.prefetch and views.fast:
            examples.load()  # here, where it can be interrupted
            read = ahead(map(pinned, read) if torch.cuda.is_available() else read)
        return _raised(read)
    # Processes, not threads: torchvision draws from a generator that all threads share.
    # Its own generator keeps DataLoader from drawing on the global one.
    own = torch.Generator().manual_seed(0)
    gpu = torch.cuda.is_available()
    return _raised(
        DataLoader(reader, batch_size=None, num_workers=workers, generator=own, pin_memory=gpu)
    )


def pinned(read: Batch | DataError) -> Batch | DataError:
    """A batch in memory from which a GPU copies while the host goes on; an error as it is."""
    return read.pin_memory() if isinstance(read, Batch) else read


def _order(examples: Examples, seed: int, epoch: int) -> Int64Array:
    return np.argsort(mix(seed, examples.keys, "order", epoch))


def balanced_order(examples: Examples, seed: int, epoch: int) -> Int64Array:
    """As many rows as there are examples, of each group of the task's `strata` as many.

    Those of a group follow one another in passes over it, each in another order, that go on from
    epoch to epoch: none is read again before all others of its group were.
    """
    groups = examples.task.strata(np.asarray(examples.labels))
    members = [np.flatnonzero(groups == each) for each in np.unique(groups)]
    quota = -(-len(examples) // len(members))
    rows = []
    for own in members:
        passes = range(epoch * quota // len(own), ((epoch + 1) * quota - 1) // len(own) + 1)
        orders = [own[np.argsort(mix(seed, examples.keys[own], "balanced", n))] for n in passes]
        start = epoch * quota - passes.start * len(own)
        rows.append(np.concatenate(orders)[start : start + quota])
    drawn = np.concatenate(rows)
    shuffled = np.argsort(mix(seed, np.arange(len(drawn)), "order", epoch))
    return drawn[shuffled][: len(examples)]


def _steps(n: int, batch: int, drop_last: bool, rank: int, world: int, start: int) -> int:
    if batch < 1:
        raise DataError(f"batch {batch}: expected at least 1 example")
    if not 0 <= rank < world:
        raise DataError(f"rank {rank} of {world} processes: expected 0 to {world - 1}")
    if drop_last and batch % world:
        raise DataError(
            f"batch {batch} cannot be shared equally by {world} processes: "
            f"choose a multiple of {world}, such as {-(-batch // world) * world}"
        )
    steps = steps_per_epoch(n, batch, drop_last)
    if steps == 0:
        raise DataError(
            f"{n} examples are fewer than one batch of {batch}, so an epoch would have no steps: "
            f"choose a batch of at most {n}, or give more examples"
        )
    if not 0 <= start <= steps:
        raise DataError(f"start {start}: the epoch has {steps} batches")
    return steps


@dataclass(frozen=True, eq=False)
class _Reader(Dataset[Batch | DataError]):
    examples: Examples
    views: Views
    shares: list[tuple[int, Int64Array]]

    def __len__(self) -> int:
        return len(self.shares)

    def __getitem__(self, index: int) -> Batch | DataError:
        # An error is handed over, not raised: DataLoader would bury its text in a traceback.
        view, rows = self.shares[index]
        try:
            return read_batch(self.examples, rows, views=self.views, view=view)
        except DataError as error:
            return error


T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each read in a thread while the one before it is in use.

    At most one more is read than is asked for. Closing the iterator waits for it and ends the
    thread; what goes wrong in the thread is raised here, in its turn.
    """
    end = object()
    with ThreadPoolExecutor(1, "mentee-ahead") as thread:
        with held_signals():
            coming = thread.submit(next, items, end)
        while True:
            with held_signals():
                if (item := coming.result()) is end:
                    return
                coming = thread.submit(next, items, end)
            yield cast(T, item)


def _raised(results: Iterable[Batch | DataError]) -> Iterator[Batch]:
    for result in results:
        if isinstance(result, DataError):
            raise result
        yield result


def read_batch(examples: Examples, rows: Int64Array, *, views: Views, view: int) -> Batch:
    """Read some examples as one batch.

    Raises:
        DataError: an image or a clip is damaged, or they have several sizes or lengths and none
            was chosen.
    """
    keys = torch.from_numpy(examples.keys[rows])
    labels, mask, labeled = examples.labels, examples.mask, examples.labeled
    return Batch(
        inputs=views(examples.read(rows), keys, view),
        ids=keys,
        rows=torch.from_numpy(np.asarray(rows, np.int64)),
        labels=None if labels is None else torch.from_numpy(labels[rows]),
        mask=None if mask is None else torch.from_numpy(mask[rows]),
        view=view,
        labeled=None if labeled is None else torch.from_numpy(labeled[rows]),
    )


def mixup(batch: Batch, *, alpha: float, seed: int, step: int) -> Batch:
    """Mix the inputs of a batch: images, or audio.

        λ ~ Beta(α, α),  λ ← max(λ, 1 − λ),  xᵢ ← λ xᵢ + (1 − λ) x_π(i)

    One λ and one random permutation π are drawn for the batch, from (seed, step) and nothing else.
    Labels, mask and ids stay as they are: losses and teachers mix their own values by `mixed`.

    Args:
        batch: `b` examples, with floating-point inputs that are not mixed yet.
        alpha: α > 0; the smaller, the less is mixed: 0.3 in EAsT, 0.2 to 1 elsewhere.
        seed: another seed, other draws.
        step: the optimizer step.

    Returns:
        The batch with mixed inputs, of the same memory format, and `mixed` saying how.

    Raises:
        DataError: the inputs are text, or mixed already, or α is not above 0.

    Example:
        >>> x, two = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.arange(2)
        >>> mixed = mixup(Batch(x, ids=two, rows=two), alpha=0.3, seed=0, step=1)
        >>> bool(torch.equal(mixed.inputs, mixed.mixed.of(x)))
        True

    Reference:
        Zhang et al., mixup, 2018, arXiv 1710.09412; max(λ, 1 − λ) as in EAsT, arXiv 2306.17424.
    """
    if not batch.inputs.is_floating_point():
        raise DataError(
            f"mixup cannot mix {batch.inputs.dtype} inputs: the bytes of texts have no mean; "
            "leave mixup out, or use it for images or audio"
        )
    if batch.mixed is not None:
        raise DataError("the batch is mixed already: mix it once")
    if not alpha > 0:
        raise DataError(f"mixup with alpha {alpha}: expected a number above 0, such as 0.3")
    draw = np.random.default_rng([seed & _LOW_64, step])
    share = float(draw.beta(alpha, alpha))
    share = max(share, 1 - share)
    partner = torch.from_numpy(draw.permutation(len(batch))).to(batch.inputs.device)
    inputs = share * batch.inputs
    inputs.add_(batch.inputs[partner], alpha=1 - share)
    return replace(batch, inputs=inputs, mixed=Mixup(partner, share))
