"""Numbers that depend on nothing but their arguments: the same in every process and for ever."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mentee.errors import DataError, first_few

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]
FloatArray = npt.NDArray[np.float64]

_LOW_63 = (1 << 63) - 1
_LOW_64 = (1 << 64) - 1


def hash_id(text: str) -> int:
    """The key of one id: 63 bits of BLAKE2b of its UTF-8 text in Unicode form NFC.

    Example:
        >>> hash_id("train/cat/1.png")
        5418642169091139642
    """
    encoded = unicodedata.normalize("NFC", text).encode()
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "little") & _LOW_63


def nfc(ids: Sequence[str]) -> list[str]:
    """Ids in Unicode form NFC, in which they are compared: file systems may have another."""
    return [unicodedata.normalize("NFC", text) for text in ids]


def hash_ids(ids: Sequence[str]) -> Int64Array:
    """The keys of all ids of a source.

    Raises:
        DataError: an id stands there twice, or two ids have one key.
    """
    try:
        keys = np.fromiter((hash_id(text) for text in ids), np.int64, len(ids))
    except UnicodeEncodeError as error:
        raise DataError(
            f"the id or file name {error.object!a} is not UTF-8; give it another name"
        ) from error
    if len(np.unique(keys)) < len(keys):
        raise DataError(_not_unique(ids, keys))
    return keys


def _not_unique(ids: Sequence[str], keys: Int64Array) -> str:
    twice = [text for text, count in Counter(ids).items() if count > 1]
    if twice:
        return (
            f"{len(twice)} ids stand there more than once: {first_few([*map(repr, twice)])}; an id "
            "must belong to one example only: name another id column, or remove the repeated rows"
        )
    counts = Counter(keys.tolist())
    same = [text for text, key in zip(ids, keys.tolist(), strict=True) if counts[key] > 1]
    return f"the ids {same[0]!r} and {same[1]!r} have the same key; rename one of them"


def mix(seed: int, keys: Int64Array, *words: int | str) -> UInt64Array:
    """64 random-looking bits for each key `[n]`, by rounds of SplitMix64's finalizer.

    For given `seed`, of which the low 64 bits count, and `words` (a purpose, a view, a draw) this
    is a bijection of the keys, so different keys never tie.
    """
    bits = keys.astype(np.uint64)
    for word in (seed, *words):
        bits = _scramble(bits ^ _scrambled(word))
    return bits


@lru_cache(maxsize=1024)
def _scrambled(word: int | str) -> UInt64Array:
    number = hash_id(word) if isinstance(word, str) else word & _LOW_64
    return _scramble(np.array([number], np.uint64))


def _scramble(bits: UInt64Array) -> UInt64Array:
    # SplitMix64 (Steele, Lea, Flood 2014): add the golden gamma, then the variant-13 finalizer
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def below(limit: int, seed: int, keys: Int64Array, *words: int | str) -> Int64Array:
    """A whole number in [0, limit) for each key, equally likely to within limit / 2³²; limit ≤ 2³¹.

    Example:
        >>> below(9, 0, hash_ids(["a", "b", "c"]), "example").tolist()
        [4, 5, 2]
    """
    high = mix(seed, keys, *words) >> np.uint64(32)
    return ((high * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)


def uniform(seed: int, keys: Int64Array, *words: int | str) -> FloatArray:
    """A number in [0, 1) for each key: 53 bits of its hash.

    Example:
        >>> uniform(0, hash_ids(["a", "b", "c"]), "example").round(3).tolist()
        [0.509, 0.595, 0.312]
    """
    high = mix(seed, keys, *words) >> np.uint64(11)
    return high.astype(np.float64) * 2.0**-53
