"""Factors: the teacher's map paraphrased by an autoencoder, the student's translated to it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.representations.adapter import STEPS, Adapter, Shape, TaskLoss
from mentee.representations.feature_maps import FeatureMaps, attend, coarser, grids

SLOPE = 0.1
"""Of the leaky ReLU below zero."""


def paraphraser(
    student: Shape,
    teacher: Shape,
    *,
    share: float = 0.5,
    learn: Literal["joint", "first"] = "first",
    steps: int | None = None,
) -> tuple[Adapter, Adapter]:
    r"""What a paraphraser keeps of the teacher's map, and a translator makes of the student's.

    .. math:: F^t = \mathrm{attention}(E(f^t)), \quad F^s = \mathrm{attention}(T(f^s)), \quad
              L_{own} = \mathrm{mse}(D(E(f^t)), f^t)

    E and T are three 3×3 convolutions each, D three transposed ones; attention is the mean square
    over the channels, of unit length. E and D learn from their own loss alone, T with the student.

    Args:
        student: what is read in the student, without the batch: `(c, h, w)` or `(t, d)`.
        teacher: the same of the teacher.
        share: of the teacher's channels that E keeps, in (0, 1].
        learn: `first`: the paraphraser learns alone, for `steps` steps before the student's first,
            as published; `joint`: beside the student.
        steps: of `first`; None: 500.

    Returns:
        The student's side and the teacher's: vectors of h·w entries.

    Raises:
        MenteeError: a number is out of range, or would change nothing.
        PairError: as for `feature_maps`.

    Memory: O(b c h w). Source: Kim et al. 2018 (arXiv:1802.04977), as in RepDistiller.
    """
    if not 0 < share <= 1:
        raise MenteeError(f"paraphraser: share is {share}, expected one in (0, 1]")
    if steps is not None and (learn == "joint" or steps < 1):
        raise MenteeError(
            f"paraphraser: steps is {steps} and learn is {learn}; expected at least 1, of first"
        )
    ours, theirs = grids("paraphraser", student, teacher)
    size, width = coarser(ours, theirs), max(int(theirs.channels * share), 1)
    alone = 0 if learn == "joint" else steps or STEPS
    translator = _convolutions(nn.Conv2d, [ours.channels, ours.channels, width, width])
    return (
        Translator(FeatureMaps(ours, size), translator),
        Paraphraser(FeatureMaps(theirs, size), theirs.channels, width, alone),
    )


class Translator(Adapter):
    """The student's side of `paraphraser`.

    Args:
        reader: gives the maps.
        encoder: what is trained.
    """

    def __init__(self, reader: FeatureMaps, encoder: nn.Module) -> None:
        super().__init__()
        self.reader, self.encoder = reader, encoder

    @property
    def reduction(self) -> str | None:
        """The reader's."""
        return self.reader.reduction

    def precompute(self, features: Tensor) -> Tensor:
        """The reader's maps."""
        return self.reader.precompute(features)

    def forward(self, precomputed: Tensor) -> Float[Tensor, "b d"]:
        """The attention of what the encoder makes of them."""
        return attend(self.encoder(precomputed), 2)


class Paraphraser(Translator):
    """The teacher's side of `paraphraser`.

    Args:
        reader: gives the maps.
        channels: of the maps.
        width: channels that are kept.
        steps: how many it learns alone and first; 0: it learns beside the student.
    """

    def __init__(self, reader: FeatureMaps, channels: int, width: int, steps: int) -> None:
        super().__init__(reader, _convolutions(nn.Conv2d, [channels, channels, width, width]))
        self.decoder = _convolutions(nn.ConvTranspose2d, [width, width, channels, channels])
        self.steps, self.own_objective_only = steps, steps == 0
        if steps:
            self.requires_grad_(False)

    def aux_input(self, precomputed: Tensor, said: Tensor) -> Float[Tensor, " b"]:
        """How far the reconstruction of each example is off."""
        error: Tensor = self.decoder(self.encoder(precomputed)) - precomputed
        return error.square().flatten(1).mean(1)

    def aux_loss(self, said: Tensor, task: TaskLoss, step: int) -> Tensor:
        """Their mean."""
        return said.mean()


def _convolutions(
    kind: type[nn.Conv2d] | type[nn.ConvTranspose2d], widths: Sequence[int]
) -> nn.Sequential:
    """3×3 convolutions with a leaky ReLU behind each."""
    parts: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        parts += [kind(before, after, 3, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*parts)
