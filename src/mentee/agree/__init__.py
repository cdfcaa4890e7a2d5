"""How two representations are compared: pure functions, one loss per example.

An agreement says what it needs beyond its two tensors, so that binding a method to a pair can fail
early and the engine knows what to pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from mentee.agree.contrast import contrast
from mentee.agree.kl import kl
from mentee.agree.task import task_loss

__all__ = ["AGREEMENTS", "Agreement", "contrast", "kl", "task_loss"]


@dataclass(frozen=True)
class Agreement:
    """One word of the table, with what it asks for.

    Attributes:
        function: `(student, teacher, **numbers) -> [b]`.
        memory: it reads negatives, as `negatives=` and `log_z=`.
        same_width: both sides must have as many entries.
        one_class: it makes sense only where an example has exactly one class.
    """

    function: Callable[..., Tensor]
    memory: bool = False
    same_width: bool = False
    one_class: bool = False


AGREEMENTS: dict[str, Agreement] = {
    "kl": Agreement(kl, same_width=True, one_class=True),
    "contrast": Agreement(contrast, memory=True, same_width=True),
}
"""Every agreement by name."""
