from __future__ import annotations

import hashlib

import numpy as np
import pytest

from mentee.data import counter_rng
from mentee.data.counter_rng import _scramble, below, hash_id, hash_ids, mix, uniform
from mentee.errors import DataError


def test_a_key_is_63_bits_of_blake2b() -> None:
    digest = hashlib.blake2b(b"train/17", digest_size=8).digest()
    assert hash_id("train/17") == int.from_bytes(digest, "little") % 2**63


def test_both_unicode_spellings_of_an_id_are_one() -> None:
    assert hash_id("caf\u00e9") == hash_id("cafe\u0301")


def test_scramble_is_splitmix64() -> None:
    # first outputs of the reference implementation (Vigna, splitmix64.c) with states 0 and 1234567
    states = np.array([0, 1234567], np.uint64)
    assert _scramble(states).tolist() == [0xE220A8397B1DCDAF, 6457827717110365317]


def test_mix_follows_its_definition(rng: np.random.Generator) -> None:
    def scramble(x: int) -> int:
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
        return x ^ (x >> 31)

    keys = rng.integers(0, 2**63 - 1, 20)
    for key, got in zip(keys.tolist(), mix(-3, keys, "order", 5).tolist(), strict=True):
        expected = key
        for word in (-3, hash_id("order"), 5):
            expected = scramble(expected ^ scramble(word % 2**64))
        assert got == expected


@pytest.mark.parametrize("limit", [1, 2, 9, 1000])
def test_below_is_even(limit: int) -> None:
    n = 100 * limit
    counts = np.bincount(below(limit, 0, np.arange(n), "draw"), minlength=limit)
    assert len(counts) == limit
    assert abs(counts - 100).max() <= 6 * 10  # six standard deviations of a count of 100


def test_draws_and_views_do_not_depend_on_each_other() -> None:
    keys = np.arange(20_000)
    draws = [below(2, 0, keys, "crop", view, draw) for view in (-1, 0, 1) for draw in (0, 1)]
    correlation = np.corrcoef(np.array(draws, float)) - np.eye(len(draws))
    assert abs(correlation).max() < 6 / np.sqrt(len(keys))


def test_repeated_ids_are_named() -> None:
    with pytest.raises(DataError, match=r"1 ids stand there more than once: 'b'; .*another id"):
        hash_ids(["a", "b", "c", "b"])


def test_a_collision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter_rng, "hash_id", lambda text: len(text))
    with pytest.raises(DataError, match="the ids 'ab' and 'cd' have the same key"):
        hash_ids(["a", "ab", "cd"])


def test_uniform_numbers() -> None:
    from scipy import stats

    keys = hash_ids([str(i) for i in range(5000)])
    numbers = uniform(3, keys, "a", 1)
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3
    assert numbers.tolist() == [(bits >> 11) / 2**53 for bits in mix(3, keys, "a", 1).tolist()]
