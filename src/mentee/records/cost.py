"""What recording will cost, measured on a few batches beforehand."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from mentee.data import Examples
from mentee.parallel import world
from mentee.records.manifest import ids_text
from mentee.records.plan import RecordingPlan
from mentee.types import CLEAN

LENGTHS = 512  # examples whose lengths are looked at
SECONDS = 2.0  # that the measurement lasts at least, so that a short pause weighs little


@dataclass(frozen=True)
class Estimate:
    """What recording will cost; `megabytes` are 10⁶ bytes, measured on so many `sampled` examples.

    Example:
        >>> print(Estimate(2297, "clips", megabytes=4.72, minutes=3.17, sampled=64))
        2,297 clips → 4.7 MB, about 3.2 minutes (measured on 64)
        >>> print(Estimate(1297, "images", megabytes=0.056, minutes=0.05, sampled=64, views=3))
        1,297 images × 3 views → 56 kB, about 3 seconds (measured on 64)
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


def estimate(plan: RecordingPlan) -> Estimate:
    """Measure a few batches after a warm-up, and count the bytes (all but a few hundred).

    The examples measured stand for all: evenly spaced over the data, and among those evenly over
    their lengths, on which the cost may depend. What is decoded once and kept is decoded here.

    Raises:
        MenteeError: the teacher does not return what it promised.
    """
    job, parts = plan.job, plan.computed
    rows = [plan.rows(each) for each in parts]
    every, n = sum(rows), len(job.examples)
    if not every:
        return Estimate(0, job.examples.modality.units, 0.0, 0.0, 0)
    view = 0 if job.count else CLEAN
    columns = list(
        {c.name: c for p in parts for c in plan.manifest.groups[p.group].columns}.values()
    )
    new = np.arange(n - max(rows), n)
    samples = representative(job.examples, new, job.batch)
    job.numbers(samples[0][:16], view, columns)
    elapsed, sampled = 0.0, 0
    for sample in samples:
        start = time.perf_counter()
        job.numbers(sample, view, columns)
        elapsed, sampled = elapsed + time.perf_counter() - start, sampled + len(sample)
        if elapsed >= SECONDS:
            break
    processes = world() if len(parts) == 1 else min(world(), len(parts))
    minutes = elapsed / sampled * every / 60 / processes
    # Where new views come with new examples, the views are of several numbers of examples.
    alike = len(set(rows)) == 1
    shown, views = (rows[0], len(parts)) if alike else (every, 1)
    size = (plan.bytes + _further_bytes(plan)) / 1e6
    return Estimate(shown, job.examples.modality.units, size, minutes, sampled, views=views)


def _further_bytes(plan: RecordingPlan) -> int:
    """The bytes of the ids, of digests of contents, and of an embedder's statistics."""
    examples, columns = plan.job.examples, plan.manifest.columns
    size = len(ids_text(examples.ids)) + len(plan.manifest.data.get("contents", ""))
    if plan.manifest.network is None:
        *frames, width = columns[0].shape
        directions = min(len(examples) * math.prod(frames), width)
        size += 4 * (2 * width + directions * width + directions)
    return size


def representative(
    examples: Examples, rows: npt.NDArray[np.int64], batch: int
) -> list[npt.NDArray[np.int64]]:
    """Batches of some rows, each with short and long examples in the shares that all have."""
    spaced = np.linspace(0, len(rows) - 1, min(len(rows), LENGTHS)).astype(np.int64)
    rows = rows[spaced]
    parts = np.array_split(rows, math.ceil(len(rows) / batch))
    lengths = [_length(item) for part in parts for item in examples.read(part)]
    rows = rows[np.argsort(lengths, kind="stable")]
    strides = math.ceil(len(rows) / batch)
    # The middle of each stratum first: it is neither its shortest nor its longest.
    starts = sorted(range(strides), key=lambda start: abs(2 * start + 1 - strides))
    return [rows[start::strides] for start in starts]


def _length(item: str | Tensor) -> int:
    return len(item) if isinstance(item, str) else item.numel()
