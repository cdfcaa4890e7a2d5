"""One call for a whole experiment: record the teacher, train the student, probe it, report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mentee import files
from mentee.api import RunOptions, next_run_folder, record_network, train_or_resume
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.console import print_line
from mentee.distillation.terms import Builder
from mentee.errors import MenteeError, RunError
from mentee.experiments.probe import ProbeResult, probe
from mentee.files import withdrawn_where_refused
from mentee.locks import folder_lock
from mentee.losses import LossSpec
from mentee.methods import Method
from mentee.parallel import gather_objects, init_processes, rank
from mentee.recipe import Network, Recipe, RecordedRecipe, dump, read
from mentee.runs.changes import (
    PIPELINE_PLAN,
    differences,
    listing,
    refuse_other_kind,
    with_defaults,
)


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
    say: Callable[[str], None] = print_line,
) -> ProbeResult:
    """Record a recipe's teacher, train its student, probe that, and write the report.

    `OUT/record` and `OUT/run` are an ordinary record and an ordinary run. Finished parts are not
    repeated and interrupted ones are resumed: after any stop the same call with the same folder
    continues.

    Args:
        recipe: as for `train`; with the settings of the probe under `probe`.
        out: the folder; None: `runs/pipeline-N`, the next number that is free.
        views: how many to record, as for `record_network`.
        live: record nothing: a network is read in every step.
        changes: of the recipe, as for `train`.
        data: as for `train`.
        student: the same.
        teacher: the same.
        methods: methods of your own.
        losses: losses of your own, by name.
        representations: builders of representations of your own, by name.
        quiet: print nothing while the student trains.
        say: called with each line of text.

    Returns:
        The results of the probe; `report.md` in the run's folder has all results.

    Raises:
        MenteeError: the recipe cannot be trained, or the folder was started with another one.
        Interrupted: SIGINT or SIGTERM; everything is saved.
    """
    init_processes()
    content = read(recipe, changes)
    overrides = PythonOverrides(data, student, teacher, methods, losses, representations)
    path = gather_objects(files.usable(out) if out else next_run_folder("pipeline"))[0]
    with withdrawn_where_refused(path / PIPELINE_PLAN), folder_lock(path):
        if rank() == 0:
            save_plan(path, content, {"views": views, "live": live})
        training = content
        if isinstance(content.teacher, Network) and not live:
            record_network(content, path / "record", views=views, say=say, **vars(overrides))
            record = RecordedRecipe(record=str((path / "record").resolve()))
            training = content.model_copy(update={"teacher": record})
        run = train_or_resume(training, path / "run", overrides, RunOptions(quiet))
        return probe(run.path, data=data, student=student, teacher=teacher, say=say)


def save_plan(path: Path, recipe: Recipe, settings: Mapping[str, Any]) -> None:
    """Write `pipeline.json`, and refuse to resume one of another recipe or other settings."""
    refuse_other_kind(path, "pipeline")
    plan, file = {"recipe": dump(recipe), **settings}, path / PIPELINE_PLAN
    if file.is_file():
        saved = files.read_json(
            file, "it names what the pipeline was started with; restore it, or give another --out"
        )
        changed = [key for key in plan if saved.get(key) != plan[key]]
        if changed:
            raise RunError(
                f"{path} was started with another {' and '.join(changed)}{_changes(saved, recipe)}"
                "; give the same command to resume, or another --out"
            )
    files.write_json(file, plan)


def _changes(saved: Mapping[str, Any], recipe: Recipe) -> str:
    """How the recipe differs from the saved one, in brackets."""
    with contextlib.suppress(yaml.YAMLError, MenteeError, TypeError, AttributeError):
        was = with_defaults(dict(yaml.safe_load(saved.get("recipe") or "{}")))
        if other := differences(was, recipe.model_dump(mode="json")):
            return f" ({listing(other)})"
    return ""
