"""Heads on the student's side: its vector in another space, for agreements entry by entry."""

from __future__ import annotations

import itertools
from typing import Literal, TypeAlias

from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.representations.adapter import Adapter, PairInfo, Shape
from mentee.representations.pooled import PooledVectors, readers
from mentee.representations.whitening import balancing, whitening

StudentHead: TypeAlias = Literal["none", "linear", "mlp"]


def to_teacher(
    student: Shape,
    teacher: Shape,
    *,
    pair_info: PairInfo,
    head: Literal["linear", "mlp"] = "linear",
    hidden: int | None = None,
    scale: Literal["none", "center", "standard", "whiten", "phi-s"] = "standard",
    per_frame: bool = False,
) -> tuple[Adapter, Adapter]:
    r"""The student's vector mapped into the teacher's space by a head that is dropped at export.

    .. math:: s = W f^s + b, \quad t = (f^t - \mu) / \sigma

    Args:
        student: what is read in the student, without the batch; averaged to a vector.
        teacher: the same of the teacher.
        pair_info: the statistics, where `scale` asks for them.
        head: `linear`, or `mlp` (linear, ReLU, linear).
        hidden: width of the hidden layer; None: the larger of both widths.
        scale: of the teacher's vectors, as for `pooled`; or `whiten`: their principal directions,
            each of deviation 1; or `phi-s`: turned until every entry varies alike, and divided by
            one deviation, which keeps the proportions of distances.
        per_frame: a vector for each time frame, aligned as `frames` does, instead of one.

    Returns:
        The student's side and the teacher's, both of the teacher's width (turned: of as many
        entries as there are directions).

    Raises:
        MenteeError: `hidden` is below 1.
        PairError: statistics are asked for and there are none.

    Memory: O(b d). Source: with cosine S-SONDO (arXiv:2604.24933), with MSE Proteus, with both
    UNIC; teachers standardized as in Theia, or as in PHI-S (arXiv:2410.01680).
    """
    if hidden is not None and hidden < 1:
        raise MenteeError(f"to_teacher: hidden is {hidden}, expected at least 1")
    statistics = None if scale == "none" else pair_info.measured(f"to_teacher with scale {scale}")
    mine, theirs = readers(student, teacher, per_frame)
    turn = {"whiten": whitening, "phi-s": balancing}.get(scale)
    matrix = None if turn is None or statistics is None else turn(statistics)
    depth, width = (
        1 if head == "linear" else 2,
        channels(teacher) if matrix is None else len(matrix),
    )
    ours = HeadAdapter(mine, layers(channels(student), width, depth, hidden))
    scaling = PooledVectors(teacher, statistics, spread=scale == "standard")
    return ours, GridAdapter(theirs, scaling, matrix)


def student_side(reader: Adapter, student: Shape, width: int, head: StudentHead) -> Adapter:
    """The student's vectors as they are, or through a head to `width` entries."""
    if head == "none":
        return reader
    return HeadAdapter(reader, layers(channels(student), width, 1 if head == "linear" else 2))


class HeadAdapter(Adapter):
    """A trained head over what a reader gives: vectors, frames or maps.

    Args:
        reader: has nothing to train.
        head: what is trained.
    """

    def __init__(self, reader: Adapter, head: nn.Module) -> None:
        super().__init__()
        self.reader, self.head = reader, head

    @property
    def reduction(self) -> str | None:
        """The reader's."""
        return self.reader.reduction

    def precompute(self, features: Tensor) -> Tensor:
        """The reader's."""
        said: Tensor = self.reader.precompute(features)
        return said

    def forward(self, precomputed: Tensor) -> Tensor:
        """What the head makes of it."""
        said: Tensor = self.head(self.reader(precomputed))
        return said


class GridAdapter(Adapter):
    """Standardized vectors of a reader, times a matrix that is never trained.

    Args:
        reader: gives one vector an example, or one a frame.
        scaling: what centers and scales them.
        matrix: `[width, d]`; None: no matrix.
    """

    def __init__(
        self, reader: Adapter, scaling: PooledVectors, matrix: Tensor | None = None
    ) -> None:
        super().__init__()
        self.reader, self.scaling, self.multiplied = reader, scaling, matrix is not None
        if matrix is not None:
            self.register_buffer("matrix", matrix.clone())

    @property
    def reduction(self) -> str | None:
        """The reader's."""
        return self.reader.reduction

    def precompute(self, features: Tensor) -> Tensor:
        """The reader's vectors."""
        said: Tensor = self.reader.precompute(features)
        return said

    def forward(self, precomputed: Tensor) -> Tensor:
        """The mapped vectors, aligned where the reader aligns."""
        x = self.scaling.scaled(precomputed)
        x = x @ self.get_buffer("matrix").to(x.dtype).T if self.multiplied else x
        said: Tensor = self.reader(x)
        return said


def layers(inputs: int, width: int, depth: int, hidden: int | None = None) -> nn.Module:
    """`depth` linear layers with ReLU between them, the hidden ones as wide as the wider end.

    Example:
        >>> layers(8, 2, 1)
        Linear(in_features=8, out_features=2, bias=True)
    """
    widths = [inputs, *[hidden or max(inputs, width)] * (depth - 1), width]
    parts: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        parts += [nn.Linear(before, after), nn.ReLU()]
    return parts[0] if depth == 1 else nn.Sequential(*parts[:-1])


def channels(shape: Shape) -> int:
    """Entries of the averaged vector: c of maps, d of tokens and vectors."""
    return shape[0] if len(shape) == 3 else shape[-1]
