"""A user's own vectors → a record, row by row in the order of the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data import Examples
from mentee.errors import DataError
from mentee.records.embedding_writer import About, write_record
from mentee.records.folder import refuse_taken
from mentee.records.growing import about_data
from mentee.records.manifest import Dtype, checksum
from mentee.records.numeric import as_dtype
from mentee.records.reader import Record
from mentee.records.vectors import Naming, read_vectors

_CHUNK = 1024


def import_record(
    path: Path | str,
    examples: Examples,
    out: Path | str,
    *,
    name: str,
    id: str = "id",
    columns: str | Sequence[str] | None = None,
    key: str | None = None,
    ids: Path | str | None = None,
    frames: int | None = None,
    in_order: bool = False,
    extra: bool = False,
    dtype: Dtype | None = None,
    shard_rows: int | None = None,
    overwrite: bool = False,
) -> Record:
    """Make a record of vectors that somebody else computed.

    Args:
        path: `[m, d]`, or `[m, t, d]` for t time frames, as .npy, .npz, .safetensors, .parquet (a
            column of lists, or columns of numbers) or .csv. Pickled files are never opened.
        examples: the split that the vectors are of.
        out: the folder to write.
        name: what to call their teacher.
        id: the column of ids; of an .npz the array (else `ids`).
        columns: the column of lists, or the columns of numbers, `emb_*` for all that begin so;
            None: the only list column, else all but the ids, which then must not be called like
            a label or an index.
        key: the array of vectors in an .npz or .safetensors; None: `embedding`, or the only one.
        ids: a second file with the id of each row: .txt (one a line), .json (a list) or .npy.
        frames: t, where the frames stand behind one another in rows of `t · d` numbers.
        in_order: there are no ids, and row i is of example i.
        extra: leave out rows that are of no example, instead of refusing them.
        dtype: float16, float32 or bfloat16; None: float16 where the file has it, else float32.
        shard_rows: as for `record`.
        overwrite: as for `record`.

    Returns:
        The record, opened.

    Raises:
        DataError: the file cannot be read, ids are missing, there twice or of no example, or a
            number is not finite; says which.
        RunError: the disk is full, or writing is not allowed.

    Memory: O(b t d) of an .npy; O(m t d) of the other formats.
    """
    path, out = Path(path), Path(out)
    dtype = dtype and as_dtype(dtype)
    refuse_taken(out, overwrite=overwrite)
    found = read_vectors(path, Naming(id=id, columns=columns, key=key, ids=ids))
    rows = in_frames(found.rows, frames, path)
    if found.ids is None:
        order = _own_order(len(rows), examples, path, in_order)
    else:
        order = positions(found.ids, examples, path, extra=extra)
    about = About(
        name=name,
        kind=examples.kind,
        teacher={
            "name": name,
            "source": path.name,
            "checksum": checksum(path),
            "read": read_of(found.names, path),
        },
        data=about_data(examples),
    )
    write_record(
        out,
        lambda start: _chunks(rows, order, start),
        examples.ids,
        about,
        dtype=dtype or ("float16" if rows.dtype == np.float16 else "float32"),
        shard_rows=shard_rows,
        overwrite=overwrite,
    )
    return Record.open(out, verify=False)


def read_of(names: Sequence[str], path: Path) -> str:
    """Where in a file the vectors were, for people.

    Example:
        >>> read_of(["e0", "e1", "e2", "e3", "e4", "e5"], Path("a.csv"))
        '6 columns of a.csv: e0, e1, e2, ..., e5'
        >>> read_of(["embedding"], Path("a.npz")), read_of([], Path("a.npy"))
        ('embedding of a.npz', 'a.npy')
    """
    if len(names) < 2:
        return " of ".join([*names, path.name])
    some = names if len(names) <= 4 else [*names[:3], "...", names[-1]]
    return f"{len(names):,} columns of {path.name}: {', '.join(some)}"


def in_frames(rows: npt.NDArray[Any], frames: int | None, path: Path) -> npt.NDArray[Any]:
    """Rows cut into time frames.

    Args:
        rows: `[m, t d]`, or `[m, t, d]` already.
        frames: t; None: as they are.
        path: of the file, for messages.

    Raises:
        DataError: the numbers of a row cannot be shared out.
    """
    if frames is None or (rows.ndim == 3 and rows.shape[1] == frames):
        return rows
    if frames < 1 or rows.ndim == 3 or rows.shape[1] % frames:
        raise DataError(
            f"{path} has shape {list(rows.shape)}, which is not {frames} frames an example; "
            "expected [n, d] with d a multiple of frames"
        )
    return rows.reshape(len(rows), frames, -1)


def positions(
    ids: Sequence[str], examples: Examples, path: Path, *, extra: bool = False
) -> npt.NDArray[np.int64]:
    """The row of the file that each example has.

    Args:
        ids: of the `m` rows.
        examples: `n` of them.
        path: of the file, for messages.
        extra: allow rows that are of no example.

    Returns:
        `[n]` row numbers.

    Raises:
        DataError: an id is there twice, an example has no row, or a row no example.
    """
    twice = [text for text, count in Counter(ids).items() if count > 1]
    if twice:
        raise DataError(
            f"{path} has {len(twice):,} ids more than once: {_few(twice)}; keep one of each"
        )
    where = {text: row for row, text in enumerate(ids)}
    missing = [text for text in examples.ids if text not in where]
    wanted = set(examples.ids)
    others = [text for text in ids if text not in wanted]
    if missing:
        unlike = f" (the file has, for example, {_few(others)})" if others else ""
        raise DataError(
            f"{path} has no row for {len(missing):,} of {len(examples):,} examples of "
            f"{examples.name}: {_few(missing)}{unlike}; expected the ids that the data has"
            f"{_respelled(missing, others)}"
        )
    if others and not extra:
        raise DataError(
            f"{path} has {len(others):,} rows of no example of {examples.name}: {_few(others)}; "
            "remove them, or say that extra rows are to be left out (--extra)"
        )
    return np.array([where[text] for text in examples.ids], np.int64)


def _respelled(missing: Sequence[str], others: Sequence[str]) -> str:
    """How the file's ids become the data's, where a folder before them is all that differs."""
    wanted = set(missing)
    for mine in others[:1]:
        theirs = next((each for each in missing if each.endswith(f"/{mine}")), None)
        before = theirs and theirs.removesuffix(mine)
        if before and all(f"{before}{other}" in wanted for other in others):
            return f": write {theirs!r} for {mine!r}, {before!r} before each"
        kept = next((each for each in missing if mine.endswith(f"/{each}")), None)
        if kept:
            return f": write {kept!r} for {mine!r}, without {mine.removesuffix(kept)!r}"
    return ""


def _own_order(rows: int, examples: Examples, path: Path, in_order: bool) -> npt.NDArray[np.int64]:
    if not in_order:
        raise DataError(
            f"{path} has no ids, so nothing says which row is of which example; name a file of "
            "ids (--ids), or say that the rows are in the order of the data (--in-order)"
        )
    if rows != len(examples):
        raise DataError(
            f"{path} has {rows:,} rows, {examples.name} has {len(examples):,} examples; without "
            "ids there has to be one row for each"
        )
    return np.arange(rows)


def _chunks(
    rows: npt.NDArray[Any], order: npt.NDArray[np.int64], first: int
) -> Iterator[npt.NDArray[np.floating]]:
    for start in range(first, len(order), _CHUNK):
        part = rows[order[start : start + _CHUNK]]
        yield part if part.dtype.kind == "f" else part.astype(np.float64)


def _few(ids: Sequence[str]) -> str:
    return ", ".join(map(repr, ids[:3])) + (", ..." if len(ids) > 3 else "")
