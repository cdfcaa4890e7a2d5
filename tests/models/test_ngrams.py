from __future__ import annotations

import itertools
import re
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.errors import MenteeError
from mentee.models.text import HashedGrams

P, B, M = 2**31 - 1, 1_103_515_245, 1_299_709_121


def padded(texts, more=0):
    longest = max(1, *(len(text) for text in texts)) + more
    rows = [list(text) + [0] * (longest - len(text)) for text in texts]
    return torch.tensor(rows, dtype=torch.uint8)


def grams(text, buckets):
    """The docstring in plain Python: bytes in, buckets out, with repetitions."""

    def h(part):
        return sum(c * pow(B, min(i, 63) + 1, P) for i, c in enumerate(part)) % P

    text = bytes(c + 32 if 65 <= c <= 90 else c for c in text)
    words = [h(word) for word in re.findall(rb"[a-z0-9'\x80-\xff]+", text)]
    output = [(0, word) for word in words]
    output += [(1, (a * M + b) % P) for a, b in itertools.pairwise(words)]
    for kind, n in enumerate((3, 4, 5), start=2):
        output += [(kind, h(text[i : i + n])) for i in range(len(text) - n + 1)]
    return Counter(1 + (value * pow(M, kind + 1, P)) % P % buckets for kind, value in output)


def counted(row):
    return Counter(row[row > 0].tolist())


TEXTS = [
    b"Not bad at all, NOT bad!",
    b"",
    b"a",
    b"  two  spaces ",
    "naïve café – 10€".encode(),
    b"it's a re-run... of 1999's (worst) film",
    b"x" * 200 + b" " + b"y" * 64 + b"z",
    b"a b c d e f g h",
]


@pytest.mark.parametrize("buckets", [1, 50, 60_000])
def test_buckets_are_those_of_plain_python(buckets):
    numbers = HashedGrams(buckets)(padded(TEXTS))
    for row, text in zip(numbers, TEXTS, strict=True):
        assert counted(row) == grams(text, buckets), text


@settings(deadline=None, max_examples=40)
@given(
    texts=st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\0", b" ")), max_size=4),
    more=st.integers(0, 9),
)
def test_any_bytes_and_any_padding_are_hashed_alike(texts, more):
    texts = [*texts, b"seen"]
    numbers = HashedGrams(997)(padded(texts, more))
    assert numbers.min() >= 0
    assert numbers.max() <= 997
    for row, text in zip(numbers, texts, strict=True):
        assert counted(row) == grams(text, 997)


def test_capitals_are_small_letters_and_order_counts():
    hashed = HashedGrams(2**30)
    small, capital, other = (
        counted(hashed(padded([t]))[0]) for t in (b"ab cd", b"AB Cd", b"cd ab")
    )
    assert small == capital
    assert len(small & other) == 2  # the two words, but not the pair


def test_int64_bytes_are_read_as_well():
    x = padded(TEXTS)
    assert torch.equal(HashedGrams(100)(x), HashedGrams(100)(x.long()))


def test_few_of_many_words_share_a_bucket(sentences):
    result = {word for text in sentences for word in re.findall(rb"[a-z0-9'\x80-\xff]+", text)}
    hashed = HashedGrams(2**30)(padded(sorted(result)))
    assert len(result) > 3000
    assert len(hashed[:, 1].unique()) == len(result)  # slot 1 holds the first word


@pytest.fixture(scope="module")
def sentences():
    import csv
    import os
    from pathlib import Path

    path = Path(os.environ.get("MENTEE_DATA", "")) / "sentiment" / "test.csv"
    if not path.is_file():
        pytest.skip("MENTEE_DATA names no folder with sentiment/test.csv")
    with path.open(encoding="utf-8") as file:
        return [row["text"].lower().encode()[:256] for row in csv.DictReader(file)]


def test_no_bucket_is_refused():
    with pytest.raises(MenteeError, match="at least 1 bucket, not 0"):
        HashedGrams(0)
