"""A learned temperature and bias of a contrast, as the length of the student's vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.representations.adapter import Adapter, Shape


def logit_scale(
    student: Shape,
    teacher: Shape,
    *,
    temperature: float = 0.1,
    bias: float | None = None,
    largest: float = 100.0,
) -> tuple[Adapter, Adapter]:
    r"""Vectors whose products are the logits of a contrast, with a scale and a bias to be learned.

    .. math:: s' = (e^a s, \beta), \quad t' = (t, 1), \quad
              \langle s', t' \rangle = e^a \langle s, t \rangle + \beta

    Read it of unit vectors, and give the contrast temperature 1 (and bias 0): `logit_scale` of
    `project` in-batch, `logit_scale` of `unit` of `to_teacher` with a record.

    Args:
        student: shape of the vectors, without the batch; of maps `(d, h, w)`.
        teacher: the same of the teacher.
        temperature: e^-a at first.
        bias: beta at first; None: none, where a softmax would ignore it.
        largest: e^a is at most this.

    Returns:
        The student's adapter, with one or two numbers to train, and the teacher's, with none.

    Raises:
        MenteeError: the temperature is not above 0, or below 1 / `largest`.

    Memory: O(b d). Source: Radford et al. 2021 (CLIP, arXiv:2103.00020); with a bias: Zhai et al.
    2023 (SigLIP, arXiv:2303.15343).

    Example:
        >>> s, t = logit_scale((2,), (2,), temperature=0.5, bias=-1.0)
        >>> x = torch.tensor([[0.6, 0.8]])
        >>> round((s(x) * t(x)).sum().item(), 4)
        1.0
    """
    if not (temperature > 0 and temperature * largest >= 1):
        raise MenteeError(
            f"logit_scale: temperature is {temperature}, expected at least 1 / largest, "
            f"{1 / largest:g}"
        )
    return ScaledVectors(temperature, bias, largest), AppendedOne(append=bias is not None)


class ScaledVectors(Adapter):
    """The student's adapter of `logit_scale`."""

    def __init__(self, temperature: float, bias: float | None, largest: float) -> None:
        super().__init__()
        self.log_scale, self.limit = nn.Parameter(torch.tensor(-math.log(temperature))), largest
        self.bias = None if bias is None else nn.Parameter(torch.tensor(bias))

    def forward(self, precomputed: Tensor) -> Tensor:
        """The vectors, longer, and the bias behind them."""
        scale = self.log_scale.clamp(max=math.log(self.limit)).exp()
        scaled = (precomputed * scale).to(precomputed.dtype)
        if self.bias is None:
            return scaled
        return appended(scaled, self.bias)


class AppendedOne(Adapter):
    """The teacher's adapter of `logit_scale`."""

    def __init__(self, *, append: bool) -> None:
        super().__init__()
        self.append = append

    def forward(self, precomputed: Tensor) -> Tensor:
        """The vectors, with a one behind them where there is a bias."""
        if not self.append:
            return precomputed
        return appended(precomputed, precomputed.new_ones(()))


def appended(x: Tensor, value: Tensor) -> Tensor:
    """One more entry in each vector: of maps along the channels, else along the last axis."""
    axis = 1 if x.ndim == 4 else -1
    return torch.cat([x, value.to(x.dtype).expand_as(x.narrow(axis, 0, 1))], axis)
