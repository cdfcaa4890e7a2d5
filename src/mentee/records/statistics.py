"""Mean, spread and principal directions of vectors that pass by once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from mentee import files
from mentee.errors import DataError
from mentee.records.columns import Column
from mentee.types import Statistics
from mentee.urls import Url

_FLOATS = (torch.float32, torch.float64)
_NAMES = ("mean", "std", "components", "variances")


class Moments:
    r"""The first two moments of all vectors seen, in float64.

    Chunks are merged without subtracting large numbers from one another (Chan, Golub, LeVeque
    1983): with chunk mean m, :math:`\delta = m - \mu` and scatter S of the chunk,

    .. math:: M \leftarrow M + S + \delta \delta^\top \frac{n \, n'}{n + n'}

    Args:
        width: entries of one vector.

    Memory: O(d²).
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean = np.zeros(width)
        self.scatter = np.zeros((width, width))

    def add(self, vectors: npt.NDArray[np.floating]) -> None:
        """Add some vectors `[b, d]`, or `[b, t, d]` of which every frame is a vector."""
        rows = vectors.reshape(-1, len(self.mean)).astype(np.float64)
        if not len(rows):
            return
        own = rows.mean(axis=0)
        rows -= own
        delta, total = own - self.mean, self.count + len(rows)
        # M + S + δ δᵀ n n' / (n + n')
        self.scatter += rows.T @ rows
        self.scatter += np.outer(delta, delta) * (self.count * len(rows) / total)
        self.mean += delta * (len(rows) / total)
        self.count = total

    def statistics(self) -> Statistics:
        r"""Mean, deviation and principal directions of all vectors seen.

        .. math:: C = \frac{1}{n} \sum_i (x_i - \mu)(x_i - \mu)^\top = V^\top \Lambda V

        Returns:
            mean `[d]`; std `[d]` = √diag C; components `[m, d]` = the orthonormal rows of V, m =
            min(n, d), the largest entry of each positive; variances `[m]` = Λ. All divide by n.

        Memory: O(d²), time O(d³).
        """
        covariance = self.scatter / max(self.count, 1)
        values, directions = np.linalg.eigh(covariance)
        m = min(self.count, len(self.mean))
        components = directions.T[::-1][:m]
        largest = np.abs(components).argmax(axis=1)[:, None]
        components = components * np.sign(np.take_along_axis(components, largest, axis=1))
        parts = (
            self.mean,
            np.sqrt(np.diag(covariance)),
            components,
            values[::-1][:m].clip(min=0.0),
        )
        return Statistics(*(torch.from_numpy(x.astype(np.float32)) for x in parts))

    def scalars(self) -> dict[str, int | float]:
        """Number of vectors, mean of all entries, root of their mean variance."""
        variance = float(np.diag(self.scatter).mean()) / max(self.count, 1)
        return {"vectors": self.count, "mean": float(self.mean.mean()), "std": variance**0.5}


def fit(chunks: Iterable[npt.NDArray[np.floating]], width: int) -> Statistics:
    """The statistics of d-wide vectors that come in chunks `[b, d]` or `[b, t, d]`, in O(d²).

    Example:
        >>> fit([np.array([[0.0, 1.0], [4.0, 1.0]])], 2).variances
        tensor([4., 0.])
    """
    moments = Moments(width)
    for chunk in chunks:
        moments.add(chunk)
    return moments.statistics()


def save(statistics: Statistics, path: Path) -> None:
    """Write statistics as a safetensors file."""
    path.write_bytes(tensor_bytes({n: getattr(statistics, n).contiguous() for n in _NAMES}))


def load(path: Path | Url, width: int) -> Statistics | None:
    """Read what `save` wrote; None where it is missing, damaged, or of vectors of another width."""
    try:
        tensors = files.read_tensors(path)
    except (OSError, SafetensorError):
        return None
    if set(tensors) != set(_NAMES):
        return None
    m = len(tensors["components"]) if tensors["components"].ndim else 0
    shapes = {"mean": (width,), "std": (width,), "components": (m, width), "variances": (m,)}
    for name, each in tensors.items():
        plain = each.dtype == torch.float32 and each.shape == shapes[name]
        if not plain or not each.isfinite().all():
            return None
    return Statistics(**tensors)


