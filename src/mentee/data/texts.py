"""Texts by row, tables of them, and the bytes that networks read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from mentee.data.columns import PLAIN, USUAL, Columns, named_ids, read_plain
from mentee.data.examples import Examples, make_examples, row_ids
from mentee.data.payload import Kind, Rows
from mentee.data.split_names import inner_folders, refuse_other_split, tables_in
from mentee.errors import DataError

TEXT = "text"
ID = "id"


class Texts:
    """Texts, all in memory.

    Args:
        values: the texts; an empty one is allowed, a missing one is not.
        ids: the rows' ids, for messages.

    Raises:
        DataError: a value is missing or no text, or a text has no UTF-8 form or holds NUL, which
            stands for what is behind a text's end.
    """

    kind: Kind = "text"
    channels = 1
    sample_rate: int | None = None

    def __init__(self, values: Sequence[Any], ids: Sequence[str]) -> None:
        for value, name in zip(values, ids, strict=True):
            wrong = _wrong(value)
            if wrong:
                raise DataError(
                    f"the text of {name!r} {wrong}; mend it, or leave it out of the source"
                )
        self.values: list[str] = list(values)

    def ready(self, rows: Rows) -> bool:
        """Always."""
        return True

    def load(self, rows: Rows) -> bool:
        """Nothing to do."""
        return True

    def read(self, rows: Rows) -> list[str]:
        """The texts of some rows."""
        return [self.values[row] for row in rows.tolist()]

    def raw(self, row: int) -> bytes:
        """The text in UTF-8."""
        return self.values[row].encode()


def _wrong(value: Any) -> str | None:
    if value is None or value != value:
        return "is missing"
    if not isinstance(value, str):
        return f"is {value!r}, which is no text"
    if "\0" in value:
        return "holds the character NUL"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"has no UTF-8 form ({error.reason})"
    return None


def text_tables(folder: Path, columns: Columns) -> list[Path]:
    """The CSV, TSV and JSON-lines files of a folder that hold texts.

    Args:
        folder: the folder.
        columns: what was asked for.

    Returns:
        All such files where texts are asked for; where nothing is said, those with a column
        `text`; none where something else is.
    """
    if columns.kind not in (None, "text"):
        return []
    files = tables_in(folder, PLAIN)
    if columns.kind is None:
        return [file for file in files if _holds_texts(file)]
    return files


def _holds_texts(file: Path) -> bool:
    try:
        return TEXT in read_plain([file], only_names=True).names
    except DataError:
        # Beside folders of images it may be anything; alone, it is to be complained of.
        return not inner_folders(file.parent)


def open_texts(
    files: Sequence[Path],
    *,
    split: str,
    rows: str = "",
    columns: Columns = USUAL,
    classes: Sequence[str] | None = None,
) -> Examples:
    """Read CSV, TSV or JSON-lines files of texts as one table.

    Args:
        files: the files, in order.
        split: which split they are asked for as.
        rows: what row numbers are called in ids; empty: a single file's name, else the split.
        columns: which columns to read; None: `text`, `label`, and `id` where there is one.
        classes: the class names in the order wanted; None: sorted.

    Returns:
        All rows of the files.

    Raises:
        DataError: a file cannot be read, is not the split asked for, has no such column, or a
            cell is not what it should be.
    """
    for file in files:
        refuse_other_split(file, split)
    table = read_plain(files)
    if not table.rows:
        raise DataError(f"{table.name} is empty: give it at least one example")
    column = columns.id or (ID if ID in table.names else None)
    if column is None:
        ids = row_ids(rows or (files[0].stem if len(files) == 1 else split), len(table.rows))
    else:
        ids = named_ids(table.column(column), column, table.name)
    texts = Texts(table.column(columns.content or TEXT), ids)
    return make_examples(texts, ids, table.labels(columns.label, classes), name=table.name)


def encode(texts: Sequence[str], length: int | None = None) -> UInt8[Tensor, "b t"]:
    """The bytes of texts in UTF-8, cut off or padded to one length.

    Args:
        texts: `b` texts without NUL.
        length: bytes of each; None: of the longest, at least 1.

    Returns:
        The first bytes of each text, cut where a character begins; 0 behind its end.

    Example:
        >>> encode(["né", "o"], 2).tolist()
        [[110, 0], [111, 0]]
    """
    encoded = [text.encode() for text in texts]
    t = max([1, *map(len, encoded)]) if length is None else length
    pieces = [data.ljust(t, b"\0") if len(data) <= t else _cut(data, t) for data in encoded]
    return torch.from_numpy(np.frombuffer(bytearray(b"".join(pieces)), np.uint8).reshape(-1, t))


def _cut(data: bytes, length: int) -> bytes:
    end = length
    while data[end] & 0xC0 == 0x80:  # 10xxxxxx: inside a character
        end -= 1
    return data[:end].ljust(length, b"\0")
