"""Scores of a run's networks, and the files at its end: student, summary and report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from mentee import files
from mentee.build.datasets import DatasetSplits
from mentee.build.setup import TrainingSetup
from mentee.data import Examples
from mentee.errors import RunError
from mentee.evaluation.details import class_notes, score_outputs
from mentee.evaluation.diagnostics import diagnostics
from mentee.evaluation.monitor import MonitorResult, monitor_scores
from mentee.evaluation.out_of_domain import score_domains
from mentee.evaluation.predictions import predict, predictions_of
from mentee.evaluation.student_reader import StudentReader
from mentee.evaluation.teacher_similarity import teacher_similarities
from mentee.models import Contract, count_parameters
from mentee.parallel import broadcast_buffers, rank
from mentee.recipe import Recipe, dump
from mentee.report import RunFiles, html, page, run_page
from mentee.runs.changes import SWEEP_PLAN
from mentee.runs.folder import Folder
from mentee.runs.metrics import read_lines
from mentee.runs.state import RunState
from mentee.types import Step


def score(
    parts: TrainingSetup,
    examples: Examples,
    network: nn.Module | None = None,
    contract: Contract | None = None,
) -> dict[str, float]:
    """The scores of a network (None: the student) on some examples, not augmented."""
    network = parts.student if network is None else network
    broadcast_buffers(network)
    logits = predict(
        network,
        contract or parts.module.contract,
        parts.splits.clean(examples, parts.recipe.train.num_workers),
        parts.accelerator.device,
    )
    return score_outputs(logits, examples, parts.recipe.select)


def monitor_student(parts: TrainingSetup) -> MonitorResult | None:
    """The student's scores on the examples of `monitor`; None where there are none."""
    config, examples = parts.recipe.monitor, parts.monitor_examples
    if config is None or examples is None:
        return None
    contract, device = parts.module.contract, parts.accelerator.device
    reader = StudentReader(parts.student, contract, parts.splits, parts.recipe, device)
    return monitor_scores(reader, config, examples)


def labeled(splits: DatasetSplits) -> dict[str, int]:
    """How many of the training examples have labels, where not all do."""
    known = splits.train.labeled
    return {} if known is None else {"labeled": int(known.sum())}


def score_chosen_by(recipe: Recipe, splits: DatasetSplits) -> dict[str, Any] | None:
    """The score that methods are compared by, and its direction: `select.by`, or the main one."""
    task, by = splits.train.task, recipe.select.by
    name = task.main_score if by is None or by == "knn" else by
    if name is None:
        return None
    return {"name": name, "higher_is_better": task.direction(name)}


def near_chance(recipe: Recipe, splits: DatasetSplits, scores: Mapping[str, float]) -> list[str]:
    """A sentence where the student has hardly learned anything, with what may help."""
    task, train = splits.train.task, recipe.train
    if not scores or not task.near_chance(scores, splits.classes):
        return []
    help = "more epochs, or another train.lr"
    if splits.train.kind == "text" and train.optimizer == "sgd":
        help = "train.optimizer: adamw with train.lr: 0.003, since texts learn slowly by sgd"
    return [f"the student is hardly better than chance; try {help}"]


def computed(recipe: Recipe) -> str:
    """How the student was computed, in words."""
    layout = "channels-last" if recipe.train.channels_last else "contiguous"
    return f"{layout}, compiled" if recipe.train.compile else layout


