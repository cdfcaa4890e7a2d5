"""Run a teacher of another task over a data set, or take vectors that somebody has already."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mentee.data import MODALITIES, Examples, open_examples
from mentee.data.examples import with_seconds
from mentee.errors import DataError, MenteeError, RecipeError
from mentee.parallel import init_processes, rank, world
from mentee.recipe import read
from mentee.records import estimate, import_record
from mentee.records import record as write
from mentee.records.embedding_recording import outstanding
from mentee.records.numeric import as_dtype
from mentee.report import duration
from mentee.teachers import Record
from mentee.teachers.pretrained import Embedder, find_embedder
from mentee.teachers.pretrained.options import checked_options


def record(
    data: Any,
    teacher: str | Embedder,
    out: str | Path,
    *,
    splits: Sequence[str] = ("train",),
    frames: bool = False,
    seconds: float | None = None,
    dtype: str = "float16",
    batch: int = 64,
    overwrite: bool = False,
    options: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Record]:
    """Record what a teacher says of each example of some splits; one folder a split.

    Says beforehand how many megabytes and minutes it will take. Several processes share the work.
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
        overwrite: put them in the place of records that are there.
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
    init_processes()
    say = say if rank() == 0 else lambda line: None
    asked = as_asked(data, teacher, options, reading, seconds)
    embedder = find_embedder(teacher, **(options or {})) if isinstance(teacher, str) else teacher
    opened = {split: open_as(embedder, data, split, reading, seconds) for split in splits}
    for split, examples in opened.items():
        rows = outstanding(
            embedder,
            examples,
            Path(out) / split,
            frames=frames,
            dtype=stored,
            overwrite=overwrite,
            extend=True,
        )
        if rows.new:
            new = rows.examples.take(range(rows.held, len(rows.examples)))
            expected = estimate(embedder, new, frames=frames, dtype=stored, batch=batch)
            say(f"{split}: {replace(expected, minutes=expected.minutes / world())}")
        else:
            say(f"{split}: all {len(examples):,} examples have a row already")
    found, began = {}, time.monotonic()
    for split, examples in opened.items():
        found[split] = write(
            embedder,
            examples,
            Path(out) / split,
            frames=frames,
            dtype=stored,
            batch=batch,
            overwrite=overwrite,
            extend=True,
            asked=asked and {**asked, "split": split},
        )
    say(f"recorded in {duration(time.monotonic() - began)}: {out}")
    return found


def as_asked(
    data: Any,
    teacher: Any,
    options: Mapping[str, Any] | None,
    reading: Mapping[str, Any] | None,
    seconds: float | None,
) -> dict[str, Any] | None:
    """How the teacher and the data were named; None where they were not, but passed."""
    if not isinstance(teacher, str) or not isinstance(data, (str, Path)):
        return None
    said: dict[str, Any] = {"teacher": teacher, "options": dict(options or {})}
    said |= {"data": str(data), "reading": dict(reading or {}), "seconds": seconds}
    try:
        return dict(json.loads(json.dumps(said)))
    except TypeError:
        return None


def open_as(
    embedder: Embedder,
    data: Any,
    split: str,
    reading: Mapping[str, Any] | None,
    seconds: float | None,
) -> Examples:
    """A split as a teacher reads it; the arguments are those of `record`."""
    source, given = source_of(data, reading or {}, own=("kind",))
    rate = {} if embedder.sample_rate is None else {"sample_rate": embedder.sample_rate}
    examples = open_for(embedder, source, split, given | rate)
    return examples if seconds is None else with_seconds(examples, seconds)


def open_for(embedder: Embedder, source: Any, split: str, given: Mapping[str, Any]) -> Examples:
    """A split that a teacher can read.

    Raises:
        DataError: it holds another kind of examples, or cannot be read.
    """
    try:
        return open_examples(source, split=split, kind=embedder.kind, **given)
    except DataError as error:
        try:
            found = open_examples(source, split=split, **given)
        except DataError:
            raise error from None
        if found.kind == embedder.kind:
            raise
        raise DataError(
            f"{embedder.name} reads {embedder.kind}, {found.name} holds {found.kind}; choose a "
            f"teacher of {found.kind}"
        ) from error


def source_of(
    data: Any, reading: Mapping[str, Any], own: Sequence[str] = ()
) -> tuple[Any, dict[str, Any]]:
    """Where the examples are, and how they are read: of a recipe, or as given.

    Args:
        data: a recipe's file name ending in `.yaml`, or anything that `open_examples` takes.
        reading: further arguments of that.
        own: those that are not for the user.

    Raises:
        MenteeError: `open_examples` has no such argument, or it is of another type.
    """
    taken = ("split", *own)
    reading = checked_options("--column", open_examples, reading, internal=taken, what="key")
    if not isinstance(data, (str, Path)) or Path(data).suffix not in (".yaml", ".yml"):
        return data, reading
    said = read(data).data
    named = (*MODALITIES, "label", "id", "classes", "channels")
    return said.source, {k: getattr(said, k) for k in named} | reading


def import_vectors(
    vectors: str | Path,
    data: Any,
    out: str | Path,
    *,
    split: str = "train",
    name: str | None = None,
    reading: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
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
        MenteeError: the vectors do not fit the examples; the text says what differs.
    """
    source, given = source_of(data, reading or {})
    examples = open_examples(source, split=split, **given)
    name = name or Path(vectors).stem
    found = import_record(Path(vectors), examples, Path(out) / split, name=name, **options)
    say(f"{split}: {len(found):,} vectors of {found.width} entries: {found.folder}")
    say(f"read {found.manifest.teacher['read']}")
    return found


def parsed(pairs: Sequence[str], what: str) -> dict[str, Any]:
    """`["size=128", "weights=a.safetensors"]` to a mapping; numbers and true/false are read.

    Raises:
        RecipeError: a pair has no `=`.
    """
    import yaml

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise RecipeError(f"{what} {pair}: expected key=value")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise MenteeError(f"{what} {pair}: {value!r} is not a value ({error})") from error
    return found
