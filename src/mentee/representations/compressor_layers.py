"""The transformation h of embedding compression: its layers, and checks of its parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.representations.adapter import STEPS, Adapter, Shape
from mentee.representations.heads import channels, layers
from mentee.representations.pooled import PooledVectors


class Transformation(nn.Module):
    """h: vectors or frames of a reader, standardized, with dropout on demand, through layers."""

    def __init__(
        self, reader: Adapter, scaling: PooledVectors, layers: nn.Module, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.reader, self.scaling, self.layers, self.width = reader, scaling, layers, width
        self.dropout = nn.Dropout(dropout)

    def forward(self, precomputed: Tensor, *, drop: bool = False) -> Tensor:
        """The output, with dropout on the vectors where `drop`."""
        x = self.reader(self.scaling.scaled(precomputed))
        return self.layers(self.dropout(x) if drop else x)  # type: ignore[no-any-return]


def transformation_layers(
    component: str, teacher: Shape, width: int, depth: int, hidden: int | None, activation: str
) -> nn.Module:
    """The linear layers of h, after checks of their parameters."""
    for name, value in (("width", width), ("depth", depth), ("hidden", hidden)):
        if value is not None and value < 1:
            raise MenteeError(f"{component}: {name} is {value}, expected at least 1")
    if hidden is not None and depth == 1:
        raise MenteeError(
            f"{component}: hidden is {hidden} and depth is 1, which has no hidden layer; set "
            f"{component}.depth to 2 or more, or leave hidden out"
        )
    inputs = channels(teacher)
    mlp = layers(inputs, width, depth, hidden or max(width, inputs // 2))
    return nn.Sequential(mlp, nn.ReLU()) if activation == "relu" else mlp


@torch.no_grad()
def scale_last(mlp: nn.Module, gain: float) -> None:
    """Multiply the first weights of the last linear layer."""
    if gain < 0:
        raise MenteeError(f"compress: gain is {gain}, expected 0 or more")
    last = [each for each in mlp.modules() if isinstance(each, nn.Linear)][-1]
    for parameter in last.parameters():
        parameter.mul_(gain)


def training_steps(
    component: str, dropout: float, learn: str, steps: int | None, freeze: int | None
) -> tuple[int, int | None]:
    """The steps of pretraining (0: it learns along with the student), and the step that freezes."""
    if not 0 <= dropout < 1:
        raise MenteeError(f"{component}: dropout is {dropout}, expected a share in [0, 1)")
    if learn == "first":
        if freeze is not None:
            raise MenteeError(
                f"{component}: freeze is {freeze} and learn is first, which freezes it "
                f"already; leave freeze out, or set {component}.learn to joint"
            )
        if steps is not None and steps < 1:
            raise MenteeError(f"{component}: steps is {steps}, expected at least 1")
        return STEPS if steps is None else steps, None
    if steps is not None:
        raise MenteeError(
            f"{component}: steps is {steps} and learn is joint, which trains it with the student; "
            f"set {component}.learn to first, or {component}.freeze to the step where it is to end"
        )
    if freeze is not None and freeze < 0:
        raise MenteeError(f"{component}: freeze is {freeze}, expected a step, 0 or later")
    return 0, freeze
