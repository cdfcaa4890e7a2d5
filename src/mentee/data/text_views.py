"""Views of texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int64, UInt8
from torch import Tensor

from mentee.data.hashing import Int64Array, mix, uniform
from mentee.data.texts import encode
from mentee.types import CLEAN

_WORD = re.compile(r"\S+\s*")
_SHARE = 0.1


@dataclass(frozen=True)
class Bytes:
    """Every view is the text itself, in UTF-8.

    Attributes:
        length: bytes to cut or pad to, see `encode`; None: of the longest in the batch.
    """

    length: int | None = None
    fast: ClassVar[bool] = True

    def __call__(
        self, contents: list[str], keys: Int64[Tensor, " b"], view: int
    ) -> UInt8[Tensor, "b t"]:
        """The bytes, whatever the view."""
        return encode(contents, self.length)


@dataclass(frozen=True)
class Drop:
    """Each word is left out with probability 1/10, never all of them.

    A word is what stands between white space. Where all words would be left out, the one with the
    largest hash stays.

    Attributes:
        seed: another seed, other views.
        length: as for `Bytes`; words are left out first.
    """

    seed: int
    length: int | None = None
    fast: ClassVar[bool] = True

    def __call__(
        self, contents: list[str], keys: Int64[Tensor, " b"], view: int
    ) -> UInt8[Tensor, "b t"]:
        """The text of each example without the words that this view leaves out."""
        if view == CLEAN:
            return encode(contents, self.length)
        words = [_WORD.findall(text) for text in contents]
        hashes = self._hashes(keys.numpy(), [len(some) for some in words], view)
        return encode(
            ["".join(_kept(some, own)) for some, own in zip(words, hashes, strict=True)],
            self.length,
        )

    def _hashes(self, keys: Int64Array, counts: list[int], view: int) -> list[list[float]]:
        # u(seed, key, view, position) in [0, 1), for each word
        ends = np.cumsum(counts)
        position = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
        own = np.repeat(mix(self.seed, keys, "drop", view).view(np.int64), counts)
        numbers = uniform(self.seed, own + position, "word").tolist()
        return [numbers[end - n : end] for end, n in zip(ends.tolist(), counts, strict=True)]


def _kept(words: list[str], hashes: list[float]) -> list[str]:
    kept = [word for word, number in zip(words, hashes, strict=True) if number >= _SHARE]
    return kept or words[(best := hashes.index(max(hashes))) : best + 1] if words else []
