"""Record an embedder's vectors over a data set, or import vectors that somebody has already."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.build.data_summary import counts, data_notes
from mentee.console import print_line
from mentee.data import Examples, open_examples
from mentee.data.sources import require_splits
from mentee.errors import DataError, MenteeError
from mentee.files import located, usable
from mentee.locks import folder_lock
from mentee.parallel import init_processes, rank
from mentee.recording.sources import as_requested, open_as, source_of
from mentee.records import Record, estimate, import_record, write_record
from mentee.records.codecs import as_dtype
from mentee.records.columns import Column, Dtype
from mentee.records.folders import refuse_others, settle
from mentee.records.plan import RecordingJob, plan_recording
from mentee.records.repair import repair_record
from mentee.records.writer import carry_out
from mentee.report import RowProgress, duration
from mentee.runs.changes import refuse_other_kind
from mentee.teachers.pretrained import Embedder, find_embedder
from mentee.urls import Url


def record(
    data: Any,
    teacher: str | Embedder,
    out: str | Path | Url,
    *,
    splits: Sequence[str] = ("train",),
    frames: bool = False,
    seconds: float | None = None,
    dtype: str = "float16",
    batch: int = 64,
    overwrite: bool = False,
    repair: bool = False,
    options: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print_line,
) -> dict[str, Record]:
    """Record a teacher's vectors of each example of some splits; one folder a split.

    Prints beforehand how many megabytes and minutes it will take. Several processes share the work.
    A record that is there already gets the rows of the examples that it has not.

    Args:
        data: anything that `open_examples` takes, or a recipe's file name ending in `.yaml`.
        teacher: a name for `find_embedder`, or an embedder.
        out: the folder; each split gets a subfolder of its name.
        splits: which splits.
        frames: one vector for each time frame instead of one for each example.
        seconds: of audio: read only so much of each clip, zeros behind a shorter one; needed with
            `frames` where the clips are of several lengths.
        dtype: of the numbers on disk: float16, float32 or bfloat16.
        batch: examples that are given to the teacher at once.
        overwrite: replace records that are there.
        repair: record only what is damaged of records that are there.
        options: of the teacher: `{"weights": "simclr.safetensors"}`.
        reading: further arguments of `open_examples`, such as `{"label": "genre"}`.
        say: what to do with a line of text.

    Returns:
        The records by split.

    Raises:
        MenteeError: the teacher, the data or the folder is not as it should be; what was recorded
            of other splits before stays.
    """
    stored = as_dtype(dtype)
    refuse_other_kind(out := located(out), "record")
    init_processes()
    say = say if rank() == 0 else lambda line: None
    requested = as_requested(data, teacher, options, reading, seconds)
    embedder = find_embedder(teacher, **(options or {})) if isinstance(teacher, str) else teacher
    if len(splits) > 1:
        require_splits(data, splits[-1])
    data_of = {split: open_as(embedder, data, split, reading, seconds) for split in splits}
    for line in [counts(data_of), *data_notes(data_of)]:
        say(line)
    plans, records = {}, {}
    with contextlib.ExitStack() as locks:
        for split, examples in data_of.items():
            named = requested and {**requested, "split": split}
            job = embedder_job(
                embedder, examples, frames=frames, dtype=stored, batch=batch, requested=named
            )
            locks.enter_context(folder_lock(out / split, beside=True))
            settle(out / split)
            if repair:
                refuse_others(out / split, overwrite=overwrite, repair=True)
                records[split] = repair_record(out / split, job, say=say)
                continue
            plans[split] = plan = plan_recording(out / split, job, overwrite=overwrite)
            count = f"all {len(examples):,} examples have a row already"
            say(f"{split}: {estimate(plan) if plan.computed else count}")
        began = time.monotonic()
        records |= {
            split: carry_out(plan, progress=RowProgress(say)) for split, plan in plans.items()
        }
    say(f"recorded in {duration(time.monotonic() - began)}: {out}")
    return records


def record_examples(
    embedder: Embedder,
    examples: Examples,
    out: Path | Url | str,
    *,
    frames: bool = False,
    dtype: str = "float16",
    batch: int = 64,
    overwrite: bool = False,
    extend: bool = False,
    **options: Any,
) -> Record:
    """Write a teacher's vector of every example of one split; the arguments are those of `record`.

    Audio has been opened at the teacher's rate. With `extend` a record that is there gets the rows
    of the examples that it has not. The options are those of `mentee.records.writer.carry_out`.

    Raises:
        DataError: examples of another kind or rate, something is there already, or a number is
            not finite or too large for `dtype`.
        RunError: the disk is full, or writing is not allowed.
        MenteeError: the teacher has no frames, or does not return what it promised.

    Memory: O(b t d + d²).
    """
    job = embedder_job(embedder, examples, frames=frames, dtype=as_dtype(dtype), batch=batch)
    return write_record(located(out), job, overwrite=overwrite, extend=extend, **options)


def embedder_job(
    embedder: Embedder,
    examples: Examples,
    *,
    frames: bool,
    dtype: Dtype,
    batch: int,
    requested: Mapping[str, Any] | None = None,
) -> RecordingJob:
    """What is recorded of an embedder: one column, of the clean examples.

    `requested` says how the teacher and the data were named, so that the record can be verified.

    Raises:
        DataError: examples of another kind or rate.
        MenteeError: the teacher has no frames.
    """
    refuse_other_data(embedder, examples)
    shape: tuple[int, ...] = (embedder.width,)
    if frames:  # as many as the first example has: all are of one length
        shape = embed(embedder, examples, np.zeros(1, np.int64), frames=True).shape[1:]

    def compute(
        some: Examples, rows: npt.NDArray[np.int64], view: int, columns: Sequence[Column]
    ) -> npt.NDArray[np.float32]:
        vectors = embed(embedder, some, rows, frames=frames)
        if vectors.shape[1:] != shape:
            raise DataError(
                f"the vectors of {some.ids[rows[0]]!r} have shape {list(vectors.shape[1:])}, those "
                f"before {list(shape)}; frames need examples of one length, or pool over the "
                "example"
            )
        return vectors.reshape(len(rows), -1)

    layer = "frames" if frames else "embedding"
    teacher = {
        "name": embedder.name,
        "fingerprint": embedder.fingerprint(),
        "contract": dict(embedder.contract),
    }
    return RecordingJob(
        examples=examples,
        read=compute,
        columns=(Column(layer=layer, reduction="", shape=shape, layer_shape=shape),),
        teacher=teacher | ({"requested": dict(requested)} if requested else {}),
        dtype=dtype,
        batch=batch,
    )


def embed(
    embedder: Embedder, examples: Examples, rows: npt.NDArray[np.int64], *, frames: bool = False
) -> npt.NDArray[np.float32]:
    """A teacher's vectors of some examples, `[b, d]`, or `[b, t, d]` with frames.

    Raises:
        MenteeError: it returns something of another shape.
    """
    contents = examples.read(rows)
    vectors = embedder.frames(contents) if frames else embedder.pooled(contents)
    expected = f"[{len(rows)}, {'t, ' if frames else ''}{embedder.width}]"
    fits = vectors.ndim == 2 + frames and vectors.shape[0] == len(rows)
    if not fits or vectors.shape[-1] != embedder.width:
        raise MenteeError(f"{embedder.name} returned {list(vectors.shape)}, expected {expected}")
    array: npt.NDArray[np.float32] = vectors.detach().cpu().float().numpy()
    return array


def refuse_other_data(embedder: Embedder, examples: Examples) -> None:
    """Make sure that a teacher can read these examples."""
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


def import_vectors(
    vectors: str | Path,
    data: Any,
    out: str | Path | Url,
    *,
    split: str = "train",
    name: str | None = None,
    reading: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print_line,
    **options: Any,
) -> Record:
    """Make a record of vectors that somebody has already, put in the order of the examples.

    Args:
        vectors: `.npy`, `.npz`, `.safetensors`, parquet or CSV, with ids.
        data: as for `record`.
        out: the folder; the split gets a subfolder of its name.
        split: which split they are of.
        name: of the teacher; None: the file's name.
        reading: as for `record`.
        say: what to do with a line of text.
        options: further arguments of `mentee.records.import_record`.

    Returns:
        The record.

    Raises:
        MenteeError: the vectors do not fit the examples; the text tells what differs.
    """
    refuse_other_kind(out := located(out), "record")
    source, columns = source_of(data, reading or {})
    try:  # no label is needed; where there are some, no entry may be one
        examples = open_examples(source, split=split, **columns)
    except DataError:
        examples = open_examples(source, split=split, **{**columns, "label": False})
    name = name or usable(vectors).stem
    made = import_record(usable(vectors), examples, out / split, name=name, **options)
    for line in data_notes({split: examples}):
        say(line)
    say(f"{split}: {len(made):,} vectors of {made.vector.shape[-1]} entries: {made.folder}")
    say(f"read {made.manifest.teacher['read']}")
    return made
