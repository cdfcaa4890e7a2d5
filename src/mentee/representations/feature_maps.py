"""Feature maps of two networks at one resolution, and attention maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from mentee.errors import MenteeError, PairError
from mentee.representations.adapter import Adapter, Shape
from mentee.representations.normalization import unit_norm
from mentee.representations.project import pool

PREFIXES = range(6)
"""How many tokens may come before those of the patches: a class token, registers."""


@dataclass(frozen=True)
class Grid:
    """The layout of a feature as a map.

    Attributes:
        channels: of the map.
        size: its height and width.
        tokens: the feature comes as tokens `[t, d]`.
    """

    channels: int
    size: tuple[int, int]
    tokens: bool

    def of(self, x: Tensor) -> Float[Tensor, "b c h w"]:
        """A feature as a map; the tokens before the patches left out."""
        if not self.tokens:
            return x
        patches = x[:, -(self.size[0] * self.size[1]) :]
        return patches.transpose(1, 2).reshape(len(x), self.channels, *self.size)


def grids(name: str, student: Shape, teacher: Shape, *, squares: bool = False) -> tuple[Grid, Grid]:
    """The grids of both features.

    Args:
        name: of the representation, for the message.
        student: shape of the student's feature.
        teacher: shape of the teacher's feature.
        squares: tokens are laid out as squares where both have tokens too.

    Raises:
        PairError: one is a vector, or tokens that make no square beside a map.
    """
    (student_grid,), (teacher_grid,) = all_grids(name, [student], [teacher], squares=squares)
    return student_grid, teacher_grid


def all_grids(
    name: str, students: Sequence[Shape], teachers: Sequence[Shape], *, squares: bool = False
) -> tuple[list[Grid], list[Grid]]:
    """The grids at several layers, where each of the student's may meet each of the teacher's.

    Raises:
        PairError: a feature is a vector, or tokens that make no square beside a map.
    """
    for side, shapes in (("student", students), ("teacher", teachers)):
        for shape in shapes:
            if len(shape) == 1:
                raise PairError(
                    f"{name}: the {side}'s feature is one vector of {shape[0]}, expected a map or "
                    "tokens; read stages or a module's path"
                )
    lines = not squares and all(len(shape) == 2 for shape in [*students, *teachers])
    return [_grid(name, s, lines) for s in students], [_grid(name, t, lines) for t in teachers]


def _grid(name: str, shape: Shape, line: bool) -> Grid:
    if len(shape) == 3:
        return Grid(shape[0], (shape[1], shape[2]), tokens=False)
    count, width = shape
    if line:
        return Grid(width, (count, 1), tokens=True)
    sides = [math.isqrt(count - before) for before in PREFIXES if before < count]
    square = [side for before, side in enumerate(sides) if side**2 == count - before]
    if not square:
        raise PairError(
            f"{name}: {count} tokens make no square, whichever of the first "
            f"{PREFIXES[-1]} are left out; use a representation that averages them, such as project"
        )
    return Grid(width, (square[0], square[0]), tokens=True)


def coarser(*both: Grid) -> tuple[int, int]:
    """The smaller height and the smaller width of maps."""
    return min(g.size[0] for g in both), min(g.size[1] for g in both)


def at_most(cells: int, size: tuple[int, int]) -> tuple[int, int]:
    """A resolution of at most so many cells a side; a line of tokens stays as long as it is."""
    height, columns = size
    return size if columns == 1 else (min(height, cells), min(columns, cells))


def feature_maps(student: Shape, teacher: Shape) -> tuple[Adapter, Adapter]:
    """The feature maps of both, the finer one averaged to the resolution of the coarser.

    Tokens `[t, d]` that meet a map are laid out as a square, without the class token and the
    registers before them; where both have tokens, they are lines of t cells.

    Args:
        student: shape of the student's feature, without the batch: `(c, h, w)` or `(t, d)`.
        teacher: shape of the teacher's feature.

    Returns:
        The student's adapter and the teacher's: `[b, c, h, w]` of one h and w, each with its c.

    Raises:
        PairError: a feature is a vector, or tokens that make no square.

    Memory: O(b c h w).

    Example:
        >>> import torch
        >>> s, t = feature_maps((16, 8, 8), (17, 32))
        >>> s(s.precompute(torch.zeros(2, 16, 8, 8))).shape
        torch.Size([2, 16, 4, 4])
        >>> t(t.precompute(torch.zeros(2, 17, 32))).shape
        torch.Size([2, 32, 4, 4])
    """
    both = grids("feature_maps", student, teacher)
    size = coarser(*both)
    return FeatureMaps(both[0], size), FeatureMaps(both[1], size)


class FeatureMaps(Adapter):
    """The adapter of `feature_maps`, of student or teacher.

    Args:
        grid: the grid of the feature map.
        size: the output resolution.
    """

    def __init__(self, grid: Grid, size: tuple[int, int]) -> None:
        super().__init__()
        self.grid, self.size = grid, size

    @property
    def reduction(self) -> str | None:
        """The mean of each cell; empty where the map is not changed."""
        stays = not self.grid.tokens and self.grid.size == self.size
        return "" if stays else f"map of {self.size[0]}x{self.size[1]}"

    def precompute(self, features: Tensor) -> Float[Tensor, "b c h w"]:
        """Laid out and averaged."""
        x = self.grid.of(features)
        return x if self.grid.size == self.size else pool(x, self.size)


def attention(student: Shape, teacher: Shape, *, power: int = 2) -> tuple[Adapter, Adapter]:
    r"""Attention maps: the mean power of the channels at each point of the map.

    .. math:: a = \mathrm{unit} \Bigl( \frac{1}{c} \sum_c |f_c|^p \Bigr)

    The finer map is averaged to the resolution of the coarser first. All of it is precomputed: a
    record has h·w numbers an example, whatever the channels.

    Args:
        student: shape of the student's feature, without the batch: `(c, h, w)` or `(t, d)`.
        teacher: shape of the teacher's feature.
        power: p, at least 1.

    Returns:
        The student's adapter and the teacher's: vectors of h·w entries.

    Raises:
        MenteeError: the power is below 1.
        PairError: as for `feature_maps`.

    Memory: O(b c h w). Source: Zagoruyko, Komodakis 2017 (arXiv:1612.03928).
    """
    if power < 1:
        raise MenteeError(f"attention: power is {power}, expected at least 1")
    both = grids("attention", student, teacher)
    size = coarser(*both)
    return Attention(both[0], size, power), Attention(both[1], size, power)


class Attention(FeatureMaps):
    """The adapter of `attention`, of student or teacher.

    Args:
        grid: the grid of the feature map.
        size: the output resolution.
        power: of the channels.
    """

    def __init__(self, grid: Grid, size: tuple[int, int], power: int) -> None:
        super().__init__(grid, size)
        self.power = power

    @property
    def reduction(self) -> str:
        """The attention at a resolution."""
        return f"attention {self.power} of {self.size[0]}x{self.size[1]}"

    def precompute(self, features: Tensor) -> Float[Tensor, "b d"]:
        """The map of attention, flat and of unit length."""
        return attend(super().precompute(features), self.power)


def attend(x: Float[Tensor, "b c h w"], power: int) -> Float[Tensor, "b d"]:
    """The mean power of the channels, flat and of unit length."""
    wide = x.float() if x.element_size() < 4 else x
    return unit_norm(wide.abs().pow(power).mean(1).flatten(1)).to(x.dtype)
