"""Networks for text: they read bytes, 0 behind the end, and need no tokenizer.

What stands behind the end of a text changes nothing, in training and in evaluation alike: none of
them has a batch norm. A text without a byte has finite logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from jaxtyping import Bool, Float, Integer
from torch import Tensor, cat, nn
from torch.nn import functional as F

from mentee.errors import MenteeError
from mentee.models.ngrams import HashedGrams


class HashedBag(nn.Module):
    r"""The mean of the embeddings of a text's hashed words and letter groups, then a linear layer.

    .. math::

        m = \frac{1}{n} \sum_{g=1}^{n} E_{bucket(g)}, \qquad logits = U m + b

    over the n grams of `mentee.models.ngrams.HashedGrams`; m = 0 where there is none. With a hidden
    layer the classifier reads e = relu(W m + a) instead. The place `embedding` is what the
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
    places: ClassVar[Mapping[str, str | tuple[str, ...]]] = {"stem": "bag", "classifier": "fc"}

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
    twice as many epochs before anything is learned. Stages are `[b, t, c]`; the place `embedding`
    is the mean and the maximum, one behind the other.

    Args:
        classes: outputs of the classifier.
        width: entries of a byte's embedding.
        widths: channels of the stem and of the three stages.

    Example:
        >>> import torch
        >>> text = torch.tensor([[*b"Not bad at all", 0, 0]], dtype=torch.uint8)
        >>> CharCNN(classes=2, widths=(8, 8, 8, 8))(text).shape
        torch.Size([1, 2])

    Paper: after arXiv:1509.01626, which reads one-hot letters and has wide linear layers.
    """

    kind: ClassVar[str] = "text"
    places: ClassVar[Mapping[str, str | tuple[str, ...]]] = {
        "stem": "stem",
        "stages": ("stage1", "stage2", "stage3"),
        "classifier": "fc",
    }

    def __init__(
        self,
        *,
        classes: int,
        width: int = 32,
        widths: tuple[int, int, int, int] = (128, 128, 192, 256),
    ) -> None:
        super().__init__()
        stem, first, second, third = widths
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
        logits: Tensor = self.fc(cat([mean, out.amax(1)], dim=1))
        return logits
