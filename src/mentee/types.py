"""Types that several rooms share, and the legend of shape letters.

Shape letters, the same in annotations, einsum and prose:

* `b` examples in a batch, `k` classes, `c` channels, `h`, `w` height and width,
  `t` tokens or time frames, `d` width of a representation
* `n` examples in the training set (rows of a bank), `m` negatives, `s`, `t` as a prefix:
  of the student and of the teacher
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

T = TypeVar("T")

Features: TypeAlias = dict[str, Tensor]
"""Layer, or text of a `FeatureKey`, to what was read: `{"stages.0": [b, c, h, w], ...}`."""


@dataclass(frozen=True)
class FeatureKey:
    """Which features of a network: of one layer, or of several read together, and how reduced.

    Its text, `stem&stages.0 | flow`, is the name of a column of a record. This is the only place
    that knows the form.

    Attributes:
        layers: the layers, in order.
        reduction: what the parameter-free part of a representation made of them; empty: nothing.
    """

    layers: tuple[str, ...]
    reduction: str = ""

    def __str__(self) -> str:
        layers = "&".join(self.layers)
        return f"{layers} | {self.reduction}" if self.reduction else layers

    @classmethod
    def parse(cls, text: str) -> FeatureKey:
        """The key of a text.

        Example:
            >>> FeatureKey.parse("stem & stages.0"), FeatureKey.parse("logits").layers
            (FeatureKey(layers=('stem', 'stages.0'), reduction=''), ('logits',))
            >>> str(FeatureKey.parse("stages.0").reduced("4x4 cells"))
            'stages.0 | 4x4 cells'
        """
        layers, _, reduction = text.partition(" | ")
        return cls(tuple(layer.strip() for layer in layers.split("&")), reduction)

    def reduced(self, reduction: str) -> FeatureKey:
        """The same layers, reduced."""
        return replace(self, reduction=reduction)

    def select(self, values: Mapping[str, T]) -> T | tuple[T, ...]:
        """The value of the layer, or a tuple of those of all layers that are read together.

        Example:
            >>> values = {"stem": 1, "stages.0": 2}
            >>> FeatureKey.parse("stem&stages.0").select(values)
            (1, 2)
            >>> FeatureKey.parse("stem").select(values)
            1
        """
        selected = tuple(values[layer] for layer in self.layers)
        return selected[0] if len(selected) == 1 else selected


@dataclass(frozen=True)
class LayerPair:
    """Which features of the student are compared with which of the teacher.

    Attributes:
        student: of the student.
        teacher: of the teacher.
    """

    student: FeatureKey
    teacher: FeatureKey

    def __str__(self) -> str:
        same = self.student == self.teacher
        return str(self.student) if same else f"{self.student}~{self.teacher}"

    @classmethod
    def parse(cls, student: str, teacher: str) -> LayerPair:
        """The pair of two texts.

        Example:
            >>> str(LayerPair.parse("stages.2", "stages.3")), str(LayerPair.parse("stem", "stem"))
            ('stages.2~stages.3', 'stem')
        """
        return cls(FeatureKey.parse(student), FeatureKey.parse(teacher))


CLEAN = -1
"""The view that is not augmented."""


def on_device(x: Tensor, device: torch.device | str) -> Tensor:
    """What the host has made, on a device, without waiting for it: the one way there in a step."""
    if torch.device(device).type == "cuda" and not x.is_cuda:
        x = x.pin_memory()  # itself where it is pinned already
    return x.to(device, non_blocking=True)


def constants(values: Sequence[float], like: Tensor) -> Tensor:
    """Numbers of the host as a tensor, of the type and on the device of another."""
    return on_device(torch.tensor(values, dtype=like.dtype), like.device)


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
        """Labels or features of the examples, mixed as the examples are."""
        return self.share * x + (1 - self.share) * x[self.partner]


@dataclass(frozen=True)
class Batch:
    """A batch of examples, all in one view.

    Attributes:
        inputs: what the networks read: images float32 in [0, 1], `[b, c, h, w]`; audio float32
            in [-1, 1], `[b, samples]`; text uint8, the bytes of its UTF-8, 0 behind, `[b, t]`.
        ids: the examples' keys, which never change (a hash of the source's own id); on the CPU,
            where they are looked up.
        rows: where the examples stand in their split, on the CPU; a bank keeps one row for each.
        labels: `[b]` class numbers, or `[b, k]` 0/1 for several classes at once, or None.
        mask: `[b, k]`, true where a label of several is known; None: all are known.
        labeled: `[b]`, true where an example has labels; of others the class number is −1, the
            mask false. None: all have, or none.
        view: the number of the augmentation, or `CLEAN`.
        mixed: how the inputs were mixed; labels and mask are those of each example itself.
        recorded: by teacher what was read ahead of its record, not mixed; else None.
    """

    inputs: Tensor
    ids: Int64[Tensor, " b"]
    rows: Int64[Tensor, " b"]
    labels: Tensor | None = None
    mask: Bool[Tensor, "b k"] | None = None
    view: int = CLEAN
    mixed: Mixup | None = None
    labeled: Bool[Tensor, " b"] | None = None
    recorded: Mapping[object, Features] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`, but for ids and rows, which stay where they are."""
        return self._moved(lambda x: on_device(x, device))

    def pin_memory(self) -> Batch:
        """The same batch in memory that a GPU copies from while the host goes on."""
        return self._moved(Tensor.pin_memory)

    def _moved(self, move: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            inputs=move(self.inputs),
            labels=None if self.labels is None else move(self.labels),
            mask=None if self.mask is None else move(self.mask),
            labeled=None if self.labeled is None else move(self.labeled),
            mixed=self.mixed and replace(self.mixed, partner=move(self.mixed.partner)),
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

    @property
    def is_read(self) -> bool:
        """Whether its losses are known to the host, which else waits for a device."""
        return True
