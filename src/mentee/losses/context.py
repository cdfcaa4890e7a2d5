"""What a loss may need beyond the two tensors it compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from jaxtyping import Bool, Float, Int
from torch import Tensor

from mentee.losses.negatives import Negatives
from mentee.tasks import Outputs

Need: TypeAlias = Literal["labels", "mask", "negatives", "log_z", "outputs"]


@dataclass(frozen=True)
class Context:
    """What is known of the examples whose features a loss compares; all of the same examples.

    Where the examples of all processes are gathered, labels and mask are gathered with them.

    Attributes:
        labels: the class of each example; of examples mixed by mixup, the loss is computed once by
            the class of each of the two. Or its targets, in the units of the outputs, mixed.
        mask: true where one of several labels is known; None: all are.
        negatives: rows of the term's memory; None: it has none.
        log_z: logarithm of a contrast's two normalizers, fixed by the first batch.
        outputs: what a network's outputs are, by the task.
    """

    labels: Int[Tensor, " b"] | Float[Tensor, "b k"] | None = None
    mask: Bool[Tensor, "b k"] | None = None
    negatives: Negatives | None = None
    log_z: Float[Tensor, "2"] | None = None
    outputs: Outputs | None = None

    def select(self, needs: Sequence[Need]) -> dict[str, Any]:
        """The keyword arguments of a loss with these needs."""
        return {name: getattr(self, name) for name in needs}
