"""The forms that a column's numbers are stored in, and the way back to what methods read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mentee import files
from mentee.errors import DataError
from mentee.records.columns import Column

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Basis:
    """The principal directions that a column is kept along.

    Attributes:
        mean: `[d]`.
        components: `[count, d]`, orthonormal rows.
        explained: the share of the variance of what they were fitted on that lies along them.
    """

    mean: Tensor
    components: Tensor
    explained: float


Bases = Mapping[str, Basis]
"""By column."""


def fit(vectors: Float32Array, count: int, name: str) -> Basis:
    r"""The first principal directions of vectors.

    .. math:: X = x - \mu, \quad X^\top X = V^\top \Lambda V

    Of fewer vectors than numbers, from :math:`X X^\top = U \Lambda U^\top`, :math:`V =
    \Lambda^{-1/2} U^\top X`.

    Args:
        vectors: `[m, d]`.
        count: how many directions.
        name: of the column, for the message.

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
    values, found = np.linalg.eigh(x.T @ x if d <= m else x @ x.T)
    values, found = values[::-1].clip(min=0.0), found[:, ::-1]
    v = found[:, :count].T if d <= m else found[:, :count].T @ x
    length = np.linalg.norm(v, axis=1, keepdims=True)
    # Vectors that lie in fewer directions than asked for have no more: rows of zeros.
    v = np.where(length > 1e-6 * math.sqrt(max(values[0], 1e-12)), v / length.clip(1e-300), 0.0)
    largest = np.take_along_axis(v, np.abs(v).argmax(axis=1)[:, None], axis=1)
    v = v * np.where(largest < 0, -1.0, 1.0)
    total = float(values.sum())
    explained = float(values[:count].sum()) / total if total > 0 else 1.0
    return Basis(
        torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(v.astype(np.float32)), explained
    )


def pack(columns: Sequence[Column], said: Float32Array, bases: Bases) -> Float32Array:
    r"""The numbers that are stored of some examples.

    Of principal components :math:`z = V (x - \mu)`; of logits z the k largest, the digits of their
    classes, and :math:`\log \sum_{j \notin \text{top}} e^{z_j}`.

    Args:
        columns: what they are of.
        said: `[b, d]`, what is read, the columns one behind the other.
        bases: of the columns in principal components.

    Returns:
        `[b, stored]`.
    """
    parts = torch.from_numpy(said).split([each.size for each in columns], dim=1)  # type: ignore[no-untyped-call]
    forms = {"pca": _project, "top": _largest}
    stored = [
        forms[each.kept](each, part, bases) if each.kept in forms else part
        for each, part in zip(columns, parts, strict=True)
    ]
    packed: Float32Array = torch.cat(stored, 1).numpy()
    return packed


def unpack(columns: Sequence[Column], rows: Tensor, bases: Bases) -> dict[str, Tensor]:
    r"""What methods read, by column, from the numbers that are stored.

    Of principal components :math:`\mu + z V`. Of logits the kept ones as they are, and for each of
    the other :math:`K - k` classes :math:`\text{rest} - \log(K - k)`: at T = 1 the softmax has the
    teacher's mass on each kept class and the rest of it spread evenly.

    Args:
        columns: what they are of.
        rows: float32 `[b, stored]`.
        bases: of the columns in principal components.

    Returns:
        `[b, ...]` each.
    """
    parts = rows.split([each.stored for each in columns], dim=1)  # type: ignore[no-untyped-call]
    found = {}
    for each, part in zip(columns, parts, strict=True):
        whole = part
        if each.kept == "pca":
            basis = bases[each.name]
            whole = torch.addmm(basis.mean, part, basis.components)
        elif each.kept == "top":
            whole = _dense(each, part)
        found[each.name] = whole.reshape(len(rows), *each.shape)
    return found


def _project(column: Column, x: Tensor, bases: Bases) -> Tensor:
    basis = bases[column.name]
    return (x - basis.mean) @ basis.components.T


def _largest(column: Column, z: Tensor, _: Bases) -> Tensor:
    order = z.argsort(dim=1, descending=True, stable=True)
    classes, others = order[:, : column.count], order[:, column.count :]
    base = column.base
    digits = [(classes // base**place) % base for place in range(column.digits)]
    parts = [z.gather(1, classes), *(each.to(z.dtype) for each in digits)]
    if column.count < column.size:
        parts.append(z.gather(1, others).logsumexp(1, keepdim=True))
    return torch.cat(parts, 1)


def _dense(column: Column, part: Tensor) -> Tensor:
    k = column.count
    kept, rest = part[:, :k], part[:, k * (1 + column.digits) :]
    digits = part[:, k : k * (1 + column.digits)].reshape(-1, column.digits, k).long()
    base = torch.tensor([column.base**place for place in range(column.digits)])
    classes = (digits * base[:, None]).sum(1)
    if k == column.size:
        return torch.empty_like(kept).scatter_(1, classes, kept)
    spread = rest - math.log(column.size - k)
    return spread.expand(-1, column.size).scatter(1, classes, kept)


def save(path: Path, bases: Bases) -> None:
    """Write principal directions as a safetensors file, atomically."""
    tensors = {}
    for name, each in bases.items():
        share = torch.tensor([each.explained], dtype=torch.float64)
        for key, value in (("mean", each.mean), ("components", each.components)):
            tensors[f"{name}/{key}"] = value.contiguous()
        tensors[f"{name}/explained"] = share
    files.write(path, lambda beside: save_file(tensors, beside))


def load(path: Path, columns: Sequence[Column]) -> dict[str, Basis]:
    """Read what `save` wrote, for the columns that are kept in principal components.

    Raises:
        DataError: the file is missing, damaged or of other columns.
    """
    found = {}
    try:
        with safe_open(path, "pt") as file:
            for each in columns:
                if each.kept != "pca":
                    continue
                mean, components, share = (
                    file.get_tensor(f"{each.name}/{key}")
                    for key in ("mean", "components", "explained")
                )
                if components.shape != (each.count, each.size) or mean.shape != (each.size,):
                    raise DataError(f"{path} is of other columns than {each.name}; record anew")
                found[each.name] = Basis(mean, components, float(share))
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}); record anew") from error
    return found
