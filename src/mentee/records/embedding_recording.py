"""Run a teacher of another task once over a data set, and keep what it says."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data import Examples
from mentee.errors import DataError, MenteeError
from mentee.parallel import gather_objects, max_over_processes, rank, world
from mentee.records.embedding_writer import About, write_record
from mentee.records.folder import refuse_taken
from mentee.records.growing import Ordered, about_data, ordered, refuse_other
from mentee.records.manifest import MANIFEST, Dtype
from mentee.records.numeric import as_dtype
from mentee.records.reader import Record
from mentee.teachers.pretrained.embedder import Embedder

Float32Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def record(
    embedder: Embedder,
    examples: Examples,
    out: Path | str,
    *,
    frames: bool = False,
    dtype: Dtype = "float16",
    batch: int = 64,
    shard_rows: int | None = None,
    overwrite: bool = False,
    extend: bool = False,
    asked: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Record:
    """Write a teacher's vector of every example, in the order of the examples.

    Each example is read as it is, not augmented. Several processes share the batches; the first
    one writes. The folder gets the rows in `.npy` files that
    `numpy.load(..., mmap_mode="r")` reads, the ids, the statistics of the vectors, and a manifest.
    It is there when it is whole, and not before.

    Args:
        embedder: the teacher, from `find_embedder` or your own.
        examples: one split; audio opened at the teacher's rate.
        out: the folder to write.
        frames: one vector for each time frame instead of one for each example; the examples have
            to be of one length.
        dtype: float16 keeps 11 significant bits and numbers up to 65,504; float32, bfloat16.
        batch: examples that are given to the teacher at once.
        shard_rows: rows of a file; None: as many as 256 MiB hold.
        overwrite: put it in the place of a record that is there.
        extend: a record that is there gets the rows of the examples that it has not.
        asked: how the teacher and the data were named, so that the record can be verified.
        progress: called after each batch with the examples done and those there are.

    Returns:
        The record, opened.

    Raises:
        DataError: examples of another kind or rate, something is there already, or a number is
            not finite or too large for `dtype`.
        RunError: the disk is full, or writing is not allowed.
        MenteeError: the teacher has no frames, or does not say what it promised.

    Memory: O(b t d + d²).
    """
    refuse_other_data(embedder, examples)
    dtype = as_dtype(dtype)
    out = Path(out)
    rows = outstanding(
        embedder, examples, out, frames=frames, dtype=dtype, overwrite=overwrite, extend=extend
    )
    if not rows.new:
        return Record.open(out, verify=False)
    examples = rows.examples
    about = About(
        name=embedder.name,
        kind=examples.kind,
        teacher=about_teacher(embedder) | ({"asked": dict(asked)} if asked else {}),
        data=rows.data or about_data(examples),
    )

    def said(first: int) -> Iterator[Float32Array]:
        first = max_over_processes(first)  # only the process that writes knows it
        for some in rounds(batches_from(first, len(examples), batch, rows.held)):
            mine = some[rank()] if rank() < len(some) else None
            own = None if mine is None else embed(embedder, examples, mine, frames=frames)
            for numbers, vectors in zip(some, gather_objects(own), strict=True):
                yield vectors[numbers >= first]
            if progress is not None:
                progress(int(some[-1][-1]) + 1, len(examples))

    if rank() == 0:
        write_record(
            out,
            said,
            examples.ids,
            about,
            dtype=dtype,
            shard_rows=shard_rows,
            overwrite=overwrite or rows.held > 0,
            before=out if rows.held else None,
        )
    else:
        for _ in said(0):
            pass
    max_over_processes(0)  # it is there for all
    return Record.open(out, verify=False)


def rounds(batches: Iterator[Rows]) -> Iterator[list[Rows]]:
    """As many batches at a time as there are processes, each of which computes one."""
    while some := list(itertools.islice(batches, world())):
        yield some


def outstanding(
    embedder: Embedder,
    examples: Examples,
    out: Path,
    *,
    frames: bool,
    dtype: Dtype,
    overwrite: bool,
    extend: bool,
) -> Ordered:
    """The examples in the order of the rows, those of a record that is there first.

    Args:
        embedder: as for `record`, and so are all the others.
        examples: the same.
        out: the same.
        frames: the same.
        dtype: the same.
        overwrite: the same.
        extend: the same.

    Raises:
        DataError: something is there: of another teacher, another type or other examples.
    """
    if overwrite or not extend or not (out / MANIFEST).is_file():
        refuse_taken(out, overwrite=overwrite)
        return Ordered(examples, 0, {})
    there = Record.open(out, verify=False)
    said, mine = there.manifest, json.loads(json.dumps(about_teacher(embedder)))
    rows = ordered(there.ids, said.data, examples, examples)
    pairs = {f"teacher's {key}": (said.teacher.get(key), mine[key]) for key in mine} | {
        "seconds": (said.data.get("seconds"), rows.data.get("seconds")),
        "frames": (said.frames is not None, frames),
        "dtype": (said.dtype, dtype),
    }
    if not rows.new:
        pairs["examples"] = (said.data["fingerprint"], rows.data["fingerprint"])
    refuse_other(pairs)
    return rows


def about_teacher(embedder: Embedder) -> dict[str, Any]:
    """What a manifest says of a teacher."""
    return {
        "name": embedder.name,
        "fingerprint": embedder.fingerprint(),
        "contract": dict(embedder.contract),
    }


def batches_from(first: int, n: int, batch: int, held: int = 0) -> Iterator[npt.NDArray[np.int64]]:
    """The rows of whole batches, from the one that holds row `first` on.

    A row's last bits depend on the batch that it was computed in, so a resumed recording cuts the
    same batches; they begin behind the `held` rows that were there before.

    Example:
        >>> [rows.tolist() for rows in batches_from(4, 7, 3)]
        [[3, 4, 5], [6]]
        >>> [rows.tolist() for rows in batches_from(4, 7, 3, held=2)]
        [[2, 3, 4], [5, 6]]
    """
    for start in range(held + (first - held) // batch * batch, n, batch):
        yield np.arange(start, min(start + batch, n))


def embed(
    embedder: Embedder, examples: Examples, rows: npt.NDArray[np.int64], *, frames: bool = False
) -> Float32Array:
    """What a teacher says of some examples.

    Args:
        embedder: the teacher.
        examples: what to read from.
        rows: `[b]` row numbers in `examples`.
        frames: one vector for each time frame.

    Returns:
        `[b, d]`, or `[b, t, d]` with frames.

    Raises:
        MenteeError: it says something of another shape.
    """
    contents = examples.read(rows)
    said = embedder.frames(contents) if frames else embedder.pooled(contents)
    expected = f"[{len(rows)}, {'t, ' if frames else ''}{embedder.width}]"
    good = said.ndim == 2 + frames and said.shape[0] == len(rows)
    if not good or said.shape[-1] != embedder.width:
        raise MenteeError(f"{embedder.name} says {list(said.shape)}, expected {expected}")
    vectors: Float32Array = said.detach().cpu().float().numpy()
    return vectors


def refuse_other_data(embedder: Embedder, examples: Examples) -> None:
    """Make sure that a teacher can read these examples.

    Raises:
        DataError: they are of another kind, or audio of another rate.
    """
    if examples.kind != embedder.kind:
        raise DataError(
            f"{embedder.name} reads {embedder.kind}, {examples.name} is {examples.kind}; choose "
            f"a teacher of {examples.kind}"
        )
    rate = examples.contents.sample_rate
    if embedder.sample_rate is not None and rate != embedder.sample_rate:
        raise DataError(
            f"{embedder.name} wants audio at {embedder.sample_rate} samples a second, "
            f"{examples.name} was opened at {rate}; open it with sample_rate={embedder.sample_rate}"
        )
