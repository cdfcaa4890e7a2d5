"""The losses of steps, which stay on the device until they are read, many steps at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice

import torch
from torch import Tensor

from mentee.distillation.weights import LossWeights
from mentee.errors import DivergedError
from mentee.types import Step

EVERY = 50
"""Steps whose losses are read together where the host would have to wait for the device."""


class LossReader:
    """Reads the losses of steps, in their order, and refuses one that is not finite.

    On a CPU they are read at once. On another device they are read every `EVERY` steps, at the end
    of an epoch, while the sizes of the losses are measured, and whenever those of a step are asked
    for. A checkpoint holds the losses of its step, so none is written after one that is not finite.

    Args:
        loss_weights: is told the losses of each step.
        device: where they are.
    """

    def __init__(self, loss_weights: LossWeights, device: torch.device) -> None:
        self._loss_weights, self._at_once = loss_weights, device.type == "cpu"
        self._unread: list[UnreadStep] = []

    def add(self, step: UnreadStep, *, ends_epoch: bool) -> None:
        """Take a step that is not taken yet, and read it where that is due.

        Raises:
            DivergedError: its loss, or that of a step before it, is not finite.
        """
        self._unread.append(step)
        due = ends_epoch or len(self._unread) == EVERY
        if self._at_once or due or self._loss_weights.is_measured(step.number - 1):
            self.read()

    def read(self) -> None:
        """Read all steps that are not read yet.

        Raises:
            DivergedError: a loss is not finite.
        """
        if not self._unread:
            return
        numbers = iter(torch.cat([step.values for step in self._unread]).tolist())
        for step in self._unread:
            step.numbers[:] = islice(numbers, len(step.names) + 1)
            self._loss_weights.update(step.losses, step.number - 1)
            check_finite(step)
        self._unread = []


class UnreadStep(Step):
    """A step whose losses a `LossReader` reads when they are asked for.

    Args:
        number: steps done, this one included.
        epoch: from 0.
        position: batches of the epoch used.
        lr: its learning rate.
        examples: of all processes.
        names: of the terms.
        values: the loss, and the value of each term, on the device.
        reader: reads them.
    """

    names: Sequence[str]
    values: Tensor
    numbers: list[float]
    reader: LossReader

    def __init__(
        self,
        number: int,
        epoch: int,
        position: int,
        *,
        lr: float,
        examples: int,
        names: Sequence[str],
        values: Tensor,
        reader: LossReader,
    ) -> None:
        vars(self).update(number=number, epoch=epoch, position=position, lr=lr, examples=examples)
        vars(self).update(names=names, values=values, numbers=[], reader=reader)

    @property
    def is_read(self) -> bool:
        """Whether its losses are known to the host."""
        return bool(self.numbers)

    @property
    def loss(self) -> float:
        """The weighted sum that was differentiated."""
        return self._read()[0]

    @property
    def losses(self) -> Mapping[str, float]:
        """The unweighted value of each term, and `task`."""
        return dict(zip(self.names, self._read()[1:], strict=True))

    def _read(self) -> list[float]:
        if not self.is_read:
            self.reader.read()
        return self.numbers


def check_finite(step: Step) -> None:
    """Refuse a loss that is not finite."""
    if math.isfinite(step.loss):
        return
    terms = ", ".join(f"{name} {value:.4g}" for name, value in step.losses.items())
    raise DivergedError(
        f"the loss is {step.loss} at step {step.number} (epoch {step.epoch + 1}): {terms}; nothing "
        "of this step was kept. Try a lower train.lr, train.max_grad_norm: 1.0, or full precision"
    )
