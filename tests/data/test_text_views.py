from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.data import batches, build_views, hash_ids, open_examples
from mentee.data.counter_rng import mix
from mentee.data.texts import _SPACE
from mentee.errors import DataError
from tests.data.test_views import KEYS, TEXTS


def _views(name: str, seed: int = 11, max_bytes: int | None = 64):
    return build_views(name, kind="text", seed=seed, max_bytes=max_bytes)


def _read(row: torch.Tensor) -> str:
    return bytes(row.tolist()).rstrip(b"\0").decode()


def test_words_are_dropped_by_their_hash() -> None:
    got = _views("drop", max_bytes=None)(TEXTS, KEYS, 7)
    for row, text, key in zip(got, TEXTS, KEYS.tolist(), strict=True):
        own = int(mix(11, np.array([key]), "drop", 7)[0])
        kept = []
        for position, word in enumerate(text.split()):
            counter = np.array([(own + position) % 2**64], np.uint64).view(np.int64)
            number = int(mix(11, counter, "word")[0]) >> 11
            if number >= 0.1 * 2**53:
                kept.append(word)
        if kept or not text:
            assert _read(row).split() == kept
        else:
            assert len(_read(row).split()) == 1


def test_a_tenth_of_the_words_is_dropped_and_never_all() -> None:
    keys = torch.from_numpy(hash_ids([str(i) for i in range(5000)]))
    rows = _views("drop")(["a b"] * len(keys), keys, 0)
    left = [_read(row) for row in rows]
    assert set(left) == {"a b", "a ", "b"}
    # both are kept with probability 0.81; where both would go, one stays
    assert abs(left.count("a b") - 4050) < 5 * np.sqrt(5000 * 0.81 * 0.19)
    assert all(_read(row) == "one" for row in _views("drop")(["one"] * len(keys), keys, 0))


def test_words_beyond_the_length_move_up() -> None:
    text = " ".join("abcdefghijklmnopqrstuvwxyz")
    keys = torch.from_numpy(hash_ids([str(i) for i in range(50)]))
    got = {_read(row) for row in _views("drop", max_bytes=8)([text] * 50, keys, 0)}
    assert {"a b c d ", "b c d e ", "a c d e "} < got
    assert {len(piece) for piece in got} == {8}


def test_batches_of_texts() -> None:
    examples = open_examples({"text": TEXTS, "label": [0, 1] * (len(TEXTS) // 2)})
    for batch in batches(examples, batch=6, views=_views("drop"), view=1, seed=0, epoch=0):
        want = _views("drop")([TEXTS[row] for row in batch.rows.tolist()], batch.ids, 1)
        assert torch.equal(batch.inputs, want)
        assert batch.labels is not None


def test_views_that_are_refused() -> None:
    with pytest.raises(DataError, match="no views 'mask' of text: known: drop, none"):
        _views("mask")
    with pytest.raises(DataError, match="length 3: expected at least 4"):
        _views("none", max_bytes=3)


def _dropped(text: str, key: int) -> str:
    """The same by a loop: a word takes the white space behind it along."""
    own, words = int(mix(11, np.array([key]), "drop", 7)[0]), re.findall(r"\S+\s*", text)
    counters = [np.array([(own + i) % 2**64], np.uint64).view(np.int64) for i in range(len(words))]
    numbers = [(int(mix(11, counter, "word")[0]) >> 11) / 2**53 for counter in counters]
    kept = [word for word, number in zip(words, numbers, strict=True) if number >= 0.1]
    if words and not kept:
        kept = [words[numbers.index(max(numbers))]]
    return "".join(kept)


SPACED = st.text(st.sampled_from("ab é😀 \t\n\x1c\x85\u00a0\u2028\u3000\u200b"), max_size=12)


@settings(deadline=None, max_examples=50)
@given(st.lists(SPACED, min_size=1, max_size=5))
def test_white_space_of_every_kind(texts: list[str]) -> None:
    got = _views("drop", max_bytes=None)(texts, KEYS[: len(texts)], 7)
    for row, text, key in zip(got, texts, KEYS.tolist(), strict=False):
        assert _read(row) == _dropped(text, key)


def test_what_is_white_space_follows_python() -> None:
    every = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    assert {c for c in every if re.match(r"\s", c)} == {
        chr(code) for code in np.flatnonzero(_SPACE).tolist()
    }
