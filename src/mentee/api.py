"""The composition root: recipe → parts → loop → files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee.build.data_summary import data_notes, data_summary
from mentee.build.datasets import open_single_split
from mentee.build.evaluation_data import open_domains, split_to_score
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.distillation.terms import Builder
from mentee.errors import RunError
from mentee.evaluation.out_of_domain import EvaluationResult, score_domains
from mentee.evaluation.student_reader import finished_recipe, open_student
from mentee.exporting.benchmark import Benchmark, benchmark
from mentee.exporting.exporter import Exported, export
from mentee.exporting.predictor import Predictor, load
from mentee.losses import LossSpec
from mentee.methods import Method
from mentee.parallel import rank
from mentee.recipe import Domain, Recipe, read
from mentee.recording.embedders import import_vectors, record
from mentee.recording.networks import record_network
from mentee.recording.verify import Verified, verify
from mentee.runs.folder import Folder
from mentee.training.options import QUIET, RunOptions
from mentee.training.signals import Interrupted, Paused
from mentee.training.start import next_run_folder, resume_run, train_new
from mentee.types import Step

__all__ = [
    "QUIET",
    "Benchmark",
    "Exported",
    "Interrupted",
    "Paused",
    "Predictor",
    "Run",
    "RunOptions",
    "Verified",
    "benchmark",
    "evaluate",
    "evaluate_domains",
    "export",
    "import_vectors",
    "load",
    "next_run_folder",
    "record",
    "record_network",
    "resume",
    "train",
    "train_or_resume",
    "verify",
]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: its folder.
        summary: the content of its `summary.json`; `summary["test"]["accuracy"]`, for one.
    """

    path: Path
    summary: Mapping[str, Any]

    def __repr__(self) -> str:
        part = "test" if self.summary.get("test") else "validation"
        name, value = next(iter((self.summary.get(part) or {}).items()), ("", None))
        score = "" if value is None else f", {part} {name} {value:.4f}"
        return f"Run({str(self.path)!r}{score})"

    def evaluate(
        self, data: Any = None, split: str | None = None, student: ModelFactory | None = None
    ) -> dict[str, float]:
        """Score its student on other data, or on another split of its own; as `evaluate`."""
        return evaluate(self.path, data=data, split=split, student=student)


def train(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    out: str | Path | None = None,
    changes: Sequence[str] = (),
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    methods: Mapping[str, Method] | None = None,
    losses: Mapping[str, LossSpec] | None = None,
    representations: Mapping[str, Builder] | None = None,
    quiet: bool = False,
    on_step: Callable[[Step], None] | None = None,
    until: int | None = None,
) -> Run:
    """Train a student by a recipe; the run is a folder.

    Args:
        recipe: a YAML file, a shipped recipe's name, or the content as a mapping.
        out: the run's folder; None: `runs/NETWORK-METHOD-N`, the next number that is free.
        changes: `train.epochs=20` and the like, applied last.
        data: instead of the recipe's source: arrays, a `datasets.Dataset`, or a mapping of
            splits to such.
        student: instead of the recipe's: a module, of which a copy is trained, or what makes one
            from `classes`.
        teacher: the same for the teacher; or a list of several, an ensemble.
        methods: methods of your own, by name.
        losses: losses of your own, by name.
        representations: builders of representations of your own, by name.
        quiet: print nothing.
        on_step: called with each `Step`.
        until: pause after so many epochs of all, ready to be resumed; None: go to the end.

    Returns:
        The run, finished.

    Raises:
        MenteeError: the recipe, the data, a network or the folder is not as it should be.
        Interrupted: SIGINT or SIGTERM; everything is saved.
        Paused: it has come as far as `until`.
    """
    overrides = PythonOverrides(data, student, teacher, methods, losses, representations)
    options = RunOptions(quiet, on_step, until)
    return Run(*train_new(read(recipe, changes), out, overrides, options))


