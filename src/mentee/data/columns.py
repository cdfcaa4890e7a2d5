"""Columns of a table: which ones are meant, and tables of plain text (CSV, TSV, JSON lines)."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from mentee.data.labels import Labels, read_labels
from mentee.data.payload import Kind
from mentee.errors import DataError, suggest

LABEL_NAMES = ("label", "labels", "fine_label", "class")
PLAIN = (".csv", ".tsv", ".jsonl", ".ndjson")


Label: TypeAlias = str | Sequence[str] | Literal[False] | None
"""A column of labels, several of 0/1, none that are read (False), or the usual names (None)."""


@dataclass(frozen=True)
class Columns:
    """Which columns to read; None: the usual names.

    Attributes:
        kind: what the examples are; None: what the source says.
        content: the images, clips or texts, or the names of their files.
        label: one column of labels, or several of 0/1; False: no labels are read.
        id: the examples' own names; None: the row numbers, or what else the source gives.
    """

    kind: Kind | None = None
    content: str | None = None
    label: Label = None
    id: str | None = None


USUAL = Columns()
"""Nothing is said: the usual names."""


@dataclass(frozen=True)
class PlainTable:
    """A table that was a text file.

    Attributes:
        name: what to call it in messages.
        names: the columns.
        rows: each row's cells, in the order of the columns.
        typed: the cells are JSON values; else each is text.
    """

    name: str
    names: tuple[str, ...]
    rows: list[list[Any]]
    typed: bool

    def column(self, name: str) -> list[Any]:
        """One column.

        Raises:
            DataError: there is no such column.
        """
        if name not in self.names:
            raise DataError(f"{self.name} has no column {name!r}: {suggest(name, self.names)}")
        place = self.names.index(name)
        return [row[place] for row in self.rows]

    def labels(self, given: Label, classes: Sequence[str] | None) -> Labels:
        """The labels in the columns named, else in the first with a usual name.

        Args:
            given: a column, or several of 1, 0, or nothing for unknown; False: no labels.
            classes: the class names in the order wanted.

        Raises:
            DataError: there is no such column, or a cell is not what it should be.
        """
        if given is False:
            return Labels()
        if given is not None and not isinstance(given, str):
            cells = zip(*(self.column(name) for name in given), strict=True)
            return read_labels([self._numbers(row) for row in cells], classes=classes or given)
        column = given or next((name for name in LABEL_NAMES if name in self.names), None)
        if column is None:
            return Labels()
        values = self.column(column)
        if not self.typed and all(re.fullmatch(r"-?\d+", value or "") for value in values):
            values = [int(value) for value in values]
        return read_labels(values, classes=classes)

    def _numbers(self, row: Sequence[Any]) -> list[float]:
        known = [None if isinstance(cell, str) and not cell.strip() else cell for cell in row]
        try:
            return [float("nan") if cell is None else float(cell) for cell in known]
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{self.name}: several label columns must hold 1, 0, or nothing for unknown; "
                f"{error}"
            ) from error


def read_plain(files: Sequence[Path], *, only_names: bool = False) -> PlainTable:
    """Read CSV, TSV or JSON-lines files as one table.

    A TSV file knows no quotes: a quotation mark is one.

    Args:
        files: the files, in order; all with the same columns.
        only_names: read no further than the columns' names.

    Returns:
        The table. A cell that a row does not have is None.

    Raises:
        DataError: a file is not in UTF-8, not in its format, or has other columns.
    """
    name = f"{files[0]}" if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    names: tuple[str, ...] | None = None
    rows: list[list[Any]] = []
    for file in files:
        try:
            own, more = (_json if _is_json(file) else _csv)(file, only_names)
        except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
            raise DataError(f"{file} cannot be read ({error}); write it anew in UTF-8") from error
        if names is not None and own != names:
            raise DataError(f"{file} has other columns than {files[0]}: {', '.join(own)}")
        names, rows = own, rows + more
    return PlainTable(name, names or (), rows, _is_json(files[0]))


def named_ids(values: Sequence[Any], column: str, name: str) -> list[str]:
    """The ids in a column, as texts.

    Raises:
        DataError: a row has none.
    """
    missing = next((row for row, value in enumerate(values) if value is None or value == ""), None)
    if missing is not None:
        raise DataError(f"row {missing} of {name} has no id in column {column!r}: give it one")
    return [str(value) for value in values]


def _is_json(file: Path) -> bool:
    return file.suffix in (".jsonl", ".ndjson")


def _csv(file: Path, only_names: bool) -> tuple[tuple[str, ...], list[list[Any]]]:
    tabs = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if file.suffix == ".tsv" else {}
    with file.open(newline="", encoding="utf-8-sig") as opened:
        reader = csv.reader(opened, strict=True, **tabs)  # type: ignore[arg-type]
        names = tuple(next(reader, ()))
        rows: list[list[Any]] = [] if only_names else [row for row in reader if row]
    for number, row in enumerate(rows):
        if len(row) > len(names):
            raise DataError(
                f"row {number} of {file} has {len(row)} cells for {len(names)} columns: "
                "put text that contains the separator in quotes"
            )
        row += [None] * (len(names) - len(row))
    return names, rows


def _json(file: Path, only_names: bool) -> tuple[tuple[str, ...], list[list[Any]]]:
    found: list[dict[str, Any]] = []
    with file.open(encoding="utf-8-sig") as opened:
        for number, line in enumerate(opened):
            if not line.strip():
                continue
            row = json.loads(line)
            if not isinstance(row, dict):
                raise DataError(f"line {number + 1} of {file} is no JSON object: {line[:40]!r}")
            found.append(row)
            if only_names:
                break
    names = tuple(dict.fromkeys(name for row in found for name in row))
    return names, [] if only_names else [[row.get(name) for name in names] for row in found]
