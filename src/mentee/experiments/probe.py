"""Probes of a trained student: the quality of its embedding with few labels and with many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mentee.build.optimizer import resolve_optimizer
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.console import print_line
from mentee.errors import RecipeError
from mentee.evaluation.evaluator import write_report
from mentee.evaluation.student_reader import finished_recipe
from mentee.experiments.embedding_sources import EmbeddingSources
from mentee.experiments.probe_data import describe, open_probe_data, subsets
from mentee.experiments.probe_results import ProbeResult, ProbeResults
from mentee.experiments.probe_runner import ProbeRunner
from mentee.experiments.record_probe import is_record, probe_records
from mentee.locks import folder_lock
from mentee.parallel import init_processes, rank
from mentee.recipe import Probe, Recipe, read
from mentee.runs.folder import Folder

__all__ = ["ProbeResult", "probe"]

TUNE_LR = 0.01
"""The default learning rate of fine-tuning, but for texts by AdamW."""


def probe(
    path: str | Path | Sequence[str | Path],
    *,
    changes: Sequence[str] = (),
    data: Any = None,
    out: str | Path | None = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    say: Callable[[str], None] = print_line,
) -> ProbeResult:
    """Probe a run's student, or records: how good an embedding is with few labels and with many.

    The ways are `linear` (logistic regression by scikit-learn), `knn` (nearest neighbors),
    `layer` (a layer trained by gradient descent), `finetune` (the whole network with a new
    classifier) and `probe-finetune` (the same, with the regression as its first classifier). Each
    result is written into the run's folder at once: after a stop, or with more ways, shares or
    seeds, the same call continues.

    The vectors of records are probed before anything is trained, all on the same examples; the
    best record comes first.

    Args:
        path: the run's folder; or a record's, or a list of these.
        changes: of its recipe's `probe`: `probe.shares=[0.01, 1.0]` and the like; with records of
            the `data` too.
        data: as for `train`, where it was passed there; with records what they were recorded of.
        out: with records, the folder to write `probe.json` to; None: nothing is written.
        student: the same.
        teacher: the same.
        say: called with each line of text.

    Returns:
        All results so far.

    Raises:
        MenteeError: the run is not finished, the labeled examples cannot be used, or a record is
            not of them.
        Interrupted: SIGINT or SIGTERM while a network is fine-tuned; everything is saved.

    Source: arXiv:2303.07599 (a trained layer), arXiv:2202.10054 (probe, then fine-tune).
    """
    init_processes()
    say = say if rank() == 0 else lambda line: None
    if not isinstance(path, (str, Path)) or is_record(path):
        paths = [path] if isinstance(path, (str, Path)) else path
        return probe_records(paths, data, changes=changes, out=out, say=say)
    if out is not None:
        raise RecipeError("the probes of a run are written into its folder; leave out --out")
    folder = Folder(Path(path))
    recipe, config = read_probe_config(folder.path, changes)
    overrides = PythonOverrides(data, student, teacher)
    overrides.check(recipe.model_copy(update={"teacher": None}))
    probe_data = open_probe_data(recipe, config, data)
    sources = EmbeddingSources(folder.path, recipe, overrides, probe_data)
    describe(probe_data, say)
    with folder_lock(folder.path):
        results = ProbeResults.open(folder.path, probe_data, config)
        runner = ProbeRunner(config, probe_data, subsets(probe_data.train, config), results, say)
        for network in config.who:
            runner.run(network, sources)
        results.notes = list(dict.fromkeys(sources.notes))
        results.write()
        if rank() == 0:
            write_report(folder.path)
    return ProbeResult(folder.path, results.content)


def read_probe_config(path: Path, changes: Sequence[str]) -> tuple[Recipe, Probe]:
    """A finished run's recipe, and its `probe` with changes.

    Raises:
        RunError: there is no such run.
        RecipeError: something else than `probe` is to be changed.
    """
    recipe = finished_recipe(path)
    wrong = [change for change in changes if not change.startswith("probe.")]
    if wrong:
        raise RecipeError(
            f"--set {wrong[0]}: the run is finished; only its probe can be changed, probe.KEY=VALUE"
        )
    config = read(recipe, changes).probe or Probe()
    tune = resolve_optimizer(config.finetune, recipe.data.kind or "image", TUNE_LR)
    return recipe, config.model_copy(update={"finetune": tune})
