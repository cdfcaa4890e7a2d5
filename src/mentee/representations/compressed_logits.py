r"""Soft labels from the probe of a `compress` term: what the compact vector says of the classes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mentee.errors import PairError
from mentee.representations.adapter import Adapter, Shape
from mentee.representations.embedding_compression import EmbeddingCompressor, ProbeCompressor


def compressed_logits(
    student: Shape, teacher: Shape, *, other_adapters: Sequence[Adapter]
) -> tuple[Adapter, Adapter]:
    r"""The classes that the probe of `compress` sees.

    .. math:: y^t = P h(e)

    h and P are those of the method's `compress` term at the same place of the teacher, which
    trains them; here nothing is trained.

    Args:
        student: what is read in the student: its logits.
        teacher: the teacher's vector.
        other_adapters: the teacher's sides of the method's other terms at this place.

    Returns:
        The student's side (its logits as they are) and the teacher's.

    Raises:
        PairError: there is no `compress` term at this place, or more than one.

    Memory: O(b d). Source: EAsT-KD of arXiv:2306.17424 with the teacher of arXiv:2402.06761.
    """
    found = [
        x
        for x in other_adapters
        if isinstance(x, EmbeddingCompressor) and not isinstance(x, ProbeCompressor)
    ]
    if len(found) != 1:
        raise PairError(
            "compressed_logits are those of the probe of the method's compress term, and at this "
            f"place of the teacher there are {len(found) or 'none'}; expected one, of a weight "
            "other than 0: ec-kd has it; without compress take probe (probe-kd)"
        )
    return Adapter(), CompressedLogits(found[0])


class CompressedLogits(Adapter):
    """The teacher's side of `compressed_logits`.

    Args:
        compressed: the teacher's side of `compress`; the term that it is of keeps and trains it.
    """

    def __init__(self, compressed: EmbeddingCompressor) -> None:
        super().__init__()
        self._kept = (compressed,)  # in a tuple: a module of its own would be saved twice

    @property
    def compressed(self) -> EmbeddingCompressor:
        """The side that it reads."""
        return self._kept[0]

    @property
    def reduction(self) -> str | None:
        """That of `compress`."""
        return self.compressed.reduction

    def precompute(self, features: Tensor) -> Tensor:
        """The teacher's vectors, as `compress` reads them."""
        return self.compressed.precompute(features)

    def forward(self, precomputed: Tensor) -> Tensor:
        """The logits, `[b, k]`, detached: whoever follows them teaches neither h nor P."""
        return self.compressed.logits(self.compressed(precomputed)).detach()
