"""What recording will cost, measured on a few examples beforehand."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from mentee.data import Examples
from mentee.records.embedding_recording import embed, refuse_other_data
from mentee.records.manifest import Dtype
from mentee.records.numeric import STORED
from mentee.teachers.pretrained.embedder import Embedder

LENGTHS = 512  # examples whose lengths are looked at
SECONDS = 2.0  # that the measurement lasts at least, so that a short pause weighs little


@dataclass(frozen=True)
class Estimate:
    """What recording will cost.

    Attributes:
        rows: examples to record.
        units: what they are called.
        megabytes: size of the record on disk, in 10⁶ bytes.
        minutes: how long it will take on this machine.
        sampled: on how many examples that was measured.
        views: how often each example is read.

    Example:
        >>> print(Estimate(2297, "clips", megabytes=4.72, minutes=3.17, sampled=64))
        2,297 clips → 4.7 MB, about 3.2 minutes (measured on 64)
        >>> print(Estimate(1297, "images", megabytes=0.056, minutes=0.05, sampled=64))
        1,297 images → 56 kB, about 3 seconds (measured on 64)
    """

    rows: int
    units: str
    megabytes: float
    minutes: float
    sampled: int
    views: int = 1

    def __str__(self) -> str:
        seconds = self.minutes * 60
        time = f"{self.minutes:.1f} minutes" if seconds >= 60 else f"{math.ceil(seconds)} seconds"
        small = self.megabytes < 0.1
        size = f"{max(self.megabytes * 1e3, 1):,.0f} kB" if small else f"{self.megabytes:,.1f} MB"
        views = "" if self.views == 1 else f" × {self.views} views"
        return (
            f"{self.rows:,} {self.units}{views} → {size}, about {time} "
            f"(measured on {self.sampled:,})"
        )


def estimate(
    embedder: Embedder,
    examples: Examples,
    *,
    frames: bool = False,
    dtype: Dtype = "float16",
    batch: int = 64,
) -> Estimate:
    """Measure a few batches after a warm-up, and count the bytes.

    The examples measured stand for all: evenly spaced over the data, and among those evenly over
    their lengths, on which the cost may depend. What is decoded once and kept is decoded here.

    Args:
        embedder: the teacher.
        examples: one split; audio opened at the teacher's rate.
        frames: as for `record`.
        dtype: as for `record`.
        batch: as for `record`.

    Returns:
        Megabytes (all but a few hundred bytes) and minutes (time of the sample per example).

    Raises:
        DataError: examples of another kind or rate.
        MenteeError: the teacher has no frames, or does not say what it promised.
    """
    refuse_other_data(embedder, examples)
    samples = representative(examples, batch)
    said = embed(embedder, examples, samples[0][:16], frames=frames)
    elapsed, sampled = 0.0, 0
    for rows in samples:
        begin = time.perf_counter()
        embed(embedder, examples, rows, frames=frames)
        elapsed, sampled = elapsed + time.perf_counter() - begin, sampled + len(rows)
        if elapsed >= SECONDS:
            break
    n = len(examples)
    size = record_bytes(examples.ids, said.shape[1:], dtype)
    return Estimate(n, examples.modality.units, size / 1e6, elapsed / sampled * n / 60, sampled)


def representative(examples: Examples, batch: int) -> list[npt.NDArray[np.int64]]:
    """Batches that each stand for all examples.

    Args:
        examples: what to choose from.
        batch: examples in a batch.

    Returns:
        Row numbers; each batch has short and long examples in the shares that all have.
    """
    rows = np.linspace(0, len(examples) - 1, min(len(examples), LENGTHS)).astype(np.int64)
    lengths = np.concatenate(
        [
            [_length(item) for item in examples.read(part)]
            for part in np.array_split(rows, math.ceil(len(rows) / batch))
        ]
    )
    rows = rows[np.argsort(lengths, kind="stable")]
    strides = math.ceil(len(rows) / batch)
    # The middle of each stratum first: it is neither its shortest nor its longest.
    starts = sorted(range(strides), key=lambda start: abs(2 * start + 1 - strides))
    return [rows[start::strides] for start in starts]


def _length(item: str | Tensor) -> int:
    return len(item) if isinstance(item, str) else item.numel()


def record_bytes(ids: tuple[str, ...], shape: tuple[int, ...], dtype: Dtype) -> int:
    """The size of a record but for its manifest and the heads of its files.

    Args:
        ids: `n` names.
        shape: `[d]` or `[t, d]`.
        dtype: of the stored numbers.
    """
    vectors, width = len(ids) * math.prod(shape[:-1]), shape[-1]
    directions = min(vectors, width)
    rows = vectors * width * STORED[dtype].itemsize
    statistics = 4 * (2 * width + directions * width + directions)
    return rows + statistics + len(json.dumps(ids)) + 1
