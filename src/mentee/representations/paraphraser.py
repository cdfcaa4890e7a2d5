"""Factor transfer: an autoencoder paraphrases the teacher's map, the student's is translated."""

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
    r"""Factors: the teacher's map through a paraphraser, the student's through a translator.

    .. math:: F^t = \mathrm{attention}(E(f^t)), \quad F^s = \mathrm{attention}(T(f^s)), \quad
              L_{own} = \mathrm{mse}(D(E(f^t)), f^t)

    E and T are three 3×3 convolutions each, D three transposed ones; attention is the mean square
    over the channels, of unit length. E and D learn from L_own alone, T with the student.

    Args:
        student: shape of the student's feature, without the batch: `(c, h, w)` or `(t, d)`.
        teacher: shape of the teacher's feature.
        share: of the teacher's channels that E keeps, in (0, 1].
        learn: `first`: the paraphraser is pretrained for `steps` steps before the student's first,
            as published; `joint`: it learns along with the student.
        steps: of `first`; None: 500.

    Returns:
        The student's adapter and the teacher's: vectors of h·w entries.

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
    s, t = grids("paraphraser", student, teacher)
    size, width = coarser(s, t), max(int(t.channels * share), 1)
    pretraining = 0 if learn == "joint" else steps or STEPS
    translator = _convolutions(nn.Conv2d, [s.channels, s.channels, width, width])
    return (
        Translator(FeatureMaps(s, size), translator),
        Paraphraser(FeatureMaps(t, size), t.channels, width, pretraining),
    )


class Translator(Adapter):
    """The student-side adapter of `paraphraser`: the attention map of an encoder's output."""

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
        """The attention map of the encoded maps."""
        return attend(self.encoder(precomputed), 2)


class Paraphraser(Translator):
    """The teacher-side adapter of `paraphraser`, pretrained for `steps` steps where not 0."""

    def __init__(self, reader: FeatureMaps, channels: int, width: int, steps: int) -> None:
        super().__init__(reader, _convolutions(nn.Conv2d, [channels, channels, width, width]))
        self.decoder = _convolutions(nn.ConvTranspose2d, [width, width, channels, channels])
        self.steps, self.own_objective_only = steps, steps == 0
        if steps:
            self.requires_grad_(False)

    def aux_input(self, precomputed: Tensor, output: Tensor) -> Float[Tensor, " b"]:
        """The mean squared error of each example's reconstruction."""
        error: Tensor = self.decoder(self.encoder(precomputed)) - precomputed
        return error.square().flatten(1).mean(1)

    def aux_loss(self, aux_input: Tensor, task: TaskLoss, step: int) -> Tensor:
        """Their mean."""
        return aux_input.mean()


def _convolutions(
    kind: type[nn.Conv2d] | type[nn.ConvTranspose2d], widths: Sequence[int]
) -> nn.Sequential:
    """3×3 convolutions with a leaky ReLU after each."""
    parts: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        parts += [kind(before, after, 3, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*parts)
