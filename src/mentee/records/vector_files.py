"""A user's own file of arrays with vectors and ids; nothing in it is ever executed."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import read_array_header_2_0 as read_header_2_0

from mentee.errors import DataError, suggest
from mentee.free_memory import require

Array = npt.NDArray[Any]
READ_ERRORS: tuple[type[Exception], ...] = (
    *(OSError, ValueError, RuntimeError, LookupError, TypeError, EOFError, OverflowError),
    *(MemoryError, zipfile.BadZipFile, zlib.error, SyntaxError, TokenError),
)
"""What NumPy, zipfile and pyarrow raise of files that are damaged, encrypted or made up."""
_EMBEDDING, _IDS = "embedding", "ids"
_LARGE, _PACKED = 1 << 30, 900
"""An array of more bytes that was packed to less than this part is a zip bomb."""


@dataclass(frozen=True)
class VectorNames:
    """Where in a file the vectors and the ids are; the arguments of `import_record`."""

    id: str = "id"
    columns: str | Sequence[str] | None = None
    key: str | None = None
    ids: Path | str | None = None

    def checked(self, path: Path) -> VectorNames:
        """The same; refuses what a file of this kind does not have."""
        suffix = path.suffix.lower()
        if any("\ud800" <= each <= "\udfff" for each in str(path)):
            raise DataError(f"the name of {str(path)!a} is not UTF-8; rename the file")
        if self.columns is not None and suffix not in (".csv", ".parquet"):
            raise DataError(f"{path} is no table, so it has no columns to name (--columns)")
        if self.key is not None and suffix not in (".npz", ".safetensors"):
            raise DataError(f"{path} has no arrays by name (--key); expected .npz or .safetensors")
        return self


@dataclass(frozen=True)
class VectorFile:
    """What was read of a file.

    Attributes:
        rows: numbers `[m, d]` or `[m, t, d]`, memory-mapped where the format allows it.
        ids: of the `m` rows; None: the file has none, and no second one was named.
        names: of the array or the columns that the numbers are of; empty: they have none (.npy).
    """

    rows: Array
    ids: list[str] | None
    names: tuple[str, ...] = ()


def as_ids(values: Any, where: str) -> list[str]:
    """Ids, a list or an array, as texts.

    Raises:
        DataError: they are not texts or whole numbers in a row.
    """
    if isinstance(values, np.ndarray) and values.ndim == 1:
        values = [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
    if not isinstance(values, list):
        raise DataError(f"the ids of {where} are no list: expected one text for each row")
    for row, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise DataError(f"id {row} of {where} is {value!r}: expected a text or a whole number")
    return [str(value) for value in values]


def read_npy(path: Path, options: VectorNames) -> VectorFile:
    """The vectors of an .npy file, memory-mapped."""
    return VectorFile(np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)), None)


def read_npz(path: Path, options: VectorNames) -> VectorFile:
    """The vectors and ids of an .npz file."""
    with np.load(path, allow_pickle=False) as arrays:
        names = [options.id, _IDS]
        own = next((name for name in names if name in arrays.files), None)
        name = _array_name(path, arrays.files, options.key, not_these=names)
        for each in filter(None, (own, name)):
            _check_member(path, arrays.zip, each)
        ids = own and as_ids(arrays[own], str(path))
        return VectorFile(arrays[name], ids or None, (name,))


def _check_member(path: Path, archive: zipfile.ZipFile, name: str) -> None:
    """Refuse an array whose head promises more than its file holds, or more than fits."""
    about = archive.getinfo(name if name in archive.namelist() else f"{name}.npy")
    if about.flag_bits & 1:
        raise DataError(f"{path} is encrypted; save it again without a password")
    with archive.open(about) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else read_header_2_0
        shape, _, dtype = read(file)
        size = math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and size != about.file_size - file.tell():
            raise DataError(
                f"{path} is damaged: {name!r} is to have {size:,} bytes and has "
                f"{about.file_size - file.tell():,}; save it again"
            )
    if about.file_size > max(_LARGE, _PACKED * about.compress_size):
        raise DataError(
            f"{path} holds {about.compress_size / 1e6:,.1f} MB, and {name!r} in it is to have "
            f"{about.file_size / 1e6:,.0f} MB: it is nearly all one number; expected vectors that "
            "differ"
        )
    check_memory(path, about.file_size)


def check_memory(path: Path, size: int) -> None:
    """Refuse what would not fit into memory, before anything is allocated."""
    require(size, str(path), "save the vectors as .npy, which is read where it lies")


def read_safetensors(path: Path, options: VectorNames) -> VectorFile:
    """The vectors of a safetensors file."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as tensors:
            name = _array_name(path, list(tensors.keys()), options.key)
            tensor = tensors.get_tensor(name)
    except SafetensorError as error:
        raise ValueError(error) from error
    numpy_has = (torch.float16, torch.float32, torch.float64)
    narrow = tensor.is_floating_point() and tensor.dtype not in numpy_has  # bfloat16, float8
    return VectorFile((tensor.float() if narrow else tensor).numpy(), None, (name,))


def _array_name(
    path: Path, names: Sequence[str], key: str | None, not_these: Sequence[str] = ()
) -> str:
    wanted = key or _EMBEDDING
    if wanted in names:
        return wanted
    others = [name for name in names if name not in not_these]
    if key is None and len(others) == 1:
        return others[0]
    raise DataError(
        f"{path} has no array {wanted!r}: {suggest(wanted, others)}; name it: --key NAME"
    )
