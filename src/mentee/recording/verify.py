"""Whether a record still is what its teacher says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.data import Examples
from mentee.distillation.terms import Builder
from mentee.errors import DataError
from mentee.losses import LossSpec
from mentee.methods import Method
from mentee.recipe import Recipe, RecordedRecipe, online_recipe, read
from mentee.recording.embeddings import open_as
from mentee.recording.network import prepare, with_its_input
from mentee.records.embedding_recording import embed
from mentee.records.integrity import forget_whole
from mentee.records.manifest import MANIFEST
from mentee.records.network_record import open_network_record
from mentee.teachers import Record
from mentee.teachers.pretrained import Embedder, find_embedder
from mentee.types import CLEAN


@dataclass(frozen=True)
class Verified:
    """How a record compares with its teacher, read live on a sample.

    Attributes:
        examples: how many.
        views: which.
        cosine: by column, the worst of any example in any of these views.
    """

    examples: int
    views: tuple[int, ...]
    cosine: dict[str, float]

    def __str__(self) -> str:
        worst = "\n".join(f"{name:<32}{value:.6f}" for name, value in self.cosine.items())
        names = ", ".join("clean" if view == CLEAN else f"view {view}" for view in self.views)
        return f"worst cosine of {self.examples:,} examples ({names})\n{worst}"


def verify(
    path: str | Path,
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    sample: int = 64,
    changes: Sequence[str] = (),
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    methods: Mapping[str, Method] | None = None,
    losses: Mapping[str, LossSpec] | None = None,
    representations: Mapping[str, Builder] | None = None,
) -> Verified:
    """Compare a record of places with its teacher: every file's checksum, and a sample read live.

    Args:
        path: the record.
        recipe: that it was made for; its teacher may be the record itself.
        sample: how many examples, evenly spaced; of each the clean one and the first and last view.
        changes: of the recipe.
        data: as for `train`.
        student: the same.
        teacher: the same.
        methods: the same.
        losses: the same.
        representations: the same.

    Returns:
        The worst cosine by column.

    Raises:
        DataError: a file is damaged, the examples are others, or the teacher has other weights.
    """
    content = read(recipe, changes)
    forget_whole()
    record = open_network_record(path, content.data.train)
    if teacher is None and isinstance(content.teacher, RecordedRecipe):
        network = online_recipe(record.manifest.teacher["network"])
        content = content.model_copy(update={"teacher": network})
    content = with_its_input(content, record.manifest)
    seed = record.manifest.views["view_seed"]
    content = content.model_copy(
        update={"data": content.data.model_copy(update={"view_seed": seed})}
    )
    given = PythonOverrides(data, student, teacher, methods, losses, representations)
    said = record.manifest
    recording, _ = prepare(content, given, said.methods, said.count, said.dtype, 64)
    record.check(recording.examples)
    recording = recording.following(record.folder)
    recording.merged(said)  # refuses other weights and views
    n = len(record)
    rows = np.unique(np.linspace(0, n - 1, min(n, sample)).astype(np.int64))
    views = tuple(dict.fromkeys([CLEAN, *([0, said.count - 1] if said.count else [])]))
    worst = {each.name: 1.0 for each in recording.columns}
    for view in views:
        kept = record.read(rows, view)
        parts = torch.from_numpy(recording.say(rows, view, recording.columns))
        fresh = parts.split([each.size for each in recording.columns], dim=1)  # type: ignore[no-untyped-call]
        for each, live in zip(recording.columns, fresh, strict=True):
            found = worst_cosine(kept[each.name].flatten(1), live)
            worst[each.name] = min(worst[each.name], found)
    return Verified(len(rows), views, worst)


def verify_vectors(
    path: str | Path,
    data: Any = None,
    teacher: str | Embedder | None = None,
    *,
    sample: int = 64,
    options: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Verified:
    """Compare the record of a teacher of another task with it: checksums, and a sample read live.

    Args:
        path: the record, or the folder of several splits.
        data: as for `record`; None: as it was named when it was recorded.
        teacher: the same.
        sample: how many examples of each split, evenly spaced.
        options: as for `record`, where the teacher is named.
        reading: the same, where the data are named.

    Returns:
        The worst cosine by split; of time frames, of any frame.

    Raises:
        DataError: a file is damaged, the examples are others, the teacher has other weights, or it
            is not known.
    """
    folder = Path(path)
    own = (folder / MANIFEST).is_file()
    folders = (
        [folder] if own else [each.parent for each in sorted(folder.glob(f"[!.]*/{MANIFEST}"))]
    )
    if not folders:
        raise DataError(f"{folder} has no record; write one with `mentee record`")
    worst, count = {}, 0
    forget_whole()
    for each in folders:
        record = Record.open(each)
        asked = record.manifest.teacher.get("asked", {})
        if not asked and (data is None or teacher is None):
            raise DataError(
                f"every file of {each} is as it was written, but it does not say which teacher and "
                "data it is of: they were passed from Python, or imported. Name them: "
                "mentee record verify FOLDER DATA --teacher NAME"
            )
        named, given = (
            (asked["teacher"], asked["options"]) if teacher is None else (teacher, options)
        )
        embedder = find_embedder(named, **(given or {})) if isinstance(named, str) else named
        source, how = (asked["data"], asked["reading"]) if data is None else (data, reading)
        split, seconds = asked.get("split", each.name), record.manifest.data.get("seconds")
        examples = open_as(embedder, source, split, how, seconds)
        rows = np.unique(np.linspace(0, len(examples) - 1, sample).astype(np.int64))
        worst[split], count = compared(record, embedder, examples, rows), count + len(rows)
    return Verified(count, (CLEAN,), worst)


def compared(
    record: Record, embedder: Embedder, examples: Examples, rows: npt.NDArray[np.int64]
) -> float:
    """The worst cosine of what is kept of some examples and what their teacher says of them.

    Raises:
        DataError: the examples are others, or the teacher is.
    """
    said = record.manifest
    was, now = said.teacher.get("fingerprint"), embedder.fingerprint()
    if was not in (None, now):
        raise DataError(
            f"{record.folder} is of another teacher: {was} there, {embedder.name} is {now}"
        )
    record.check(examples)
    live = embed(embedder, examples, rows, frames=said.frames is not None)
    return worst_cosine(
        record.tensor(record.positions(examples.keys[rows])), torch.from_numpy(live)
    )


def worst_cosine(kept: Tensor, live: Tensor) -> float:
    """The smallest cosine of two vectors `[..., d]`; of equal ones, zeros too, 1."""
    alike = F.cosine_similarity(kept, live, dim=-1, eps=1e-12)
    return float(alike.where(~(kept == live).all(-1), 1.0).min())
