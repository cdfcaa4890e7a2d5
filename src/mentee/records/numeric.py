"""The types that numbers are stored in, and the way there and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee.errors import DataError, suggest
from mentee.records.manifest import Dtype

STORED: dict[Dtype, np.dtype[np.generic]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),  # NumPy has no such type: its 16 bits
    "int8": np.dtype("i1"),
}
"""What NumPy reads and writes for each type."""

COUNTS: dict[Dtype, int] = {"float32": 1 << 24, "float16": 1 << 11, "bfloat16": 1 << 8, "int8": 128}
"""The whole numbers from 0 to below these are kept exactly (of int8 at the scale 1)."""

LARGEST = {"float32": 3.4e38, "float16": 65504.0, "bfloat16": 3.38e38}


def as_dtype(given: str, *, scaled: bool = False) -> Dtype:
    """A type's name, if numbers are stored in it.

    Args:
        given: the name.
        scaled: a scale of each entry is fitted, as int8 needs.

    Raises:
        DataError: they are not.

    Example:
        >>> as_dtype("float64")
        Traceback (most recent call last):
        mentee.errors.DataError: there is no --dtype 'float64'; did you mean 'float16' or ...
    """
    known = [each for each in STORED if scaled or each != "int8"]
    for each in known:
        if given == each:
            return each
    if given == "int8":
        raise DataError(
            "--dtype int8 needs a scale of each entry, which only a record of a recipe's own "
            f"network has; of vectors expected {', '.join(known)}"
        )
    raise DataError(f"there is no --dtype {given!r}; {suggest(given, known)}")


def encode(
    vectors: npt.NDArray[np.floating],
    dtype: Dtype,
    ids: Sequence[str],
    scales: Sequence[float] | None = None,
) -> npt.NDArray[np.generic]:
    r"""The vectors in the type they are stored in.

    .. math:: q = \mathrm{clip}(\mathrm{round}(v / s), -127, 127) \quad \text{(int8)}

    Args:
        vectors: `[b, ..., d]`.
        dtype: of the stored numbers.
        ids: whose vectors they are, for messages.
        scales: s, one for each of the d entries; of int8 only.

    Returns:
        As many numbers, of `STORED[dtype]`.

    Raises:
        DataError: a number is not finite, or too large for `dtype`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype in ("float32", "float16"):
            stored = vectors.astype(STORED[dtype])
            fine = np.isfinite(stored)
        else:
            fine = np.isfinite(vectors)
    if not fine.all():
        row, *place = (int(i) for i in np.argwhere(~fine)[0])
        refuse(float(vectors[(row, *place)]), f"entry {place} of {ids[row]!r}", dtype)
    if dtype == "bfloat16":
        narrow = torch.from_numpy(np.ascontiguousarray(vectors, np.float32)).bfloat16()
        return narrow.view(torch.int16).numpy().view("<u2")
    if dtype == "int8":
        scaled = vectors / np.asarray(scales, np.float32)
        return np.rint(scaled).clip(-127, 127).astype(np.int8)
    return stored


def decode(stored: npt.NDArray[np.generic], dtype: Dtype, scales: Tensor | None = None) -> Tensor:
    """What `encode` made, as float32 on the CPU.

    Args:
        stored: `[b, ..., d]`, in memory that may be written to.
        dtype: of the stored numbers.
        scales: `[d]`; of int8 only.
    """
    if dtype == "bfloat16":
        return torch.from_numpy(stored.view(np.int16)).view(torch.bfloat16).float()
    found = torch.from_numpy(stored).float()
    return found if scales is None else found.mul_(scales)


def scales_of(largest: npt.NDArray[np.floating], margin: float = 1.25) -> tuple[float, ...]:
    """What int8 entries are multiplied by, from the largest of each that a sample has.

    Args:
        largest: `[d]` absolute values; an entry that is 0 throughout the sample, of which nothing
            is known, gets the scale of the largest.
        margin: how much larger an entry may become before it is cut.
    """
    known = np.where(largest > 0, largest, max(float(largest.max()), 1e-12))
    return tuple(float(f"{x:.6g}") for x in known * margin / 127)


def refuse(value: float, where: str, dtype: Dtype) -> None:
    """Say what is wrong with a number that cannot be stored."""
    if not np.isfinite(value):
        raise DataError(f"{where} is {value}: expected finite numbers; look at this example")
    advice = "record as float32" if dtype == "float16" else "scale the vectors"
    raise DataError(f"{where} is {value:g}, more than {dtype} holds ({LARGEST[dtype]:g}); {advice}")
