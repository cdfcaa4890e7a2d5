"""Run a teacher once over examples and their views, and write what methods read of it."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee import files
from mentee.files import plain_write_errors, remove_folder
from mentee.locks import folder_lock
from mentee.parallel import gather_objects, max_over_processes, rank, world
from mentee.records import statistics
from mentee.records.codecs import Floats, pack, scales_of
from mentee.records.columns import Column
from mentee.records.folders import PLAN, put_in_place, settle
from mentee.records.manifest import (
    IDS,
    MANIFEST,
    STATISTICS,
    Group,
    Manifest,
    Part,
    basis_file,
    checksum,
    ids_text,
    write_manifest,
)
from mentee.records.plan import (
    RecordingJob,
    RecordingPlan,
    interrupted,
    plan_recording,
    rounds,
)
from mentee.records.reader import Record
from mentee.records.shards import ShardWriter, link, rows_in, shards_in
from mentee.records.statistics import Bases, Basis, fit_basis, load_bases, save_bases
from mentee.types import CLEAN
from mentee.urls import Url

SCALED = 512  # examples that the scales of int8 are measured on
PROJECTED = 4096  # examples that principal directions are fitted on


def write_record(
    out: Path | Url,
    job: RecordingJob,
    *,
    overwrite: bool = False,
    extend: bool = True,
    **options: Any,
) -> Record:
    """Write what is missing of a record; what is there already is not computed again.

    The arguments are those of `plan_recording`, and the options those of `carry_out`.

    Raises:
        DataError: something else is there, or a number is not finite or too large for `dtype`.
        RunError: the disk is too small, or writing is not allowed.
    """
    with folder_lock(out, beside=True):
        settle(out)
        return carry_out(plan_recording(out, job, overwrite=overwrite, extend=extend), **options)


def carry_out(
    plan: RecordingPlan,
    *,
    shard_rows: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Record:
    """Write what is missing of a record, in a hidden folder that takes its place when it is whole.

    Several processes share the parts, or the batches of the only one. A process that was killed or
    interrupted is resumed after its last whole shard, to the same bytes.

    Args:
        plan: what is to be written; the record has been locked since before it was made.
        shard_rows: as for `ShardWriter`.
        progress: called after each batch with the rows done by this process and those it does.
        say: what to do with a line of text.

    Raises:
        DataError: a number is not finite or too large for `dtype`.
        RunError: writing is not allowed.

    Memory: O(b d) for batches of b, and O(d²) of an embedder's d-wide vectors.
    """
    max_over_processes(0)  # all have seen the same folder
    if rank() == 0 and not plan.idle:
        _begin(plan)
    max_over_processes(0)
    if not plan.idle:
        _, groups = interrupted(plan.folder)
        for name, share in (pair for group in groups for pair in group.explained.items()):
            count = next(each.count for each in plan.manifest.columns if each.name == name)
            say(f"{name}: {count} principal components have {share:.1%} of the variance")
        _Computation(plan, groups, shard_rows, progress).run()
    max_over_processes(0)
    if rank() == 0:
        _finish(plan)
    max_over_processes(0)
    return Record.open(plan.out, verify=False)


@dataclass
class _Computation:
    """The rows that a plan still lacks, computed and written by all processes."""

    plan: RecordingPlan
    groups: Sequence[Group]
    shard_rows: int | None
    progress: Callable[[int, int], None] | None
    done: int = 0

    def run(self) -> None:
        plan = self.plan
        if rank() == 0:
            for part in plan.parts:
                if not plan.rows(part):
                    self.writer(part)  # all its rows are those of the record that is extended
        if world() > 1 and len(plan.computed) == 1:
            self.share_batches(*plan.computed)
            return
        own = plan.computed[rank() :: world()]
        for part in own:
            self.write(part, self.writer(part), sum(map(plan.rows, own)), processes=1)

    def share_batches(self, part: Part) -> None:
        """Compute a part in all processes; the first one writes."""
        every = self.plan.rows(part)
        if rank() == 0:
            self.write(part, self.writer(part), every, processes=world())
            return
        for _ in self.rows(part, max_over_processes(0), every, world()):
            pass

    def write(self, part: Part, writer: ShardWriter, every: int, processes: int) -> None:
        first = max_over_processes(writer.written) if processes > 1 else writer.written
        try:
            for numbers, rows in self.rows(part, first, every, processes):
                writer.add(rows[numbers >= first])
        except Exception:  # an interruption is none: what is written by then is resumed
            writer.close()
            self.clean_up(part)
            raise
        finally:
            writer.close()

    def rows(
        self, part: Part, first: int, every: int, processes: int
    ) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
        """From a row on, batch by batch, the numbers of the rows and what is stored of them."""
        plan, group = self.plan, self.groups[part.group]
        file, bases = plan.folder / basis_file(part.group), dict[str, Basis]()
        if group.basis is not None:
            bases = load_bases(file, group.columns)
        own, total = rank() if processes > 1 else 0, plan.manifest.rows
        held = total - plan.rows(part)
        for some in rounds(first, total, plan.job.batch, held, processes):
            packed = None
            if own < len(some):
                packed = packed_numbers(plan.job, group.columns, bases, some[own], part.view)
            every_packed = gather_objects(packed) if processes > 1 else [packed]
            yield from zip(some, every_packed, strict=True)
            if self.progress is not None:
                self.progress(self.done + int(some[-1][-1]) + 1 - held, every)
        self.done += plan.rows(part)

    def writer(self, part: Part) -> ShardWriter:
        """What writes a part, with the rows that the record that is extended has of it."""
        plan = self.plan
        writer = ShardWriter(
            plan.folder / part.folder,
            plan.job.examples.ids,
            plan.manifest.numbers(part.group),
            plan.manifest.dtype,
            self.groups[part.group].scales,
            self.shard_rows,
        )
        there = plan.part_there(part)
        if there is not None and writer.written < there.rows:
            writer.take_over(plan.out, there)
        return writer

    def clean_up(self, part: Part) -> None:
        """After an error: remove the part, and all where no part was computed to its end.

        What is in object storage stays: the network may have been the error.
        """
        plan, total = self.plan, self.plan.manifest.rows
        if isinstance(plan.folder, Url):
            return
        shutil.rmtree(plan.folder / part.folder, ignore_errors=True)
        computed = [each for each in plan.manifest.all_parts() if plan.rows(each)]
        whole = any(rows_in(plan.folder / each.folder) == total for each in computed)
        if rank() == 0 and not whole:
            shutil.rmtree(plan.folder, ignore_errors=True)


def packed_numbers(
    job: RecordingJob,
    columns: Sequence[Column],
    bases: Bases,
    rows: npt.NDArray[np.int64],
    view: int,
) -> Floats:
    """What is stored of some rows in a view, before it is rounded."""
    return pack(columns, job.numbers(rows, view, columns), bases)


def _begin(plan: RecordingPlan) -> None:
    """Make the folder that is written to, and fit the bases and scales of its groups."""
    if isinstance(plan.folder, Path):
        with plain_write_errors(plan.out):
            plan.folder.mkdir(parents=True, exist_ok=True)
    if not plan.stale:
        return
    (plan.folder / MANIFEST).unlink(missing_ok=True)  # first: a record that lacks files is none
    for each in plan.folder.iterdir():  # left by an interrupted process, of something else
        remove_folder(each) if each.is_dir() else each.unlink()
    try:
        groups = [_fitted(plan, number) for number in range(len(plan.manifest.groups))]
    except Exception:
        remove_folder(plan.folder)
        raise
    content = [each.model_dump(mode="json") for each in groups]
    files.write_json(plan.folder / PLAN, {"identity": plan.identity, "groups": content})


def _fitted(plan: RecordingPlan, number: int) -> Group:
    """A group with its principal directions and scales: those there are, or fitted on a sample.

    Memory: O(sample · d).
    """
    group, job, file = plan.manifest.groups[number], plan.job, plan.folder / basis_file(number)
    if plan.base is not None and number < len(plan.base.groups):
        if group.basis is not None and isinstance(plan.out, Path):
            link(plan.out / basis_file(number), file)
        return group
    bases: dict[str, Basis] = {}
    if columns := [each for each in group.columns if each.form == "pca"]:
        vectors = np.concatenate([job.numbers(x, CLEAN, columns) for x in _sample(job, PROJECTED)])
        parts = np.split(vectors, np.cumsum([each.size for each in columns])[:-1], axis=1)
        bases = {c.name: fit_basis(x, c.count, c.name) for c, x in zip(columns, parts, strict=True)}
        save_bases(file, bases)
        explained = {name: round(each.explained, 6) for name, each in bases.items()}
        group = group.model_copy(update={"basis": checksum(file), "explained": explained})
    if job.dtype == "int8":  # the same in every view
        largest = [
            np.abs(packed_numbers(job, group.columns, bases, rows, view)).max(0)
            for view in range(CLEAN, min(job.count, 2))
            for rows in _sample(job, SCALED)
        ]
        update = {"scales": scales_of(group.columns, np.max(largest, axis=0))}
        group = group.model_copy(update=update)
    return group


def _sample(job: RecordingJob, count: int) -> Iterable[npt.NDArray[np.int64]]:
    """Batches of at most so many rows, evenly spaced."""
    n = len(job.examples)
    rows = np.unique(np.linspace(0, n - 1, min(n, count)).astype(np.int64))
    return np.array_split(rows, -(-len(rows) // job.batch))


def _finish(plan: RecordingPlan) -> None:
    """Write the manifest, and let the record take its place."""
    if plan.idle:
        if plan.base is not None and plan.base.methods != plan.manifest.methods:
            update = {"methods": plan.manifest.methods}
            write_manifest(plan.out, plan.base.model_copy(update=update))
        return
    folder, ids = plan.folder, plan.job.examples.ids
    files.write_text(folder / IDS, ids_text(ids))
    parts = [
        each.model_copy(update={"shards": shards_in(folder / each.folder)})
        for each in plan.manifest.all_parts()
    ]
    names = {each.folder for each in parts}
    for path in folder.iterdir():
        if path.is_dir() and path.name not in names:  # views that another process was to write
            remove_folder(path)
    _, groups = interrupted(folder)
    manifest = plan.manifest.model_copy(update={"parts": tuple(parts), "groups": groups})
    if manifest.network is None and plan.job.statistics:
        manifest = manifest.model_copy(
            update={"statistics": _fit_statistics(folder, manifest, ids)}
        )
    write_manifest(folder, manifest)
    put_in_place(plan.out)


def _fit_statistics(folder: Path | Url, manifest: Manifest, ids: tuple[str, ...]) -> dict[str, Any]:
    """Write the statistics of an embedder's vectors, and what the manifest has of them."""
    record = Record(folder, manifest, ids, [{}])
    moments = record.moments(range(len(record)), record.vector)
    fitted = moments.statistics()
    constant = int((fitted.std <= 1e-7 * fitted.mean.abs()).sum())  # but for rounding
    if constant and len(ids) > 1:
        warnings.warn(
            f"{constant:,} of the {len(fitted.mean):,} entries of {manifest.name!r} are the same "
            f"for all {len(ids):,} examples of {manifest.data['name']}, and tell nothing of them",
            stacklevel=2,
        )
    files.write(folder / STATISTICS, lambda path: statistics.save(fitted, path))
    return moments.scalars() | {"checksum": checksum(folder / STATISTICS)}
