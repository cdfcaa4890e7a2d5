"""Texts by row, the bytes that networks read of them, and their views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from mentee.data.counter_rng import Int64Array, mix, uniform
from mentee.data.payload import InMemory, ReadOptions, ViewOptions
from mentee.errors import DataError
from mentee.types import CLEAN, Batch

_SHARE = 0.1
# By code point; no character behind U+3000 is white space.
_SPACE = np.array([chr(code).isspace() for code in range(0x3001)] + [False])


def check_texts(values: Sequence[Any], ids: Sequence[str], options: ReadOptions) -> InMemory:
    """Texts as they are; an empty one is allowed, a missing one is not.

    Raises:
        DataError: a value is missing or no text, or a text has no UTF-8 form or holds NUL, which
            stands for what is behind a text's end.
    """
    for value, name in zip(values, ids, strict=True):
        wrong = _wrong(value)
        if wrong:
            raise DataError(f"the text of {name!r} {wrong}; mend it, or leave it out of the source")
    return InMemory("text", list(values))


def _wrong(value: Any) -> str | None:
    if value is None or value != value:
        return "is missing"
    if not isinstance(value, str):
        return f"is {value!r}, which is no text"
    if "\0" in value:
        return "holds the character NUL"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"has no UTF-8 form ({error.reason})"
    return None


def encode(texts: Sequence[str], length: int | None = None) -> UInt8[Tensor, "b t"]:
    """The bytes of texts in UTF-8, cut off or padded to one length.

    Args:
        texts: `b` texts without NUL.
        length: bytes of each; None: of the longest, at least 1.

    Returns:
        The first bytes of each text, cut where a character begins; 0 behind its end.

    Example:
        >>> encode(["né", "o"], 2).tolist()
        [[110, 0], [111, 0]]
    """
    # A character has a byte at least: one more than `length` is enough to know where to cut.
    encoded = [(text if length is None else text[: length + 1]).encode() for text in texts]
    t = max([1, *map(len, encoded)]) if length is None else length
    padded = bytearray(t * len(encoded))
    for i, data in enumerate(encoded):
        end = _end(data, t)
        padded[i * t : i * t + end] = data[:end]
    return torch.from_numpy(np.frombuffer(padded, np.uint8).reshape(-1, t))


def _end(data: bytes, length: int) -> int:
    """How many of the first bytes are whole characters, at most `length`."""
    end = min(len(data), length)
    while end < len(data) and data[end] & 0xC0 == 0x80:  # 10xxxxxx: inside a character
        end -= 1
    return end


@dataclass(frozen=True)
class Bytes:
    """Every view is the text itself, as `encode` cuts and pads it."""

    max_bytes: int | None = None
    fast: ClassVar[bool] = True

    def __call__(
        self, contents: list[str], keys: Int64[Tensor, " b"], view: int
    ) -> UInt8[Tensor, "b t"]:
        """The bytes, whatever the view."""
        return encode(contents, self.max_bytes)


@dataclass(frozen=True)
class Drop:
    """Each word is left out with probability 1/10, never all of them; then as `Bytes`.

    A word is what stands between white space. Where all words would be left out, the one with the
    largest hash stays.
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
        stays[stretch[begins]] = self._remaining(keys.numpy(), text, view)
        shortened = characters[stays[stretch] | ends].tobytes().decode("utf-32-le")
        return encode(shortened.split("\0"), self.max_bytes)

    def _remaining(self, keys: Int64Array, text: Int64Array, view: int) -> npt.NDArray[np.bool_]:
        """Which words stay, of those that stand in these texts, in order."""
        counts = np.bincount(text, minlength=len(keys))
        first = np.cumsum(counts) - counts
        # u(seed, key, view, position) in [0, 1), for each word
        position = np.arange(len(text)) - first[text]
        own = mix(self.seed, keys, "drop", view).view(np.int64)[text]
        numbers = uniform(self.seed, own + position, "word")
        stays: npt.NDArray[np.bool_] = numbers >= _SHARE
        left = np.bincount(text, stays, minlength=len(keys))
        for i in np.flatnonzero((left == 0) & (counts > 0)).tolist():
            stays[first[i] + numbers[first[i] : first[i] + counts[i]].argmax()] = True
        return stays


def build_bytes(options: ViewOptions) -> Bytes:
    """`none`."""
    return Bytes(options.max_bytes)


def build_drop(options: ViewOptions) -> Drop:
    """`drop`."""
    return Drop(options.seed, options.max_bytes)


TEXT_VIEWS: dict[str, Callable[[ViewOptions], Bytes | Drop]] = {
    "none": build_bytes,
    "drop": build_drop,
}


def measure_texts(
    batches: Callable[[], Iterable[Batch]], options: ViewOptions
) -> dict[str, int | None]:
    """The default input contract of networks of text: no batch is looked at."""
    return {"max_bytes": options.max_bytes}


def two_texts(options: ViewOptions, channels: int) -> list[str]:
    """Two short texts."""
    return ["a word", "words"]
