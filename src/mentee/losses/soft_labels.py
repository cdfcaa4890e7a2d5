"""Soft labels, whatever the labels are: one class, several, or real values."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError
from mentee.losses.batch_statistics import full
from mentee.losses.kd import binary_kd, kl
from mentee.tasks import OUTPUTS, Outputs


def soft_labels(
    student: Float[Tensor, "b k"],
    teacher: Float[Tensor, "b k"],
    *,
    outputs: Outputs | None = None,
    temperature: float = 2.0,
) -> Float[Tensor, " b"]:
    r"""The student's outputs follow the teacher's, of examples without labels too.

    .. math:: \ell_i = \ell^{kl}_i, \quad \ell_i = \ell^{binary\_kd}_i \quad \text{or} \quad
              \ell_i = \frac{1}{k} \sum_c (z^s_{ic} - z^t_{ic})^2

    of one class an example, of several, and of real values. No label is left out because it is not
    known, as `binary_kd` does: the teacher knows all.

    Args:
        student: outputs `[b, k]`.
        teacher: outputs of the same; no gradient reaches them.
        outputs: what they are, by the task.
        temperature: T > 0, of logits; as for `kl`.

    Returns:
        One loss per example, `[b]`; 0 where both are equal.

    Raises:
        MenteeError: the temperature is not positive, or nobody says what the outputs are.

    Memory: O(b k). Source: as `kl` and `binary_kd`.

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, 3.0]])
        >>> soft_labels(0 * z, z, outputs="values").item()
        5.0
    """
    losses: dict[str | None, Callable[[], Tensor]] = {
        "class logits": lambda: kl(full(student), full(teacher), temperature=temperature),
        "label logits": lambda: binary_kd(student, teacher, temperature=temperature),
        "values": lambda: (full(student) - full(teacher.detach())).square().mean(1),
    }
    if outputs not in losses:
        raise MenteeError(
            f"soft_labels: outputs is {outputs!r}, expected one of "
            f"{', '.join(map(repr, OUTPUTS))}; a task of your own has it as its attribute outputs"
        )
    return losses[outputs]()
