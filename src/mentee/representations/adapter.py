"""The two parts of a representation, what it may ask for, and the one that has no parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, nn

from mentee.errors import PairError
from mentee.types import Statistics

Shape: TypeAlias = tuple[int, ...]
"""What is read at a place, without the batch: `(c, h, w)`, `(t, d)` or `(d,)`."""

FeatureShape: TypeAlias = Shape | tuple[Shape, ...]
"""What is read at a place, or at each of several that are read together."""

TaskLoss: TypeAlias = Callable[[Tensor], Tensor]
"""Logits of a batch to its examples' losses `[b]`: the labels are inside."""


STEPS = 500
"""That a side learns alone and first, where none are said."""


@dataclass(frozen=True)
class PairInfo:
    """What is known of a pair beyond its shapes, for a representation that asks for it.

    Attributes:
        classes: how many classes the labels have; None: there are no labels.
        measure: gives the statistics of the teacher's vectors over the training examples; called
            only where they are needed. None: they cannot be had.
        seed: of what is drawn once and stays.
    """

    classes: int | None = None
    measure: Callable[[], Statistics] | None = None
    seed: int = 0

    def labels(self, name: str) -> int:
        """The number of classes, or an error for a word that learns from labels."""
        if self.classes is None:
            raise PairError(
                f"{name} learns from labels and the examples have none; name their column with "
                "data.label, or use a word that needs none, such as kl, pca or pooled"
            )
        return self.classes

    def measured(self, name: str) -> Statistics:
        """The statistics, or an error for a word that cannot do without."""
        if self.measure is None:
            raise PairError(
                f"{name} needs the mean and spread of the teacher's vectors, and nothing measures "
                "them here; pass statistics= to Transfer"
            )
        return self.measure()


class Adapter(nn.Module):
    """One side (student's or teacher's) of a representation.

    `precompute` has no parameters: for a frozen teacher its output can be computed once and kept.
    `forward` goes on from there and may be trained.

    Attributes:
        own_objective_only: what is trained here learns only from `aux_loss`; no gradient of the
            agreement reaches it.
        steps: how many it learns from `aux_loss` before the student's first step, to be frozen
            then; 0: none.
    """

    own_objective_only = False
    steps = 0

    @property
    def aux_module(self) -> Adapter:
        """The part that learns from `aux_loss`: the side itself, or what it is of."""
        return self

    @property
    def reduction(self) -> str | None:
        """What `precompute` does: at one place, sides of equal reductions have equal fixed parts.

        Empty: nothing. None: it depends on the batch, or it is not said, so that it cannot be
        computed once and kept. A side with a `precompute` of its own that can be kept says it here.
        """
        return "" if type(self).precompute is Adapter.precompute else None

    def precompute(self, features: Any) -> Any:
        """The part without parameters, from what was read at the place.

        Args:
            features: a tensor; a tuple of them, where several places are read together.

        Returns:
            A tensor; on the student's side whatever `forward` takes.
        """
        return features

    def forward(self, precomputed: Any) -> Tensor:
        """The part that may be trained, from what `precompute` gave."""
        said: Tensor = precomputed
        return said

    def align(self, said: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """What is compared, from what both sides said; the student's side alone is asked.

        Most compare what was said. One whose weights depend on both sides has its word here.

        Args:
            said: what `forward` of this side gave, the student's.
            other: what that of the teacher's side gave.
        """
        return said, other

    def aux_input(self, precomputed: Tensor, said: Tensor) -> Tensor:
        """What `aux_loss` is computed of: what `forward` gave, unless learning takes another form.

        Args:
            precomputed: what `precompute` gave.
            said: what `forward` made of it, which is what the student is compared with.
        """
        return said

    def aux_loss(self, said: Tensor, task: TaskLoss, step: int) -> Tensor | None:
        """The loss that trains this side alone; None: nothing to learn.

        Args:
            said: what `aux_input` gave.
            task: the task's loss of the same batch.
            step: optimizer steps done.
        """
        return None


def as_is(student: Shape, teacher: Shape) -> tuple[Adapter, Adapter]:
    """What is read is what is compared.

    Args:
        student: what is read in the student, without the batch.
        teacher: the same of the teacher.

    Returns:
        The student's side and the teacher's.
    """
    return Adapter(), Adapter()
