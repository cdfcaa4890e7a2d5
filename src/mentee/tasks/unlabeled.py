"""The task without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mentee.errors import DataError
from mentee.tasks.task import Labels, Task


@dataclass(frozen=True)
class Unlabeled(Task):
    """No labels: the student learns from its teacher alone."""

    name = "none"

    def read_labels(self, values: Any, **options: Any) -> Labels:
        """Refused: labels are left out by `data.label: false`."""
        raise DataError("task none reads no labels; say so with data.label: false")

    def placeholder(self, n: int, k: int) -> Tensor:
        """Classes, so that the student's own step can be measured."""
        return torch.arange(n) % k