@dataclass(frozen=True)
class Basis:
    """The principal directions that a column is stored along.

    Attributes:
        mean: `[d]`.
        components: `[count, d]`, orthonormal rows.
        explained: the share of the variance of what they were fitted on that lies along them.
    """

    mean: Tensor
    components: Tensor
    explained: float


Bases: TypeAlias = Mapping[str, Basis]
"""By column."""


def fit_basis(vectors: npt.NDArray[np.float32], count: int, name: str) -> Basis:
    r"""The first principal directions of vectors `[m, d]`.

    .. math:: X = x - \mu, \quad X^\top X = V^\top \Lambda V

    Of fewer vectors than numbers, from :math:`X X^\top = U \Lambda U^\top`, :math:`V =
    \Lambda^{-1/2} U^\top X`.

    Raises:
        DataError: so few vectors have not so many directions.

    Memory: O(m d + min(m, d)²).
    """
    m, d = vectors.shape
    if count >= m:
        raise DataError(
            f"--pca {count} for {name}: {m} examples have {m - 1} principal directions at most; "
            f"choose a number up to {m - 1}, or give more examples"
        )
    mean = vectors.mean(axis=0, dtype=np.float64)
    x = vectors - mean
    values, directions = np.linalg.eigh(x.T @ x if d <= m else x @ x.T)
    values, directions = values[::-1].clip(min=0.0), directions[:, ::-1]
    v = directions[:, :count].T if d <= m else directions[:, :count].T @ x
    length = np.linalg.norm(v, axis=1, keepdims=True)
    # Vectors that lie in fewer directions than asked for have no more: rows of zeros.
    v = np.where(length > 1e-6 * math.sqrt(max(values[0], 1e-12)), v / length.clip(1e-300), 0.0)
    largest = np.take_along_axis(v, np.abs(v).argmax(axis=1)[:, None], axis=1)
    v = v * np.where(largest < 0, -1.0, 1.0)
    total = float(values.sum())
    explained = float(values[:count].sum()) / total if total > 0 else 1.0
    center, components = (torch.from_numpy(each.astype(np.float32)) for each in (mean, v))
    return Basis(center, components, explained)


def save_bases(path: Path | Url, bases: Bases) -> None:
    """Write principal directions as a safetensors file, atomically."""
    tensors: dict[str, Tensor] = {}
    for name, each in bases.items():
        share = torch.tensor([each.explained], dtype=torch.float64)
        parts = {"mean": each.mean, "components": each.components, "explained": share}
        tensors |= {f"{name}/{key}": value.contiguous() for key, value in parts.items()}
    files.write(path, lambda temporary: temporary.write_bytes(tensor_bytes(tensors)))


def load_bases(path: Path | Url, columns: Sequence[Column]) -> dict[str, Basis]:
    """Read what `save_bases` wrote, for the columns that are stored in principal components.

    Raises:
        DataError: the file is missing, damaged or of other columns.
    """
    bases = {}
    try:
        stored = files.read_tensors(path)
        for each in columns:
            if each.form != "pca":
                continue
            tensors = [stored[f"{each.name}/{key}"] for key in ("mean", "components", "explained")]
            mean, components, share = tensors
            shapes = (components.shape, mean.shape, share.shape)
            if shapes != ((each.count, each.size), (each.size,), (1,)):
                raise DataError(f"{path} is of other columns than {each.name}; record again")
            if not all(x.dtype in _FLOATS and x.isfinite().all() for x in tensors):
                raise DataError(f"{path} holds no finite numbers; record again")
            bases[each.name] = Basis(mean, components, float(share))
    except (OSError, KeyError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}); record again") from error
    return bases
