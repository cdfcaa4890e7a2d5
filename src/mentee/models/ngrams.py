"""The words and letter groups of a text as numbers of buckets, computed from its bytes.

All in tensors of whole numbers, so that an exported network reads bytes and needs no tokenizer.
"""

from __future__ import annotations

import torch
from jaxtyping import Int64, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from mentee.errors import MenteeError

PRIME = 2**31 - 1
"""The p: products of two remainders stay below 2⁶², so no sum here overflows."""
BASE = 1_103_515_245
MIX = 1_299_709_121
GRAMS = (3, 4, 5)
"""Lengths of the groups of bytes."""
LONGEST = 64
"""Bytes of a word whose order counts; those after them are added with the last one's weight."""


class HashedGrams(nn.Module):
    r"""The hashed words, pairs of words and groups of 3, 4 and 5 bytes of a batch of texts.

    Latin capitals become small. A word is a longest run of letters, digits, apostrophes and bytes
    from 128 on. With a word's or group's bytes c, the base B and the prime p = 2³¹ − 1:

    .. math::

        h(c) = \sum_i c_i B^{i+1} \bmod p, \qquad
        bucket_j(h) = 1 + (h \, M^{j+1} \bmod p) \bmod buckets

    where j is the kind: 0 a word, 1 a pair of words, whose h is :math:`(h_1 M + h_2) \bmod p`, and
    2, 3, 4 the groups. A group may hold spaces and punctuation, so it sees where words begin.
    Different grams may share a bucket. Nothing is trained, and the numbers do not depend on the
    length that the texts are padded to. Memory: O(b t).

    Args:
        buckets: numbers that are given out, at least 1.

    Raises:
        MenteeError: where there is no bucket.

    Example:
        >>> text = torch.tensor([[*b"Not bad", 0]], dtype=torch.uint8)
        >>> numbers = HashedGrams(1000)(text)
        >>> int((numbers > 0).sum())  # two words, one pair, and 5 + 4 + 3 groups
        15
    """

    powers: Tensor

    def __init__(self, buckets: int) -> None:
        super().__init__()
        if buckets < 1:
            raise MenteeError(f"there is at least 1 bucket, not {buckets}")
        self.buckets = buckets
        powers = torch.tensor([pow(BASE, i + 1, PRIME) for i in range(LONGEST)])
        self.register_buffer("powers", powers, persistent=False)

    def forward(self, x: Integer[Tensor, "b t"]) -> Int64[Tensor, "b n"]:
        """The buckets of all grams of each text, in no useful order; 0 where there is none."""
        c = x.long()
        c = torch.where((c >= ord("A")) & (c <= ord("Z")), c + 32, c)
        words, count = self._words(c)
        slot = torch.arange(words.shape[1], device=c.device)
        pairs = (words[:, 1:-1] * MIX + words[:, 2:]) % PRIME
        found = [
            self._bucket(words, 0) * ((slot >= 1) & (slot <= count)),
            self._bucket(pairs, 1) * (slot[2:] <= count),
            *self._groups(c),
        ]
        return torch.cat(found, dim=1)

    def _words(self, c: Int64[Tensor, "b t"]) -> tuple[Int64[Tensor, "b n"], Int64[Tensor, "b 1"]]:
        """The h of word 1, 2, … of each text, at the word's number; and how many there are."""
        inside = _in_word(c)
        first = inside & ~F.pad(inside, (1, -1))
        number = first.long().cumsum(1)  # of the last word that has begun; 0 before any
        place = torch.arange(c.shape[1], device=c.device).expand_as(c)
        empty = c.new_zeros(c.shape[0], c.shape[1] // 2 + 2)
        begins = empty.scatter_add(1, number, place * first)
        order = (place - begins.gather(1, number)).clamp(max=LONGEST - 1)
        said = c * inside * self.powers[order]
        return empty.scatter_add(1, number, said) % PRIME, number[:, -1:]

    def _groups(self, c: Int64[Tensor, "b t"]) -> list[Int64[Tensor, "b t"]]:
        """The buckets of the groups that begin at each byte, for each length."""
        t = c.shape[1]
        ahead = F.pad(c, (0, GRAMS[-1] - 1))
        total, found = torch.zeros_like(c), []
        for i in range(GRAMS[-1]):
            last = ahead[:, i : i + t]
            total = total + last * self.powers[i]
            if i + 1 in GRAMS:
                kind = 2 + GRAMS.index(i + 1)
                found.append(self._bucket(total % PRIME, kind) * (last != 0))
        return found

    def _bucket(self, h: Int64[Tensor, "b n"], kind: int) -> Int64[Tensor, "b n"]:
        return 1 + (h * pow(MIX, kind + 1, PRIME)) % PRIME % self.buckets


def _in_word(c: Int64[Tensor, "b t"]) -> Tensor:
    """Whether each byte, already small, belongs to a word."""
    letter = (c >= ord("a")) & (c <= ord("z"))
    digit = (c >= ord("0")) & (c <= ord("9"))
    return letter | digit | (c == ord("'")) | (c >= 128)
