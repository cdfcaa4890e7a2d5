"""Read the tensors of a TensorFlow checkpoint with NumPy alone.

A checkpoint of TensorFlow 1 or 2 is two files. `NAME.index` is a sorted string table (LevelDB's
format): a footer that says where the index block lies, an index block that says where the data
blocks lie, and data blocks of key and value, each key without what it shares with the one before
it. A value is a protocol-buffer message: type, shape, offset and size of one tensor in
`NAME.data-00000-of-00001`, which holds the raw bytes. Nothing in either file is code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mentee.errors import MenteeError

MAGIC = 0xDB4775248B80FB57
FOOTER = 48  # two handles of at most 20 bytes each, filled up to 40, and the magic number
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}  # the numbers of TensorFlow's DataType
Message: TypeAlias = dict[int, list["int | bytes"]]


def read_tensorflow_checkpoint(index: Path) -> dict[str, npt.NDArray[np.generic]]:
    """All tensors of float and integer type, by name, each a copy.

    `.data-00000-of-00001` lies beside the `.index` file.

    Raises:
        MenteeError: a file is missing, is no such checkpoint, or is cut off.
    """
    data = index.with_name(index.name.removesuffix(".index") + ".data-00000-of-00001")
    for path in (index, data):
        if not path.is_file():
            raise MenteeError(f"there is no file {path}")
    try:
        return dict(_tensors(index.read_bytes(), data.read_bytes()))
    except (IndexError, ValueError) as error:
        raise MenteeError(f"{index} is no whole TensorFlow checkpoint: {error}") from error


def _tensors(table: bytes, data: bytes) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    for name, value in _table(table):
        entry = _message(value)
        dtype = DTYPES.get(_number(entry, 1))
        if not name or dtype is None:  # the empty key is the header
            continue
        # entry: 1 dtype, 2 shape (2 dimension (1 size)), 3 shard, 4 offset, 5 size
        dims = _message(_text(entry, 2)).get(2, [])
        shape = [_number(_message(dim), 1) for dim in dims if isinstance(dim, bytes)]
        start, size = _number(entry, 4), _number(entry, 5)
        raw = data[start : start + size]
        if len(raw) < size:
            raise ValueError(f"the data end inside {name.decode()}")
        yield name.decode(), np.frombuffer(raw, dtype).reshape(shape).copy()


def _table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a sorted string table."""
    if len(table) < FOOTER or int.from_bytes(table[-8:], "little") != MAGIC:
        raise ValueError("it does not end as an index does")
    footer = table[-FOOTER:]
    _, at = _handle(footer, 0)  # of the meta index, which is empty
    (start, size), _ = _handle(footer, at)
    for _, handle in _block(table, start, size):
        yield from _block(table, *_handle(handle, 0)[0])


def _block(table: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    if table[start + size] != 0:
        raise ValueError("its blocks are compressed, which checkpoints are not")
    block = table[start : start + size]
    # At the end: where keys are written in full, 4 bytes each, and how many those are.
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        rest, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + rest]
        yield key, block[at + rest : at + rest + length]
        at += rest + length


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    start, at = _varint(data, at)
    size, at = _varint(data, at)
    return (start, size), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first; the top bit says that more follow."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _message(data: bytes) -> Message:
    """The fields of a protocol-buffer message: number to values in order."""
    fields: Message = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(data, at)
        elif tag & 7 == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        elif tag & 7 in (1, 5):
            length = 8 if tag & 7 == 1 else 4
            value, at = int.from_bytes(data[at : at + length], "little"), at + length
        else:
            raise ValueError(f"a field has the unknown wire type {tag & 7}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(message: Message, field: int) -> int:
    """A number; one that is not written is 0."""
    value = message.get(field, [0])[0]
    return value if isinstance(value, int) else 0


def _text(message: Message, field: int) -> bytes:
    value = message.get(field, [b""])[0]
    return value if isinstance(value, bytes) else b""
