"""How numbers are stored, and the way back: types, principal components, largest logits."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee.errors import DataError, suggest
from mentee.records.columns import Column, Dtype
from mentee.records.statistics import Bases

Floats: TypeAlias = npt.NDArray[np.floating[Any]]

STORED: dict[Dtype, np.dtype[np.generic]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),  # NumPy has no such type: its 16 bits
    "int8": np.dtype("i1"),
}
"""What NumPy reads and writes for each type."""

LARGEST = {"float32": 3.4e38, "float16": 65504.0, "bfloat16": 3.38e38}


def as_dtype(name: str, *, scaled: bool = False) -> Dtype:
    """A type's name, if numbers are stored in it; int8 only where scales are fitted.

    Example:
        >>> as_dtype("float64")
        Traceback (most recent call last):
        mentee.errors.DataError: there is no --dtype 'float64'; did you mean 'float16' or ...
    """
    known = [each for each in STORED if scaled or each != "int8"]
    for each in known:
        if name == each:
            return each
    if name == "int8":
        raise DataError(
            "--dtype int8 needs a scale of each entry, which only a record of a recipe's own "
            f"network has; of vectors expected {', '.join(known)}"
        )
    raise DataError(f"there is no --dtype {name!r}; {suggest(name, known)}")


def encode(
    numbers: Floats, dtype: Dtype, ids: Sequence[str], scales: Sequence[float] | None = None
) -> npt.NDArray[np.generic]:
    r"""Numbers `[b, d]` in the type they are stored in; int8 has a scale s of each entry.

    .. math:: q = \mathrm{clip}(\mathrm{round}(v / s), -127, 127) \quad \text{(int8)}

    Raises:
        DataError: a number is not finite, or too large for `dtype`.
    """
    stored = numbers
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype in ("float32", "float16"):
            stored = numbers.astype(STORED[dtype])
    finite = np.isfinite(stored)
    if not finite.all():
        row, entry = (int(i) for i in np.argwhere(~finite)[0])
        value, where = float(numbers[row, entry]), f"entry {entry} of {ids[row]!r}"
        if not math.isfinite(value):
            raise DataError(f"{where} is {value}: expected finite numbers; look at this example")
        advice = "record as float32" if dtype == "float16" else "scale the vectors"
        limit = f"more than {dtype} holds ({LARGEST[dtype]:g})"
        raise DataError(f"{where} is {value:g}, {limit}; {advice}")
    if dtype == "bfloat16":
        narrow = torch.from_numpy(np.ascontiguousarray(numbers, np.float32)).bfloat16()
        return narrow.view(torch.int16).numpy().view("<u2")
    if dtype == "int8":
        scaled = numbers / np.asarray(scales, np.float32)
        return np.rint(scaled).clip(-127, 127).astype(np.int8)
    return stored


def decode(stored: npt.NDArray[np.generic], dtype: Dtype, scales: Tensor | None = None) -> Tensor:
    """What `encode` stored, in memory that may be written to, as float32 on the CPU."""
    if dtype == "bfloat16":
        return torch.from_numpy(stored.view(np.int16)).view(torch.bfloat16).float()
    numbers = torch.from_numpy(stored).float()
    return numbers if scales is None else numbers.mul_(scales)


def scales_of(
    columns: Sequence[Column], largest: npt.NDArray[np.floating], margin: float = 1.25
) -> tuple[float, ...]:
    """What int8 entries are multiplied by, from the largest `[d]` of each that a sample has.

    An entry may become `margin` times as large before it is cut. One that is 0 throughout the
    sample gets the scale of the largest, one that says a class 1.
    """
    known = np.where(largest > 0, largest, max(float(largest.max()), 1e-12))
    scales = [float(f"{x:.6g}") for x in known * margin / 127]
    start = 0
    for each in columns:
        if each.form == "top":
            classes = slice(start + each.count, start + each.count * (1 + each.digits))
            scales[classes] = [1.0] * (each.count * each.digits)
        start += each.stored
    return tuple(scales)


def header(shape: tuple[int, ...], dtype: Dtype) -> bytes:
    """The head of an `.npy` file, which `numpy.load` reads, of an array in C order."""
    fields = {"descr": STORED[dtype].str, "fortran_order": False, "shape": shape}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, fields)
    return file.getvalue()


def pack(columns: Sequence[Column], numbers: Floats, bases: Bases) -> Floats:
    r"""The numbers `[b, stored]` that are stored of some examples, from those that methods read.

    Of principal components :math:`z = V (x - \mu)`; of logits z the k largest, the digits of their
    classes, and :math:`\log \sum_{j \notin \text{top}} e^{z_j}`.
    """
    if all(each.form == "whole" for each in columns):
        return numbers
    stored = []
    sizes = [each.size for each in columns]
    parts = torch.from_numpy(numbers).split(sizes, dim=1)  # type: ignore[no-untyped-call]
    for each, part in zip(columns, parts, strict=True):
        if each.form == "pca":
            basis = bases[each.name]
            part = (part - basis.mean) @ basis.components.T
        stored.append(_largest(each, part) if each.form == "top" else part)
    packed: Floats = torch.cat(stored, 1).numpy()
    return packed


def unpack(columns: Sequence[Column], rows: Tensor, bases: Bases) -> dict[str, Tensor]:
    r"""What methods read, `[b, ...]` by column, from the numbers `[b, stored]`.

    Of principal components :math:`\mu + z V`. Of logits the stored ones as they are, and for each
    of the other :math:`K - k` classes :math:`\text{rest} - \log(K - k)`: at T = 1 the softmax has
    the teacher's mass on each stored class and the rest of it spread evenly.
    """
    features = {}
    parts = rows.split([each.stored for each in columns], dim=1)  # type: ignore[no-untyped-call]
    for each, part in zip(columns, parts, strict=True):
        if each.form == "pca":
            basis = bases[each.name]
            part = torch.addmm(basis.mean, part, basis.components)
        elif each.form == "top":
            part = _all_logits(each, part)
        features[each.name] = part.reshape(len(rows), *each.shape)
    return features


def _largest(column: Column, z: Tensor) -> Tensor:
    order = z.argsort(dim=1, descending=True, stable=True)
    classes, others = order[:, : column.count], order[:, column.count :]
    digits = [(classes // column.base**power) % column.base for power in range(column.digits)]
    parts = [z.gather(1, classes), *(each.to(z.dtype) for each in digits)]
    if column.count < column.size:
        parts.append(z.gather(1, others).logsumexp(1, keepdim=True))
    return torch.cat(parts, 1)


def _all_logits(column: Column, part: Tensor) -> Tensor:
    k = column.count
    top, rest = part[:, :k], part[:, k * (1 + column.digits) :]
    digits = part[:, k : k * (1 + column.digits)].reshape(-1, column.digits, k).long()
    powers = torch.tensor([column.base**power for power in range(column.digits)])
    classes = (digits * powers[:, None]).sum(1)
    if k == column.size:
        return torch.empty_like(top).scatter_(1, classes, top)
    spread = rest - math.log(column.size - k)
    return spread.expand(-1, column.size).scatter(1, classes, top)
