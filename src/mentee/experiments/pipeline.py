"""The whole way by one call: record the teacher, train the student, probe it, report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mentee import files
from mentee.api import RunOptions, next_run_folder, record_network, train_or_resume
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.distillation.terms import Builder
from mentee.errors import RunError
from mentee.experiments.probe import ProbeResult, probe
from mentee.losses import LossSpec
from mentee.methods import Method
from mentee.parallel import gather_objects, init_processes, rank
from mentee.recipe import Network, Recipe, RecordedRecipe, dump, read

ASKED = "pipeline.json"
"""In the pipeline's folder: what was asked for, so that nothing else is gone on with."""


def pipeline(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    out: str | Path | None = None,
    views: int | None = None,
    live: bool = False,
    changes: Sequence[str] = (),
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    methods: Mapping[str, Method] | None = None,
    losses: Mapping[str, LossSpec] | None = None,
    representations: Mapping[str, Builder] | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> ProbeResult:
    """Record a recipe's teacher, train its student, probe that, and write the report.

    `OUT/record` and `OUT/run` are an ordinary record and an ordinary run. What is done is not done
    again, and what was interrupted is gone on with: after any stop the same call with the same
    folder goes on.

    Args:
        recipe: as for `train`; `probe` says what is asked in the end.
        out: the folder; None: `runs/pipeline-N`, the next number that is free.
        views: how many to record, as for `record_network`.
        live: record nothing: a network is read in every step.
        changes: of the recipe, as for `train`.
        data: as for `train`.
        student: the same.
        teacher: the same.
        methods: rows of your own.
        losses: losses of your own, by name.
        representations: builders of representations of your own, by name.
        quiet: print nothing while the student trains.
        say: what to do with a line of text.

    Returns:
        What the probes found; `report.md` in the run's folder says all of it.

    Raises:
        MenteeError: the recipe does not fit, or the folder was begun with another one.
        Interrupted: SIGINT or SIGTERM; everything is saved.
    """
    init_processes()
    content, given = (
        read(recipe, changes),
        PythonOverrides(data, student, teacher, methods, losses, representations),
    )
    path = gather_objects(Path(out) if out else next_run_folder("pipeline"))[0]
    if rank() == 0:
        keep(path, content, {"views": views, "live": live})
    taught = content
    if isinstance(content.teacher, Network) and not live:
        record_network(
            content,
            path / "record",
            views=views,
            data=data,
            student=student,
            teacher=teacher,
            methods=methods,
            losses=losses,
            representations=representations,
            say=say,
        )
        record = RecordedRecipe(record=str((path / "record").resolve()))
        taught = content.model_copy(update={"teacher": record})
    run = train_or_resume(taught, path / "run", given, RunOptions(quiet))
    return probe(run.path, data=data, student=student, teacher=teacher, say=say)


def keep(path: Path, recipe: Recipe, settings: Mapping[str, Any]) -> None:
    """Write down what was asked for, and refuse to go on with something else.

    Raises:
        RunError: the folder was begun otherwise.
    """
    asked, file = {"recipe": dump(recipe), **settings}, path / ASKED
    if file.is_file():
        was = json.loads(file.read_text(encoding="utf-8"))
        other = [key for key in asked if was.get(key) != asked[key]]
        if other:
            raise RunError(
                f"{path} was begun with another {' and '.join(other)}; give the same command to "
                "go on, or another --out"
            )
    files.write_json(file, asked)
