"""Views of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64, UInt8
from torch import Tensor

from mentee.data.counter_rng import Int64Array, mix, uniform
from mentee.data.texts import encode
from mentee.types import CLEAN

_SHARE = 0.1
# By code point; no character behind U+3000 is white space.
_SPACE = np.array([chr(code).isspace() for code in range(0x3001)] + [False])


@dataclass(frozen=True)
class Bytes:
    """Every view is the text itself, in UTF-8.

    Attributes:
        max_bytes: bytes to cut or pad to, see `encode`; None: of the longest in the batch.
    """

    max_bytes: int | None = None
    fast: ClassVar[bool] = True

    def __call__(
        self, contents: list[str], keys: Int64[Tensor, " b"], view: int
    ) -> UInt8[Tensor, "b t"]:
        """The bytes, whatever the view."""
        return encode(contents, self.max_bytes)


@dataclass(frozen=True)
class Drop:
    """Each word is left out with probability 1/10, never all of them.

    A word is what stands between white space. Where all words would be left out, the one with the
    largest hash stays.

    Attributes:
        seed: another seed, other views.
        max_bytes: as for `Bytes`; words are left out first.
    """

    seed: int
    max_bytes: int | None = None
    fast: ClassVar[bool] = True

    def __call__(
        self, contents: list[str], keys: Int64[Tensor, " b"], view: int
    ) -> UInt8[Tensor, "b t"]:
        """The text of each example without the words that this view leaves out."""
        if view == CLEAN:
            return encode(contents, self.max_bytes)
        # All texts as one array of characters, with NUL, which no text holds, between them.
        characters = np.frombuffer("\0".join(contents).encode("utf-32-le"), "<u4")
        ends = characters == 0
        space = _SPACE[np.minimum(characters, len(_SPACE) - 1)] | ends
        begins = ~space
        begins[1:] &= space[:-1]
        text = np.searchsorted(np.flatnonzero(ends), np.flatnonzero(begins))
        # Stretches that begin with a word, or end a text. The first begins before any word.
        stretch = np.cumsum(begins | ends)
        stays = np.zeros(len(characters) + 1, np.bool_)
        stays[stretch[begins]] = self._kept(keys.numpy(), text, view)
        kept = characters[stays[stretch] | ends].tobytes().decode("utf-32-le")
        return encode(kept.split("\0"), self.max_bytes)

    def _kept(self, keys: Int64Array, text: Int64Array, view: int) -> npt.NDArray[np.bool_]:
        """Which words stay, of those that stand in these texts, in order."""
        counts = np.bincount(text, minlength=len(keys))
        first = np.cumsum(counts) - counts
        # u(seed, key, view, position) in [0, 1), for each word
        position = np.arange(len(text)) - first[text]
        own = mix(self.seed, keys, "drop", view).view(np.int64)[text]
        numbers = uniform(self.seed, own + position, "word")
        kept: npt.NDArray[np.bool_] = numbers >= _SHARE
        left = np.bincount(text, kept, minlength=len(keys))
        for i in np.flatnonzero((left == 0) & (counts > 0)).tolist():
            kept[first[i] + numbers[first[i] : first[i] + counts[i]].argmax()] = True
        return kept
