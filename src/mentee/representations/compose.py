"""A representation of another: what the inner side says is what the outer one reads."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mentee.representations.adapter import Adapter


class Compose(Adapter):
    r"""One side of a representation of another.

    .. math:: r(x) = outer(inner(x))

    What neither trains is fixed, as far from the place as it goes: where the inner side has only a
    fixed part, the outer one's is added to it, and a record keeps the smaller of the two. An inner
    side that learns alone still does, and the agreement trains the outer one alone.

    Args:
        inner: reads what is read at the place.
        outer: reads what the inner side says.
    """

    def __init__(self, inner: Adapter, outer: Adapter) -> None:
        super().__init__()
        self.inner, self.outer = inner, outer
        self._all_fixed = type(inner).forward is Adapter.forward and inner.reduction is not None
        self.own_objective_only, self.steps = inner.own_objective_only, inner.steps

    @property
    def aux_module(self) -> Adapter:
        """The inner side's: its own loss is the only one there is."""
        return self.inner.aux_module

    @property
    def reduction(self) -> str | None:
        """What the fixed parts do, one after the other."""
        parts = [self.inner.reduction, *([self.outer.reduction] if self._all_fixed else [])]
        if any(part is None for part in parts):
            return None
        return ", then ".join(part for part in parts if part)

    def precompute(self, features: Any) -> Any:
        """The part without parameters."""
        said = self.inner.precompute(features)
        return self.outer.precompute(said) if self._all_fixed else said

    def forward(self, precomputed: Any) -> Tensor:
        """What the outer side makes of the inner one."""
        if self._all_fixed:
            return self.outer(precomputed)  # type: ignore[no-any-return]
        said = self.inner(precomputed)
        if self.own_objective_only:
            said = said.detach()
        return self.outer(self.outer.precompute(said))  # type: ignore[no-any-return]
