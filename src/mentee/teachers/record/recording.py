"""Run a teacher of another task once over a data set, and keep what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mentee.data import Examples
from mentee.data.window import Windows
from mentee.errors import DataError, MenteeError
from mentee.teachers.embedders.ready import Embedder
from mentee.teachers.record.folder import refuse_taken
from mentee.teachers.record.manifest import Dtype
from mentee.teachers.record.numbers import as_dtype
from mentee.teachers.record.reading import Record
from mentee.teachers.record.writing import About, write_record

Float32Array = npt.NDArray[np.float32]


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
    progress: Callable[[int, int], None] | None = None,
) -> Record:
    """Write a teacher's vector of every example, in the order of the examples.

    Each example is read as it is, not augmented. The folder gets the rows in `.npy` files that
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
    refuse_taken(Path(out), overwrite=overwrite)
    about = About(
        name=embedder.name,
        kind=examples.kind,
        teacher={
            "name": embedder.name,
            "fingerprint": embedder.fingerprint(),
            "contract": dict(embedder.contract),
        },
        data=about_data(examples),
    )

    def said(first: int) -> Iterator[Float32Array]:
        for rows in batches_from(first, len(examples), batch):
            vectors = embed(embedder, examples, rows, frames=frames)
            yield vectors[rows >= first]
            if progress is not None:
                progress(int(rows[-1]) + 1, len(examples))

    write_record(
        Path(out),
        said,
        examples.ids,
        about,
        dtype=dtype,
        shard_rows=shard_rows,
        overwrite=overwrite,
    )
    return Record.open(out, verify=False)


def batches_from(first: int, n: int, batch: int) -> Iterator[npt.NDArray[np.int64]]:
    """The rows of whole batches, from the one that holds row `first` on.

    A row's last bits depend on the batch that it was computed in, so a resumed recording cuts the
    same batches.

    Example:
        >>> [rows.tolist() for rows in batches_from(4, 7, 3)]
        [[3, 4, 5], [6]]
    """
    for start in range(first // batch * batch, n, batch):
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
    rate = examples.contents.rate
    if embedder.rate is not None and rate != embedder.rate:
        raise DataError(
            f"{embedder.name} wants audio at {embedder.rate} samples a second, {examples.name} "
            f"was opened at {rate}; open it with rate={embedder.rate}"
        )


def about_data(examples: Examples) -> dict[str, str | int | float]:
    """What a manifest says of the examples: labels play no part.

    Clips that were cut or padded to one length have the same fingerprint as the whole ones, so
    their `seconds` are said beside it.
    """
    said: dict[str, str | int | float] = {
        "name": examples.name,
        "fingerprint": examples.fingerprint(labels=False),
        "rows": len(examples),
    }
    contents = examples.contents
    if isinstance(contents, Windows) and contents.rate is not None:
        said["seconds"] = contents.samples / contents.rate
    return said
