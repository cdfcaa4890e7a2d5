"""The adapters of a representation, the facts of a pair that it may use, and compositions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, nn

from mentee.errors import PairError
from mentee.types import Statistics

Shape: TypeAlias = tuple[int, ...]
"""The shape of a feature without the batch: `(c, h, w)`, `(t, d)` or `(d,)`."""

FeatureShape: TypeAlias = Shape | tuple[Shape, ...]
"""The shape at one layer, or those at several layers that are read together."""

TaskLoss: TypeAlias = Callable[[Tensor], Tensor]
"""From the logits of a batch to its examples' losses `[b]`; the labels are bound."""

STEPS = 500
"""The default number of steps of pretraining on the auxiliary loss."""


@dataclass(frozen=True)
class PairInfo:
    """Facts of a pair beyond its shapes, for a representation with a parameter `pair_info`.

    Attributes:
        classes: how many classes the labels have; None: there are no labels.
        measure: returns the statistics of the teacher's vectors over the training examples; called
            only where they are needed. None: they are not available.
        seed: of random matrices that never change.
    """

    classes: int | None = None
    measure: Callable[[], Statistics] | None = None
    seed: int = 0

    def labels(self, name: str) -> int:
        """The number of classes, or an error for a component that needs labels."""
        if self.classes is None:
            raise PairError(
                f"{name} learns from labels and the examples have none; name their column with "
                "data.label, or use a component that needs none, such as kl, pca or pooled"
            )
        return self.classes

    def measured(self, name: str) -> Statistics:
        """The statistics, or an error for a component that needs them."""
        if self.measure is None:
            raise PairError(
                f"{name} needs the mean and spread of the teacher's vectors, and nothing measures "
                "them here; pass statistics= to Transfer"
            )
        return self.measure()


class Adapter(nn.Module):
    """The student's or the teacher's part of a representation.

    `precompute` has no parameters: for a frozen teacher its output can be computed once and
    recorded. `forward` takes its output and may be trained.

    Attributes:
        own_objective_only: its parameters learn only from `aux_loss`; the gradient of the term's
            loss does not reach them.
        steps: of pretraining on `aux_loss` before the student's first step, after which it is
            frozen; 0: none.
    """

    own_objective_only = False
    steps = 0

    @property
    def aux_module(self) -> Adapter:
        """The module that learns from `aux_loss`: the adapter itself, or the innermost one."""
        return self

    @property
    def reduction(self) -> str | None:
        """What `precompute` does: at one layer, equal reductions have equal outputs.

        Empty: the identity. None: the output depends on the batch, or is not known, so that it
        cannot be recorded. An adapter with a `precompute` that can be recorded names it here.
        """
        return "" if type(self).precompute is Adapter.precompute else None

    def precompute(self, features: Any) -> Any:
        """The part without parameters.

        Args:
            features: the tensor of the layer; a tuple of them, where several are read together.

        Returns:
            A tensor; of a student's adapter whatever `forward` takes.
        """
        return features

    def forward(self, precomputed: Any) -> Tensor:
        """The part that may be trained, from the output of `precompute`."""
        output: Tensor = precomputed
        return output

    def align(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """The two inputs of the loss, from both outputs; called on the student's adapter.

        The outputs themselves, unless weights depend on both, as in SemCKD.
        """
        return student, teacher

    def aux_input(self, precomputed: Tensor, output: Tensor) -> Tensor:
        """The input of `aux_loss`: the output of `forward`, unless training needs another one.

        Args:
            precomputed: the output of `precompute`.
            output: that of `forward`, which the student is compared with.
        """
        return output

    def aux_loss(self, aux_input: Tensor, task: TaskLoss, step: int) -> Tensor | None:
        """The auxiliary loss, which trains this adapter alone; None: nothing to learn.

        Args:
            aux_input: the output of `aux_input`.
            task: the task's loss of the same batch.
            step: optimizer steps done.
        """
        return None


def as_is(student: Shape, teacher: Shape) -> tuple[Adapter, Adapter]:
    """The features themselves.

    Args:
        student: shape of the student's feature, without the batch.
        teacher: shape of the teacher's feature.

    Returns:
        The student's adapter and the teacher's.
    """
    return Adapter(), Adapter()


class Compose(Adapter):
    r"""An adapter of the output of another.

    .. math:: r(x) = outer(inner(x))

    What has no parameters is precomputed as far as it goes: where the inner adapter has nothing to
    train, the outer one's `precompute` is added to it, and the record is smaller. An inner adapter
    with its own objective keeps it, and the term's loss trains the outer one alone.

    Args:
        inner: reads the features of the layer.
        outer: reads the output of `inner`.
    """

    def __init__(self, inner: Adapter, outer: Adapter) -> None:
        super().__init__()
        self.inner, self.outer = inner, outer
        self._inner_precomputed = (
            type(inner).forward is Adapter.forward and inner.reduction is not None
        )
        self.own_objective_only, self.steps = inner.own_objective_only, inner.steps

    @property
    def aux_module(self) -> Adapter:
        """The inner adapter's: the outer one has no auxiliary loss."""
        return self.inner.aux_module

    @property
    def reduction(self) -> str | None:
        """The reductions of both, in order."""
        parts = [self.inner.reduction, *([self.outer.reduction] if self._inner_precomputed else [])]
        if any(part is None for part in parts):
            return None
        return ", then ".join(part for part in parts if part)

    def precompute(self, features: Any) -> Any:
        """The inner adapter's part without parameters, and the outer one's where it can follow."""
        features = self.inner.precompute(features)
        return self.outer.precompute(features) if self._inner_precomputed else features

    def forward(self, precomputed: Any) -> Tensor:
        """The output of the outer adapter."""
        if self._inner_precomputed:
            return self.outer(precomputed)  # type: ignore[no-any-return]
        features = self.inner(precomputed)
        if self.own_objective_only:
            features = features.detach()
        return self.outer(self.outer.precompute(features))  # type: ignore[no-any-return]