def finish(
    parts: TrainingSetup,
    folder: Folder,
    progress: RunState,
    last: Step,
    wall: float,
    memory: Mapping[str, Any],
) -> dict[str, Any]:
    """Choose the weights and write them, score them on the test part once, write the rest.

    Returns the content of `summary.json`.
    """
    parts = parts.whole()
    splits, recipe, student = parts.splits, parts.recipe, parts.student
    chosen = recipe.select.keep == "best" and progress.best is not None
    parts.accelerator.wait_for_everyone()  # the best weights are on disk
    if chosen:
        folder.load_weights(folder.best, student)
    broadcast_buffers(student)
    if rank() == 0:  # before anything that may fail
        folder.save_weights(folder.student, student.state_dict())
    steps_per_epoch = -(-parts.plan.batches // parts.plan.gradient_accumulation)
    reader = StudentReader(student, parts.module.contract, splits, recipe, parts.accelerator.device)
    test = score_domains(reader, splits.test, parts.domains)
    held = splits.validation
    validation = None if held is None else reader.evaluate("validation", held, {})
    details = {"test": test.details, "validation": validation.details if validation else None}
    similarities = teacher_similarities(parts, reader)
    monitor, predictions = monitor_student(parts), None
    outputs = {"test": (test.logits, splits.test)}
    outputs |= {"validation": (validation and validation.logits, held)}
    described = diagnostics(parts, outputs)
    if splits.test is not None and test.logits is not None:
        predictions = predictions_of(test.logits, splits.test)
    summary = {
        "method": parts.module.criterion.method.name,
        "weights": parts.module.criterion.weights,
        "balance": parts.module.criterion.method.balance,
        "weights_used": parts.module.criterion.loss_weights.effective(last.number - 1),
        "measured": progress.measured,
        "student": recipe.student.model_dump(mode="json"),
        "classes": recipe.data.classes,
        "task": splits.train.task.name,
        "score": score_chosen_by(recipe, splits),
        "seed": recipe.train.seed,
        "test": test.scores,
        "validation": validation.scores if validation else None,
        "details": details,
        "monitor": monitor and monitor.summary(),
        "out_of_domain": test.domains,
        "similarity": test.similarity,
        "notes": test.notes,
        "warnings": [
            *near_chance(recipe, splits, test.scores or (validation.scores if validation else {})),
            *(note for part, each in details.items() for note in class_notes(part, each)),
        ],
        "teacher": progress.teachers.get(""),
        "teachers": {name: each for name, each in progress.teachers.items() if name},
        "kept": similarities,
        "reading": None if parts.teacher is None else parts.kind.describe(recipe.data),
        "computed": computed(recipe),
        "data_notes": list(splits.notes),
        "compute_notes": folder.read_environment().get("compute_notes", []),
        "network_notes": folder.read_environment().get("network_notes", []),
        "selected": {
            "keep": recipe.select.keep,
            "by": recipe.select.by if chosen else None,
            "epoch": progress.best_epoch if chosen else last.epoch + 1,
            "score": progress.best if chosen else None,
        },
        "parameters": {
            "student": count_parameters(parts.module.student),
            "teacher": sum(
                count_parameters(each.network) for each, _ in parts.online_teachers.values()
            )
            or None,
            "heads": count_parameters(parts.module.criterion),
        },
        "examples": {
            "train": len(splits.train),
            **labeled(splits),
            "validation": len(splits.validation) if splits.validation else 0,
            "test": len(splits.test) if splits.test else 0,
        },
        "epochs": last.epoch + 1,
        "steps": last.number,
        "seconds_per_epoch": progress.seconds / max(last.number, 1) * steps_per_epoch,
        "seconds": wall,
        "memory": dict(memory),
    }
    if rank() == 0:
        if predictions is not None:
            predictions.save(folder.predictions)
        files.write_json(folder.diagnostics, described)
        run = run_files(folder, summary, folder.read_metrics(), dump(recipe))
        write_pages(folder, run)
        files.write_json(folder.summary, summary)
    return summary


def write_pages(folder: Folder, run: RunFiles) -> str:
    """Write `report.md` and `report.html` of a run from its other files; returns the first."""
    text = page(run.summary, run.metrics, run.recipe, run.probe, run.benchmark)
    whole = html(run_page(run))
    files.write_text(folder.report, text)
    files.write_text(folder.page, whole)
    return text


def run_files(
    folder: Folder, summary: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], recipe: str
) -> RunFiles:
    """What is known of a run, the rest read from its folder."""
    environment: dict[str, Any] = {}
    with contextlib.suppress(RunError):  # pages are written without it
        environment = folder.read_environment()
    probe, described = folder.read_probe(), folder.read_diagnostics()
    scratch = read_scratch(folder, summary)
    benchmark = folder.read_benchmark()
    return RunFiles(summary, metrics, recipe, probe, environment, described, scratch, benchmark)


def read_scratch(folder: Folder, summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """The summary of the run from scratch of the same sweep, student and seed; None: not known."""
    path = folder.path.resolve()
    tail = f"-{summary['method']}-seed{summary.get('seed')}"
    if not (path.parent / SWEEP_PLAN).is_file() or not path.name.endswith(tail):
        return None
    scratch = Folder(path.parent / f"{path.name.removesuffix(tail)}-none-seed{summary['seed']}")
    known = scratch.path != path and scratch.summary.is_file()
    return scratch.read_summary() if known else None


def finished_files(path: str | Path) -> RunFiles:
    """The files of a finished run.

    Raises:
        RunError: there is no run, it is not finished, or a file is damaged.
    """
    folder = Folder(Path(path))
    folder.must_exist()
    if not folder.summary.is_file():
        raise RunError(f"{folder.path} is not finished; resume it: mentee resume {folder.path}")
    folder.refuse_changes()
    summary, (metrics, damage) = folder.read_summary(), read_lines(folder.metrics, ended=True)
    notes = [f"{damage}."] if damage else []
    if (end := max((line["step"] for line in metrics), default=0)) < summary["steps"]:
        notes.append(f"{folder.metrics.name} ends at step {end:,} of {summary['steps']:,}.")
    summary["notes"] = [*(summary.get("notes") or []), *notes]
    return run_files(folder, summary, metrics, folder.recipe.read_text("utf-8"))


@contextlib.contextmanager
def plain_content_errors(path: str | Path) -> Iterator[None]:
    """Turn what comes of a changed file of a run into one clear error."""
    folder = Folder(Path(path))
    try:
        yield
    except RunError:  # which names the file
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise RunError(
            f"{folder.summary}, {folder.probe.name} or {folder.diagnostics.name} was changed: it "
            f"has other content than mentee writes ({type(error).__name__}: {error}); delete the "
            f"one that was changed and write it again (mentee resume {folder.path}, mentee probe "
            f"{folder.path})"
        ) from error


def write_report(path: str | Path) -> str:
    """Write a finished run's `report.md` and `report.html`, and return the first.

    Raises:
        RunError: there is no run, or it is not finished.
    """
    run = finished_files(path)
    with plain_content_errors(path):
        return write_pages(Folder(Path(path)), run)
