"""Networks for text: they read bytes, padded with 0, and need no tokenizer, not even exported.

Padding changes nothing, in training and in evaluation alike: none of them has a batch norm. The
logits of an empty text are finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from mentee.errors import MenteeError
from mentee.models.layers import FeatureLayers, check_widths, read_at

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
        buckets: how many different numbers, at least 1.

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
        buckets = [
            self._bucket(words, 0) * ((slot >= 1) & (slot <= count)),
            self._bucket(pairs, 1) * (slot[2:] <= count),
            *self._groups(c),
        ]
        return torch.cat(buckets, dim=1)

    def _words(self, c: Int64[Tensor, "b t"]) -> tuple[Int64[Tensor, "b n"], Int64[Tensor, "b 1"]]:
        """The h of word 1, 2, … of each text, at the word's number; and how many there are."""
        inside = _in_word(c)
        first = inside & ~F.pad(inside, (1, -1))
        number = first.long().cumsum(1)  # of the last word that has begun; 0 before any
        position = torch.arange(c.shape[1], device=c.device).expand_as(c)
        empty = c.new_zeros(c.shape[0], c.shape[1] // 2 + 2)
        begins = empty.scatter_add(1, number, position * first)
        order = (position - begins.gather(1, number)).clamp(max=LONGEST - 1)
        terms = c * inside * self.powers[order]
        return empty.scatter_add(1, number, terms) % PRIME, number[:, -1:]

    def _groups(self, c: Int64[Tensor, "b t"]) -> list[Int64[Tensor, "b t"]]:
        """The buckets of the groups that begin at each byte, for each length."""
        t = c.shape[1]
        ahead = F.pad(c, (0, GRAMS[-1] - 1))
        total, buckets = torch.zeros_like(c), []
        for i in range(GRAMS[-1]):
            last = ahead[:, i : i + t]
            total = total + last * self.powers[i]
            if i + 1 in GRAMS:
                kind = 2 + GRAMS.index(i + 1)
                buckets.append(self._bucket(total % PRIME, kind) * (last != 0))
        return buckets

    def _bucket(self, h: Int64[Tensor, "b n"], kind: int) -> Int64[Tensor, "b n"]:
        return 1 + (h * pow(MIX, kind + 1, PRIME)) % PRIME % self.buckets


def _in_word(c: Int64[Tensor, "b t"]) -> Tensor:
    """Whether each byte, already small, belongs to a word."""
    letter = (c >= ord("a")) & (c <= ord("z"))
    digit = (c >= ord("0")) & (c <= ord("9"))
    return letter | digit | (c == ord("'")) | (c >= 128)


class HashedBag(nn.Module):
    r"""The mean of the embeddings of a text's hashed words and letter groups, then a linear layer.

    .. math::

        m = \frac{1}{n} \sum_{g=1}^{n} E_{bucket(g)}, \qquad logits = U m + b

    over the n grams of `HashedGrams`; m = 0 where there is none. With a hidden
    layer the classifier reads e = relu(W m + a) instead. The layer `embedding` is what the
    classifier reads, `stem` is m. Memory: O(b t width).

    Args:
        classes: outputs of the classifier.
        buckets: rows of E but for the one that stands for nothing.
        width: entries of m.
        hidden: entries of e; 0: no hidden layer, which did better on a few thousand texts.

    Raises:
        MenteeError: where there is no bucket or no width, or hidden is negative.

    Example:
        >>> import torch
        >>> text = torch.tensor([[*b"Not bad at all", 0, 0]], dtype=torch.uint8)
        >>> HashedBag(classes=2, buckets=1000)(text).shape
        torch.Size([1, 2])

    Paper: arXiv:1607.01759 (words and n-grams in a bag), arXiv:0902.2206 (hashing).
    """

    kind: ClassVar[str] = "text"
    feature_layers: ClassVar[FeatureLayers] = {
        "stem": "bag",
        "classifier": "fc",
    }

    def __init__(
        self, *, classes: int, buckets: int = 60_000, width: int = 16, hidden: int = 0
    ) -> None:
        super().__init__()
        if width < 1 or hidden < 0:
            raise MenteeError(
                f"width is at least 1 and hidden at least 0, not {width} and {hidden}"
            )
        self.grams = HashedGrams(buckets)
        self.bag = Bag(buckets, width)
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.ReLU()) if hidden else None
        self.fc = nn.Linear(hidden or width, classes)

    def forward(self, x: Integer[Tensor, "b t"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of texts."""
        m = self.bag(self.grams(x))
        logits: Tensor = self.fc(m if self.hidden is None else self.hidden(m))
        return logits


class Bag(nn.Module):
    """The mean of the embeddings of some numbers; 0 stands for nothing and counts for nothing."""

    def __init__(self, buckets: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(buckets + 1, width, padding_idx=0)
        nn.init.normal_(self.table.weight, std=0.1)
        nn.init.zeros_(self.table.weight[0].detach())

    def forward(self, numbers: Integer[Tensor, "b n"]) -> Float[Tensor, "b d"]:
        """The means. A product with the shares is several times faster than an EmbeddingBag."""
        known = (numbers > 0).to(self.table.weight.dtype)
        shares = known / known.sum(1, keepdim=True).clamp(min=1)
        mean: Tensor = (shares.unsqueeze(1) @ self.table(numbers)).squeeze(1)
        return mean


class MaskedConv(nn.Module):
    """A convolution over time, layer norm and ReLU; zeros wherever there is no text."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.LayerNorm(outputs)
        self.relu = nn.ReLU()

    def forward(
        self, x: Float[Tensor, "b t c"], mask: Bool[Tensor, "b t 1"]
    ) -> Float[Tensor, "b t d"]:
        """Apply the layer."""
        out: Tensor = self.relu(self.norm(self.conv(x.transpose(1, 2)).transpose(1, 2)))
        return out.masked_fill(~mask, 0.0)


class HalvingStage(nn.Module):
    """Max-pooling of two neighbors in time, a convolution of 3, another one added to it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = MaskedConv(inputs, outputs, 3)
        self.conv2 = MaskedConv(outputs, outputs, 3)

    def forward(
        self, x: Float[Tensor, "b t c"], mask: Bool[Tensor, "b half 1"]
    ) -> Float[Tensor, "b half d"]:
        """Apply the stage; `mask` is that of its output."""
        halved = F.max_pool1d(x.transpose(1, 2), 2, ceil_mode=True).transpose(1, 2)
        first: Tensor = self.conv1(halved, mask)
        second: Tensor = self.conv2(first, mask)
        return first + second


class CharCNN(nn.Module):
    """Convolutions over the bytes of a text, each stage at half the resolution of the one before.

    An embedding of each byte, a stem of kernel 5, three stages, then mean and maximum over time.
    Each stage adds its second convolution to its first: without that, a few thousand texts take
    twice as many epochs before anything is learned. Stages are `[b, t, c]`; the layer `embedding`
    is the mean and the maximum, one behind the other.

    Args:
        classes: outputs of the classifier.
        width: entries of a byte's embedding.
        widths: channels of the stem and of the three stages.

    Raises:
        MenteeError: where a width is no width.

    Example:
        >>> import torch
        >>> text = torch.tensor([[*b"Not bad at all", 0, 0]], dtype=torch.uint8)
        >>> CharCNN(classes=2, widths=(8, 8, 8, 8))(text).shape
        torch.Size([1, 2])

    Paper: after arXiv:1509.01626, which reads one-hot letters and has wide linear layers.
    """

    kind: ClassVar[str] = "text"
    feature_layers = read_at("stem", "stage", range(1, 4))

    def __init__(
        self,
        *,
        classes: int,
        width: int = 32,
        widths: Sequence[int] = (128, 128, 192, 256),
    ) -> None:
        super().__init__()
        stem, first, second, third = check_widths("CharCNN", widths, 4)
        (width,) = check_widths("the bytes of CharCNN", [width], 1)
        self.bytes = nn.Embedding(256, width, padding_idx=0)
        self.stem = MaskedConv(width, stem, 5)
        self.stage1 = HalvingStage(stem, first)
        self.stage2 = HalvingStage(first, second)
        self.stage3 = HalvingStage(second, third)
        self.fc = nn.Linear(2 * third, classes)

    def forward(self, x: Integer[Tensor, "b t"]) -> Float[Tensor, "b k"]:
        """The logits of a batch of texts."""
        mask = (x != 0).unsqueeze(2)
        out = self.stem(self.bytes(x.long()), mask)
        for stage in (self.stage1, self.stage2, self.stage3):
            mask = mask[:, ::2]  # a pair of neighbors holds text where its first byte does
            out = stage(out, mask)
        mean = out.sum(1) / mask.sum(1).clamp(min=1)
        logits: Tensor = self.fc(torch.cat([mean, out.amax(1)], dim=1))
        return logits