def resume(
    path: str | Path,
    *,
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    methods: Mapping[str, Method] | None = None,
    losses: Mapping[str, LossSpec] | None = None,
    representations: Mapping[str, Builder] | None = None,
    quiet: bool = False,
    on_step: Callable[[Step], None] | None = None,
    until: int | None = None,
) -> Run:
    """Resume a run from its newest checkpoint, exactly as if it had never stopped.

    Args:
        path: the run's folder.
        data: as for `train`, where it was passed there; so are the others.
        student: the same.
        teacher: the same.
        methods: the same.
        losses: the same.
        representations: the same.
        quiet: print nothing.
        on_step: called with each `Step`.
        until: pause after so many epochs of all, ready to be resumed; None: go to the end.

    Returns:
        The run, finished; at once if it was finished before.

    Raises:
        RunError: there is no run, it does not fit, its recipe was changed since it began, or
            another process is at work in its folder.
        Paused: it has come as far as `until`.
    """
    overrides = PythonOverrides(data, student, teacher, methods, losses, representations)
    return Run(*resume_run(path, overrides, RunOptions(quiet, on_step, until)))


def train_or_resume(
    recipe: Recipe, path: Path, overrides: PythonOverrides, options: RunOptions = QUIET
) -> Run:
    """Resume the run in a folder, or train it where there is none.

    Raises:
        MenteeError: as `train` and `resume`.
        Paused: it has come as far as `until`.
    """
    if Folder(path).recipe.is_file():
        return Run(*resume_run(path, overrides, options))
    return Run(*train_new(recipe, path, overrides, options))


def evaluate(
    path: str | Path,
    *,
    data: Any = None,
    split: str | None = None,
    student: ModelFactory | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, float]:
    """Score a run's student.

    Args:
        path: the run's folder.
        data: other data, as for `open_examples`; None: the run's own.
        split: which split of it; None: the run's test part.
        student: the module, where it was passed from Python.
        say: called with each line of what is found when all examples are read; None: they are not.

    Returns:
        Its scores.

    Raises:
        RunError: the run has no student yet, or no test part and no split is named.
    """
    recipe = finished_recipe(path)
    part = split or recipe.data.test
    if part is None:
        raise RunError(
            f"{path} has no test part; say which split to score with --split, or give other "
            "data with --data"
        )
    if isinstance(data, str):
        part = split or split_to_score(data, part)
        changed = recipe.data.model_copy(update={"source": data})
        recipe, data = recipe.model_copy(update={"data": changed}), None
    PythonOverrides(data, student).check(recipe.model_copy(update={"teacher": None}))
    splits = open_single_split(recipe, part, data)
    reader = open_student(path, recipe, splits, student)
    if say is not None and rank() == 0:
        for line in data_summary(splits):
            say(line)
    return reader.scores(splits.train)


def evaluate_domains(
    path: str | Path,
    domains: Mapping[str, Domain],
    *,
    student: ModelFactory | None = None,
    say: Callable[[str], None] | None = None,
) -> EvaluationResult:
    """Score a run's student on its test part and on other domains, and compare its scores there.

    Args:
        path: the run's folder.
        domains: test sets by name.
        student: the module, where it was passed from Python.
        say: as for `evaluate`.

    Returns:
        Scores, drop of the main score, and similarity to the recorded teacher, by domain.

    Raises:
        RunError: the run has no student yet, or no test part.
        DataError: a domain cannot be read.
    """
    recipe = finished_recipe(path)
    if recipe.data.test is None:
        raise RunError(f"{path} has no test part, so there is nothing to compare domains with")
    PythonOverrides(None, student).check(recipe.model_copy(update={"teacher": None}))
    splits = open_single_split(recipe, recipe.data.test)
    other_domains = open_domains(domains, recipe.data, splits.train)
    if say is not None and rank() == 0:
        opened = other_domains.items()
        others = {name: e.examples for name, e in opened if e.domain.corruption is None}
        for line in [*data_summary(splits), *data_notes(others)]:
            say(line)
    return score_domains(open_student(path, recipe, splits, student), splits.train, other_domains)
