"""Mean, spread and principal directions of vectors that pass by once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mentee.types import Statistics

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
        """Add some vectors.

        Args:
            vectors: `[b, d]`, or `[b, t, d]` of which every frame is a vector.
        """
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
    """The statistics of vectors that come in chunks.

    Args:
        chunks: `[b, d]` or `[b, t, d]` each.
        width: d.

    Returns:
        As `Moments.statistics`.

    Memory: O(d²).

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
    save_file({name: getattr(statistics, name).contiguous() for name in _NAMES}, path)


def load(path: Path, width: int) -> Statistics | None:
    """Read what `save` wrote.

    Args:
        path: the file.
        width: entries of one vector.

    Returns:
        None where the file is missing, damaged, or of other vectors: then fit them again.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError):
        return None
    if set(tensors) != set(_NAMES) or tensors["mean"].shape != (width,):
        return None
    return Statistics(**tensors)
