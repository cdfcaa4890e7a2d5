"""Clips of one length: the beginning of each, zeros behind a shorter one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mentee.data.examples import Examples
from mentee.data.payload import Kind, Payload, Rows
from mentee.errors import DataError


def window(examples: Examples, seconds: float) -> Examples:
    """The same clips, each cut or padded to one length, as the view `none` does.

    They are the same examples: ids, keys and fingerprint do not change.

    Args:
        examples: audio.
        seconds: the length.

    Returns:
        A view whose clips are all of that length.

    Raises:
        DataError: they are not audio, or the length has no sample.
    """
    sample_rate = examples.contents.sample_rate
    if sample_rate is None:
        raise DataError(f"{examples.name} is {examples.kind}, which has no seconds to cut at")
    samples = round(sample_rate * seconds)
    if samples < 1:
        raise DataError(f"{seconds} seconds have no sample at {sample_rate} a second")
    return replace(examples, contents=FixedLength(examples.contents, samples))


class FixedLength:
    """Clips of one length.

    Args:
        contents: the whole clips.
        samples: how many are read of each.
    """

    kind: Kind = "audio"
    channels = 1

    def __init__(self, contents: Payload, samples: int) -> None:
        self.contents, self.samples, self.sample_rate = contents, samples, contents.sample_rate

    def ready(self, rows: Rows) -> bool:
        """As the whole clips."""
        return self.contents.ready(rows)

    def load(self, rows: Rows) -> bool:
        """Load the whole clips."""
        return self.contents.load(rows)

    def read(self, rows: Rows) -> list[np.ndarray]:
        """The beginnings, `[samples]` each."""
        found = []
        for clip in self.contents.read(rows):
            wave = np.zeros(self.samples, np.float32)
            some = np.asarray(clip)[: self.samples]
            wave[: len(some)] = some
            found.append(wave)
        return found

    def raw(self, row: int) -> bytes:
        """The whole clip's bytes."""
        return self.contents.raw(row)
