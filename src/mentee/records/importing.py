"""A user's own vectors imported as a record, row by row in the order of the data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data import Examples, nfc
from mentee.errors import DataError
from mentee.files import located
from mentee.locks import folder_lock
from mentee.records.codecs import Floats, as_dtype
from mentee.records.columns import Column, Dtype
from mentee.records.folders import refuse_others
from mentee.records.leaks import refuse_leaks
from mentee.records.manifest import checksum
from mentee.records.matching import some_of
from mentee.records.plan import RecordingJob
from mentee.records.reader import Record
from mentee.records.repair import repair_record
from mentee.records.vector_files import (
    READ_ERRORS,
    VectorFile,
    VectorNames,
    as_ids,
    read_npy,
    read_npz,
    read_safetensors,
)
from mentee.records.vector_tables import read_csv, read_parquet
from mentee.records.writer import write_record
from mentee.urls import Url

_BATCH = 1024


def import_record(
    path: Path | str,
    examples: Examples,
    out: Path | Url | str,
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
    repair: bool = False,
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
        repair: the same.

    Returns:
        The record, opened.

    Raises:
        DataError: the file cannot be read, ids are missing, there twice or of no example, a number
            is not finite, or an entry is the label or the row number; says which.
        RunError: the disk is full, or writing is not allowed.

    Memory: O(b t d) of an .npy; O(m t d) of the other formats.
    """
    path, out = Path(path), located(out)
    dtype = dtype and as_dtype(dtype)
    refuse_others(out, overwrite=overwrite, repair=repair)
    file = read_vectors(path, VectorNames(id=id, columns=columns, key=key, ids=ids))
    vectors = in_frames(file.rows, frames, path)
    if file.ids is None:
        order = _in_order(len(vectors), examples, path, in_order)
    else:
        order = row_of_each(file.ids, examples, path, extra=extra)
    refuse_leaks(vectors, order, examples, path, file.names)

    def read(_: Examples, rows: npt.NDArray[np.int64], *__: Any) -> Floats:
        numbers = vectors[order[rows]].reshape(len(rows), -1)
        return numbers if numbers.dtype.kind == "f" else numbers.astype(np.float64)

    shape = vectors.shape[1:]
    layer = "embedding" if len(shape) == 1 else "frames"
    job = RecordingJob(
        examples=examples,
        read=read,
        columns=(Column(layer=layer, reduction="", shape=shape, layer_shape=shape),),
        teacher={
            "name": name,
            "source": path.name,
            "checksum": checksum(path),
            "read": origin(file.names, path),
        },
        dtype=dtype or ("float16" if vectors.dtype == np.float16 else "float32"),
        batch=_BATCH,
    )
    if repair:
        with folder_lock(out, beside=True):
            return repair_record(out, job)
    return write_record(out, job, overwrite=overwrite, extend=False, shard_rows=shard_rows)


READERS: dict[str, Callable[[Path, VectorNames], VectorFile]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".safetensors": read_safetensors,
    ".parquet": read_parquet,
    ".csv": read_csv,
}
"""How each kind of file is read, by its ending."""


