"""Projections of the teacher's vectors without labels: the controls of embedding compression."""

from __future__ import annotations

import torch

from mentee.errors import PairError
from mentee.representations.adapter import Adapter, PairInfo, Shape
from mentee.representations.heads import MatrixAdapter, StudentHead, channels, student_adapter
from mentee.representations.pooled import PooledVectors, readers


def pca(
    student: Shape,
    teacher: Shape,
    *,
    pair_info: PairInfo,
    width: int = 64,
    whiten: bool = False,
    student_head: StudentHead = "none",
    per_frame: bool = False,
) -> tuple[Adapter, Adapter]:
    r"""The teacher's vector along its first principal directions.

    .. math:: c = V^\top (e - \mu), \quad \text{whitened: } c_j / \sqrt{\lambda_j}

    Args:
        student: shape of the student's feature, without the batch.
        teacher: shape of the teacher's feature.
        pair_info: the statistics of the teacher's vectors.
        width: how many directions.
        whiten: divide each by its deviation.
        student_head: as for `compress`.
        per_frame: as for `compress`.

    Returns:
        The student's adapter and the teacher's.

    Raises:
        PairError: there are no statistics, or fewer directions than `width`.

    Memory: O(b d).
    """
    statistics = pair_info.measured("pca")
    most = len(statistics.components)
    if not 1 <= width <= most:
        raise PairError(f"pca: width is {width}, expected 1 to {most}, the directions there are")
    directions, deviations = statistics.components[:width], statistics.variances[:width].sqrt()
    if whiten:
        directions = directions / deviations.clamp(min=1e-6)[:, None]
    student_reader, teacher_reader = readers(student, teacher, per_frame)
    scaling = PooledVectors(teacher, statistics, spread=False)
    return (
        student_adapter(student_reader, student, width, student_head),
        MatrixAdapter(teacher_reader, scaling, directions),
    )


def random_projection(
    student: Shape,
    teacher: Shape,
    *,
    pair_info: PairInfo,
    width: int = 64,
    orthogonal: bool = False,
    student_head: StudentHead = "none",
    per_frame: bool = False,
) -> tuple[Adapter, Adapter]:
    r"""The teacher's standardized vector through a random matrix that never changes.

    .. math:: c = R (e - \mu) / \sigma, \quad R_{ij} \sim N(0, 1 / width)

    Args:
        student: shape of the student's feature, without the batch.
        teacher: shape of the teacher's feature.
        pair_info: the statistics of the teacher's vectors, and the seed of R.
        width: entries of c.
        orthogonal: the rows of R are orthonormal: at its full width all angles stay as they are.
        student_head: as for `compress`.
        per_frame: as for `compress`.

    Returns:
        The student's adapter and the teacher's.

    Raises:
        PairError: there are no statistics, `width` is below 1, or above the teacher's with
            `orthogonal`.

    Memory: O(b d).
    """
    if width < 1:
        raise PairError(f"random_projection: width is {width}, expected at least 1")
    if orthogonal and width > channels(teacher):
        raise PairError(
            f"random_projection: width is {width}, and there are at most {channels(teacher)} "
            "orthogonal directions; choose fewer, or leave orthogonal out"
        )
    generator = torch.Generator().manual_seed(pair_info.seed)
    matrix = torch.randn(width, channels(teacher), generator=generator) / width**0.5
    if orthogonal:
        matrix = torch.linalg.qr(matrix.T).Q.T
    scaling = PooledVectors(teacher, pair_info.measured("random_projection"))
    student_reader, teacher_reader = readers(student, teacher, per_frame)
    return (
        student_adapter(student_reader, student, width, student_head),
        MatrixAdapter(teacher_reader, scaling, matrix),
    )
