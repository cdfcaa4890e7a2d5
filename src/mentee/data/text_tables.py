"""Tables of plain text (CSV, TSV, JSON lines), and which columns of a table are meant."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee.data.examples import Examples, make_examples, row_ids
from mentee.data.local_files import check_regular, refuse_outside
from mentee.data.modality import TEXT
from mentee.data.source_options import SourceOptions
from mentee.data.split_names import inner_folders, refuse_other_split, tables_in
from mentee.errors import DataError, suggest
from mentee.tasks import Labels, is_missing, read_label_columns, read_labels

ID = "id"
"""The usual column of ids in a table of texts."""

LABEL_NAMES = ("label", "labels", "fine_label", "class")
PLAIN = (".csv", ".tsv", ".jsonl", ".ndjson")

MAX_CELL = 1 << 30
"""Characters of one cell of a CSV or TSV file."""


@dataclass(frozen=True)
class PlainTable:
    """A table that was a text file: its columns' names, and each row's cells in their order.

    `typed`: the cells are JSON values; else each is text.
    """

    name: str
    names: tuple[str, ...]
    rows: list[list[Any]]
    typed: bool

    def column(self, name: str) -> list[Any]:
        """One column."""
        if name not in self.names:
            raise DataError(f"{self.name} has no column {name!r}: {suggest(name, self.names)}")
        if self.names.count(name) > 1:
            raise DataError(
                f"{self.name} has {self.names.count(name)} columns {name!r}: give each its own name"
            )
        index = self.names.index(name)
        return [row[index] for row in self.rows]

    def labels(self, options: SourceOptions) -> Labels:
        """The labels in the columns named, else in the first with a usual name.

        Raises:
            DataError: there is no such column, or a cell is not what it should be.
        """
        label, classes, task = options.label, options.classes, options.task
        if not isinstance(label, str | None):
            return several_columns(options, self.column, self.name)
        column = label or next((name for name in LABEL_NAMES if name in self.names), None)
        if column is None:
            return Labels()
        values = self.column(column)
        cells = [None if is_missing(value) else value for value in values]
        if not self.typed and all(
            c is None or re.fullmatch(r"\s*-?\d{1,300}\s*", c) for c in cells
        ):
            values = [None if cell is None else int(cell) for cell in cells]
        return read_labels(values, classes=classes, task=task, source=self.name)


def several_columns(
    options: SourceOptions, column: Callable[[str], Sequence[Any]], name: str
) -> Labels:
    """The labels in several columns of a table, or none, as the options have it."""
    if options.label is False:
        return Labels()
    label = list(options.label or ())
    columns, names = [column(each) for each in label], options.classes or label
    return read_label_columns(columns, classes=names, task=options.task, source=name)


def read_plain(files: Sequence[Path], *, only_names: bool = False) -> PlainTable:
    """Read CSV, TSV or JSON-lines files as one table; a cell that a row does not have is None.

    A TSV file knows no quotes: a quotation mark is one.

    Raises:
        DataError: a file is not in UTF-8, not in its format, or has other columns.
    """
    name = f"{files[0]}" if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    names: tuple[str, ...] | None = None
    rows: list[list[Any]] = []
    for file in files:
        check_regular(file)
        try:
            own, more = (_json if _is_json(file) else _csv)(file, only_names)
        except DataError:
            raise
        except UnicodeDecodeError as error:
            raise DataError(f"{file} cannot be read ({error}); write it again in UTF-8") from error
        except (OSError, csv.Error, ValueError, RecursionError) as error:
            raise DataError(
                f"{file} cannot be read ({error}); mend it, or write it again"
            ) from error
        if names is not None and own != names:
            raise DataError(f"{file} has other columns than {files[0]}: {', '.join(own)}")
        names, rows = own, rows + more
    return PlainTable(name, names or (), rows, _is_json(files[0]))


def named_ids(values: Sequence[Any], column: str, name: str) -> list[str]:
    """The ids in a column, as texts."""
    missing = next((row for row, value in enumerate(values) if value is None or value == ""), None)
    if missing is not None:
        raise DataError(f"row {missing} of {name} has no id in column {column!r}: give it one")
    return [str(value) for value in values]


def _is_json(file: Path) -> bool:
    return file.suffix.lower() in (".jsonl", ".ndjson")


def _csv(file: Path, only_names: bool) -> tuple[tuple[str, ...], list[list[Any]]]:
    tabs = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if file.suffix.lower() == ".tsv" else {}
    before = csv.field_size_limit(MAX_CELL)
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True, **tabs)  # type: ignore[arg-type]
            names = tuple(next(reader, ()))
            rows: list[list[Any]] = [] if only_names else [row for row in reader if row]
    except csv.Error as error:
        raise csv.Error(f"line {reader.line_num}: {error}") from error
    finally:
        csv.field_size_limit(before)
    for number, row in enumerate(rows):
        if len(row) > len(names):
            raise DataError(
                f"row {number} of {file} has {len(row)} cells for {len(names)} columns: "
                "put text that contains the separator in quotes"
            )
        row += [None] * (len(names) - len(row))
    return names, rows


def _json(file: Path, only_names: bool) -> tuple[tuple[str, ...], list[list[Any]]]:
    objects: list[dict[str, Any]] = []
    with file.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream):
            if not line.strip():
                continue
            row = json.loads(line, object_pairs_hook=_object)
            if not isinstance(row, dict):
                raise DataError(f"line {number + 1} of {file} is no JSON object: {line[:40]!r}")
            objects.append(row)
            if only_names:
                break
    names = tuple(dict.fromkeys(name for row in objects for name in row))
    return names, [] if only_names else [[row.get(name) for name in names] for row in objects]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"a JSON object has the key {twice!r} twice: give each its own name")
    return content


def text_tables(folder: Path, kind: str | None, *, outside: bool = False) -> list[Path]:
    """The CSV, TSV and JSON-lines files of a folder that hold texts.

    Of kind None those with a column `text` are meant, of another one than text none.

    Raises:
        DataError: one is a link that leads out of the folder, and may not be.
    """
    if kind not in (None, TEXT.name):
        return []
    files = tables_in(folder, PLAIN)
    refuse_outside(folder, files, outside=outside)
    return [file for file in files if _holds_texts(file)] if kind is None else files


def _holds_texts(file: Path) -> bool:
    try:
        return TEXT.name in read_plain([file], only_names=True).names
    except DataError:
        # Beside folders of images it may be anything; alone, it is to be complained of.
        return not inner_folders(file.parent)


def open_texts(
    files: Sequence[Path], *, split: str, rows: str = "", options: SourceOptions
) -> Examples:
    """Read CSV, TSV or JSON-lines files of texts as one table.

    Raises:
        DataError: a file cannot be read, is not the split asked for, has no such column, or a
            cell is not what it should be.
    """
    for file in files:
        refuse_other_split(file, split)
    table = read_plain(files)
    if not table.rows:
        raise DataError(f"{table.name} is empty: give it at least one example")
    column = options.id or (ID if ID in table.names else None)
    if column is None:
        ids = row_ids(rows or (files[0].stem if len(files) == 1 else split), len(table.rows))
    else:
        ids = named_ids(table.column(column), column, table.name)
    values = table.column(options.content or TEXT.name)
    contents = TEXT.read_arrays(values, ids, options.reading(table.name))
    labels = table.labels(options)
    return make_examples(contents, ids, labels, modality=TEXT, name=table.name)