def read_vectors(path: Path, options: VectorNames) -> VectorFile:
    """Read a file of vectors with their ids.

    Raises:
        DataError: no such file, another format, something else than vectors inside, or a second
            file has other ids than the first.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"{path} is no file of vectors that mentee reads: expected {', '.join(READERS)} "
            "(pickled files are never opened: save the array with numpy.save)"
        )
    try:
        file = read(path, options.checked(path))
    except DataError:
        raise
    except READ_ERRORS as error:
        raise DataError(
            f"{path} cannot be read as {path.suffix} ({str(error)[:200]}); save it again"
        ) from error
    rows, ids = file.rows, file.ids
    if rows.dtype.kind not in "fiu":
        raise DataError(f"{path} holds {rows.dtype}, expected numbers (float16, float32, float64)")
    if rows.ndim not in (2, 3) or not rows.size:
        raise DataError(
            f"{path} has shape {list(rows.shape)}, expected [n, d], or [n, t, d] for t time frames"
        )
    if options.ids is not None:
        ids = read_ids(Path(options.ids))
    if ids is not None and len(ids) != len(rows):
        raise DataError(
            f"{path} has {len(rows):,} rows and {len(ids):,} ids: expected one for each"
        )
    if file.ids is not None and ids is not None and file.ids != ids:
        pairs = enumerate(zip(file.ids, ids, strict=True))
        row = next(i for i, two in pairs if len(set(two)) > 1)
        raise DataError(
            f"{path} has ids of its own, and they are not those of {options.ids}: row {row} is "
            f"{file.ids[row]!r} there and {ids[row]!r} here; leave out --ids, or take the ids out "
            f"of {path.name}"
        )
    return VectorFile(rows, ids, file.names)


def read_ids(path: Path) -> list[str]:
    """Read a file of ids: .txt (one a line), .json (a list) or .npy (texts or whole numbers).

    Raises:
        DataError: no such file, or something else inside.
    """
    if not path.is_file():
        raise DataError(f"there is no file of ids {path}")
    try:
        if path.suffix == ".npy":
            return as_ids(np.load(path, allow_pickle=False), str(path))
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            return as_ids(json.loads(text), str(path))
    except READ_ERRORS as error:
        raise DataError(
            f"{path} cannot be read as ids ({str(error)[:200]}); save it again"
        ) from error
    if path.suffix != ".txt":
        raise DataError(f"{path} is no file of ids: expected .txt (one a line), .json or .npy")
    return text.splitlines()


def origin(names: Sequence[str], path: Path) -> str:
    """Where in a file the vectors were, for people.

    Example:
        >>> origin(["e0", "e1", "e2", "e3", "e4", "e5"], Path("a.csv"))
        '6 columns of a.csv: e0, e1, e2, ..., e5'
        >>> origin(["embedding"], Path("a.npz")), origin([], Path("a.npy"))
        ('embedding of a.npz', 'a.npy')
    """
    if len(names) < 2:
        return " of ".join([*names, path.name])
    some = names if len(names) <= 4 else [*names[:3], "...", names[-1]]
    return f"{len(names):,} columns of {path.name}: {', '.join(some)}"


def in_frames(rows: npt.NDArray[Any], frames: int | None, path: Path) -> npt.NDArray[Any]:
    """Rows `[m, t d]` cut into t time frames; as they are where `frames` is None.

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


def row_of_each(
    ids: Sequence[str], examples: Examples, path: Path, *, extra: bool = False
) -> npt.NDArray[np.int64]:
    """The row of the file that each example has, `[n]`; `extra` allows rows of no example.

    Raises:
        DataError: an id is there twice, an example has no row, or a row no example.
    """
    ids, own = nfc(ids), nfc(examples.ids)
    repeated = [text for text, count in Counter(ids).items() if count > 1]
    if repeated:
        raise DataError(
            f"{path} has {len(repeated):,} ids more than once: {some_of(repeated)}; keep one of "
            "each"
        )
    where = {text: row for row, text in enumerate(ids)}
    missing, wanted = [text for text in own if text not in where], set(own)
    others = [text for text in ids if text not in wanted]
    if missing:
        unlike = f" (the file has, for example, {some_of(others)})" if others else ""
        raise DataError(
            f"{path} has no row for {len(missing):,} of {len(examples):,} examples of "
            f"{examples.name}: {some_of(missing)}{unlike}; expected the ids that the data has"
            f"{_respelled(missing, others)}"
        )
    if others and not extra:
        raise DataError(
            f"{path} has {len(others):,} rows of no example of {examples.name}: {some_of(others)}; "
            "remove them, or leave extra rows out (--extra)"
        )
    return np.array([where[text] for text in own], np.int64)


def _respelled(missing: Sequence[str], others: Sequence[str]) -> str:
    """How the file's ids become the data's, where a folder before them is all that differs."""
    wanted = set(missing)
    for own in others[:1]:
        longer = next((each for each in missing if each.endswith(f"/{own}")), None)
        folder = longer and longer.removesuffix(own)
        if folder and all(f"{folder}{other}" in wanted for other in others):
            return f": write {longer!r} for {own!r}, {folder!r} before each"
        shorter = next((each for each in missing if own.endswith(f"/{each}")), None)
        if shorter:
            return f": write {shorter!r} for {own!r}, without {own.removesuffix(shorter)!r}"
    return ""


def _in_order(rows: int, examples: Examples, path: Path, in_order: bool) -> npt.NDArray[np.int64]:
    if not in_order:
        raise DataError(
            f"{path} has no ids, so nothing tells which row is of which example; name a file of "
            "ids (--ids), or declare that the rows are in the order of the data (--in-order)"
        )
    if rows != len(examples):
        raise DataError(
            f"{path} has {rows:,} rows, {examples.name} has {len(examples):,} examples; without "
            "ids there has to be one row for each"
        )
    return np.arange(rows)
