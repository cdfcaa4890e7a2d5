"""Heads that map the student into the teacher's space, for elementwise losses."""

from __future__ import annotations

import itertools
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.representations.adapter import Adapter, PairInfo, Shape
from mentee.representations.normalization import unit_positions
from mentee.representations.pooled import SMALLEST_STD, PooledVectors, readers
from mentee.types import Statistics

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
        student: shape of the student's feature, without the batch; averaged to a vector.
        teacher: shape of the teacher's feature.
        pair_info: has the statistics, where `scale` needs them.
        head: `linear`, or `mlp` (linear, ReLU, linear).
        hidden: width of the hidden layer; None: the larger of both widths.
        scale: of the teacher's vectors, as for `pooled`; or `whiten`: their principal directions,
            each of deviation 1; or `phi-s`: rotated until every entry varies alike, and divided by
            one deviation, which keeps the proportions of distances.
        per_frame: a vector for each time frame, aligned as `frames` does, instead of one.

    Returns:
        The student's adapter and the teacher's, both of the teacher's width (rotated: of as
        many entries as there are directions).

    Raises:
        MenteeError: `hidden` is below 1.
        PairError: statistics are needed and there are none.

    Memory: O(b d). Source: with cosine S-SONDO (arXiv:2604.24933), with MSE Proteus, with both
    UNIC; teachers standardized as in Theia, or as in PHI-S (arXiv:2410.01680).
    """
    if hidden is not None and hidden < 1:
        raise MenteeError(f"to_teacher: hidden is {hidden}, expected at least 1")
    statistics = None if scale == "none" else pair_info.measured(f"to_teacher with scale {scale}")
    student_reader, teacher_reader = readers(student, teacher, per_frame)
    rotate = {"whiten": whitening, "phi-s": balancing}.get(scale)
    matrix = None if rotate is None or statistics is None else rotate(statistics)
    width = channels(teacher) if matrix is None else len(matrix)
    depth = 1 if head == "linear" else 2
    student_adapter = HeadAdapter(student_reader, layers(channels(student), width, depth, hidden))
    scaling = PooledVectors(teacher, statistics, spread=scale == "standard")
    return student_adapter, MatrixAdapter(teacher_reader, scaling, matrix)


def student_adapter(reader: Adapter, student: Shape, width: int, head: StudentHead) -> Adapter:
    """The student's vectors themselves, or a head to `width` entries over them."""
    if head == "none":
        return reader
    return HeadAdapter(reader, layers(channels(student), width, 1 if head == "linear" else 2))


class HeadAdapter(Adapter):
    """A trained head over the vectors, frames or maps of a reader.

    Args:
        reader: an adapter without parameters.
        head: is trained.
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
        return self.reader.precompute(features)  # type: ignore[no-any-return]

    def forward(self, precomputed: Tensor) -> Tensor:
        """The head's output."""
        return self.head(self.reader(precomputed))  # type: ignore[no-any-return]


class UnitHead(HeadAdapter):
    """A trained head whose vectors have unit length, at each position of maps."""

    def forward(self, precomputed: Tensor) -> Float[Tensor, "b d *hw"]:
        """The head's vectors, of unit length."""
        return unit_positions(super().forward(precomputed))


class MatrixAdapter(Adapter):
    """Standardized vectors of a reader, times a matrix that is never trained.

    Args:
        reader: gives one vector an example, or one a frame.
        scaling: centers and scales them.
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
        return self.reader.precompute(features)  # type: ignore[no-any-return]

    def forward(self, precomputed: Tensor) -> Tensor:
        """The mapped vectors, aligned where the reader aligns."""
        x = self.scaling.scaled(precomputed)
        x = x @ self.get_buffer("matrix").to(x.dtype).T if self.multiplied else x
        return self.reader(x)  # type: ignore[no-any-return]


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


def whitening(statistics: Statistics) -> Float[Tensor, "m d"]:
    r"""Along the principal directions, each divided by its deviation.

    .. math:: W = \Lambda^{-1/2} V^\top

    A matrix for centered vectors, whose products have unit covariance; directions that hardly vary
    are left out.
    """
    directions, variances = _that_vary(statistics)
    return directions / variances.sqrt()[:, None]


def balancing(statistics: Statistics) -> Float[Tensor, "m d"]:
    r"""PHI standardization: rotated until every entry varies alike, then divided by one number.

    .. math:: W = \frac{1}{\varphi} R V^\top, \quad \varphi^2 = \frac{1}{m} \sum_j \lambda_j, \quad
              (R \Lambda R^\top)_{jj} = \varphi^2

    Unlike whitening it keeps all proportions of distances: an error is the same share of the
    vectors' spread in whichever direction it is. R is a product of plane rotations, where the
    authors take Hadamard matrices: so any width will do. Directions that hardly vary are left out.
    """
    directions, variances = _that_vary(statistics)
    return evenly_turned(variances).to(directions) @ directions / variances.mean().sqrt()


def evenly_turned(variances: Float[Tensor, " m"]) -> Float[Tensor, "m m"]:
    """A rotation R with equal entries on the diagonal of R diag(variances) R^T.

    Each turn, of the entry that varies least and the one that varies most, gives the former the
    mean; both are uncorrelated with all that are still to come.

    Example:
        >>> variances = torch.tensor([7.0, 1.0, 1.0])
        >>> r = evenly_turned(variances)
        >>> [round(v, 4) for v in (r @ torch.diag(variances) @ r.T).diag().tolist()]
        [3.0, 3.0, 3.0]
    """
    left = variances.double().clone()
    turned = torch.eye(len(left), dtype=torch.float64)
    mean, remaining = left.mean(), torch.ones(len(left), dtype=torch.bool)
    for _ in range(len(left) - 1):
        least = int(left.masked_fill(~remaining, torch.inf).argmin())
        most = int(left.masked_fill(~remaining, -torch.inf).argmax())
        remaining[least] = False
        apart = left[most] - left[least]
        if least == most or apart <= 0:
            continue
        sine = ((mean - left[least]) / apart).clamp(0, 1).sqrt()  # cos² least + sin² most = mean
        cosine = (1 - sine.square()).sqrt()
        low, high = turned[least].clone(), turned[most].clone()
        turned[least], turned[most] = cosine * low + sine * high, cosine * high - sine * low
        left[most] = left[most] + left[least] - mean
        left[least] = mean
    return turned.to(variances.dtype)


def _that_vary(statistics: Statistics) -> tuple[Tensor, Tensor]:
    """(the principal directions, their variances), without those that hardly vary."""
    some = statistics.variances > SMALLEST_STD**2 * statistics.variances.max()
    return statistics.components[some], statistics.variances[some]
