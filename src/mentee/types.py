"""What crosses the borders between stages, and the legend of shape letters.

Shape letters, the same in annotations, einsum and prose:

* `b` examples in a batch, `k` classes, `c` channels, `h`, `w` height and width,
  `t` tokens or time frames, `d` width of a representation
* `n` examples in the training set (rows of a bank), `m` negatives, `s`, `t` as a prefix:
  the student's and the teacher's side
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

T = TypeVar("T")

TOGETHER = "&"
"""Between the names of places that are read together."""

REDUCTION_SEPARATOR = " | "
"""Between a place and what a representation's fixed part makes of it."""

Features: TypeAlias = dict[str, Tensor]
"""Place name to what was read there: `{"stages.0": [b, c, h, w], "embedding": [b, d], ...}`."""


def column(place: str, reduction: str) -> str:
    """The name in `Features` of what a representation's fixed part makes of a place.

    Example:
        >>> column("stages.0", "4x4 cells"), column("logits", "")
        ('stages.0 | 4x4 cells', 'logits')
    """
    return f"{place}{REDUCTION_SEPARATOR}{reduction}" if reduction else place


def together(places: str) -> list[str]:
    """The places that are read together: `stem&stages.0` names two.

    Example:
        >>> together("stem & stages.0"), together("logits")
        (['stem', 'stages.0'], ['logits'])
    """
    return [place.strip() for place in places.split(TOGETHER)]


def read(said: Mapping[str, T], places: str) -> T | tuple[T, ...]:
    """What is said at a place, or at each of several that are read together.

    Example:
        >>> read({"stem": 1, "stages.0": 2}, "stem&stages.0"), read({"stem": 1}, "stem")
        ((1, 2), 1)
    """
    names = together(places)
    return said[names[0]] if len(names) == 1 else tuple(said[name] for name in names)


CLEAN = -1
"""The view that is not augmented."""


@dataclass(frozen=True)
class Statistics:
    """How a teacher's vectors are distributed over the training examples.

    Attributes:
        mean: of each entry.
        std: standard deviation of each entry.
        components: orthonormal rows, the principal directions, the largest variance first.
        variances: variance along each of them.
    """

    mean: Float[Tensor, " d"]
    std: Float[Tensor, " d"]
    components: Float[Tensor, "m d"]
    variances: Float[Tensor, " m"]


@dataclass(frozen=True)
class Mixup:
    """How the examples of a batch were mixed with one another (mixup).

    Attributes:
        partner: the row of the batch that each example was mixed with.
        share: the example's own share, in [0.5, 1]; the partner's is the rest.
    """

    partner: Int64[Tensor, " b"]
    share: float

    def of(self, x: Tensor) -> Tensor:
        """What was said of the examples, mixed as the examples are."""
        return self.share * x + (1 - self.share) * x[self.partner]


@dataclass(frozen=True)
class Batch:
    """Some examples of one view, as every later stage gets them.

    Attributes:
        inputs: what the networks read: images float32 in [0, 1], `[b, c, h, w]`; audio float32
            in [-1, 1], `[b, samples]`; text uint8, the bytes of its UTF-8, 0 behind, `[b, t]`.
        ids: the examples' keys, which never change (a hash of the source's own id).
        rows: where the examples stand in their split; a bank keeps one row for each.
        labels: `[b]` class numbers, or `[b, k]` 0/1 for several classes at once, or None.
        mask: `[b, k]`, true where a label of several is known; None: all are known.
        labeled: `[b]`, true where an example has labels; of others the class number is −1, the
            mask false. None: all have, or none.
        view: the number of the augmentation, or `CLEAN`.
        mixed: how the inputs were mixed; labels and mask are those of each example itself.
    """

    inputs: Tensor
    ids: Int64[Tensor, " b"]
    rows: Int64[Tensor, " b"]
    labels: Tensor | None = None
    mask: Bool[Tensor, "b k"] | None = None
    view: int = CLEAN
    mixed: Mixup | None = None
    labeled: Bool[Tensor, " b"] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        return replace(
            self,
            inputs=self.inputs.to(device, non_blocking=True),
            ids=self.ids.to(device),
            rows=self.rows.to(device),
            labels=None if self.labels is None else self.labels.to(device),
            mask=None if self.mask is None else self.mask.to(device),
            labeled=None if self.labeled is None else self.labeled.to(device),
            mixed=self.mixed and replace(self.mixed, partner=self.mixed.partner.to(device)),
        )


@dataclass(frozen=True)
class Step:
    """One optimizer step, as the loop reports it.

    Attributes:
        number: steps done since the beginning of the run, this one included.
        epoch: the epoch the step belongs to, from 0.
        position: batches of that epoch already used, this step's included.
        losses: the unweighted value of each term, and `task`; averaged over the step.
        loss: the weighted sum that was differentiated.
        lr: learning rate of the step.
        examples: examples used by the step, over all processes.
    """

    number: int
    epoch: int
    position: int
    loss: float
    losses: Mapping[str, float] = field(default_factory=dict)
    lr: float = 0.0
    examples: int = 0
