"""Whether a teacher fits the data: its own scores, before any student learns from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mentee import files
from mentee.build.datasets import DatasetSplits
from mentee.build.setup import TrainingSetup
from mentee.data import Examples
from mentee.errors import DataError, MenteeError
from mentee.evaluation.details import LISTED, class_notes, score_details, score_outputs
from mentee.evaluation.predictions import predict
from mentee.evaluation.teacher_similarity import replayed
from mentee.parallel import rank
from mentee.recipe import OnlineRecipe, Recipe
from mentee.records.manifest import TEACHER_CHECK
from mentee.report import teacher_lines
from mentee.runs.folder import Folder
from mentee.teachers import OnlineTeacher, RecordedTeacher
from mentee.urls import Url

SAMPLE = 2000
"""The most examples of each part that a teacher is scored on."""
MANY_CLASSES = 1000
"""The most classes whose order is checked."""
PERHAPS = "perhaps: they are cut off the training split"
OWN_SPLIT = "not if it learned from the training split alone"
HELD_OUT = "no: its own run held them out"
SEEN = "yes, if it learned from this training split"

Say = Callable[[str], None]


def check_teachers(parts: TrainingSetup, say: Say) -> dict[str, dict[str, Any]]:
    """The scores of every teacher that has the data's classes, on validation and test.

    Where there is neither, on training examples; of a record, as they were measured when it was
    made, else by its logits of training examples.

    Returns:
        By teacher `parts` (`examples`, `of`, `seen`, `scores`, `details` of each), `warnings`, and
        `why` there are no scores.
    """
    results = {
        name: check_network(parts, teacher, config)
        for name, (teacher, config) in parts.online_teachers.items()
    }
    for name, teacher in parts.kind.recorded(parts.teacher).items():
        results[name] = read_check(parts, teacher.record.folder) or check_record(parts, teacher)
    for name, each in results.items():
        for line in teacher_lines(name, each):
            say(line)
    return results


def check_network(
    parts: TrainingSetup, teacher: OnlineTeacher, config: OnlineRecipe
) -> dict[str, Any]:
    """The scores of a network that is run while the student trains."""
    if config.classes != parts.splits.classes:
        why = f"it has {config.classes} outputs, the labels {parts.splits.classes} classes"
        return checked([], parts.recipe, why)
    device = parts.accelerator.device

    def outputs(examples: Examples) -> Tensor:
        clean = parts.splits.clean(examples, parts.recipe.train.num_workers)
        return predict(teacher.network, teacher.contract, clean, device)

    scored = [
        (name, whole, outputs, seen(name, whole, parts.recipe, config))
        for name, whole in labeled_parts(parts.splits)
    ]
    return checked(scored, parts.recipe)


def check_record(parts: TrainingSetup, teacher: RecordedTeacher) -> dict[str, Any]:
    """The scores of recorded logits on training examples."""
    splits, recipe = parts.splits, parts.recipe
    if splits.train.labels is None:
        return checked([], recipe)

    def outputs(examples: Examples) -> Tensor:
        logits = replayed(teacher, "logits", splits.clean(examples))
        if logits.shape[1] != splits.classes:
            raise DataError(f"{logits.shape[1]} logits were recorded, for {splits.classes} classes")
        return logits

    try:
        return checked([("train", splits.train, outputs, SEEN)], recipe)
    except MenteeError as error:
        return checked([], recipe, str(error))


def checked(
    scored: Sequence[tuple[str, Examples, Callable[[Examples], Tensor], str]],
    recipe: Recipe,
    why: str = "there are no labels",
) -> dict[str, Any]:
    """The entry of a teacher in `summary.json`; `why` there are no scores, if there are none.

    A part that is scored is its name, its examples, what the teacher computes of them, and whether
    the teacher has seen them in its training.
    """
    parts: dict[str, Any] = {}
    warnings: list[str] = []
    for name, whole, outputs, known in scored:
        examples = whole.spaced(SAMPLE)
        try:
            logits = outputs(examples)
            scores = score_outputs(logits, examples, recipe.select)
        except DataError as error:
            warnings.append(f"{name}: not scored: {error}")
            continue
        details = score_details(logits, examples, recipe.select) or {}
        warnings += problems(name, examples, scores, details)
        parts[name] = {
            "examples": len(examples),
            "of": len(whole),
            "fingerprint": whole.fingerprint(),
            "seen": known,
            "score": examples.task.main_score,
            "scores": scores,
            "interval": details.get("interval"),
        }
    first: Mapping[str, Any] = next(iter(parts.values()), {})  # of validation, where there is one
    summary = {key: first.get(key) for key in ("examples", "scores")}
    return {**summary, "parts": parts, "warnings": warnings, "why": None if parts else why}


def labeled_parts(splits: DatasetSplits) -> Iterator[tuple[str, Examples]]:
    """The validation and the test part; where there is neither, the training examples."""
    held = {"validation": splits.validation, "test": splits.test}
    there = {name: e for name, e in held.items() if e is not None and e.labels is not None}
    if not there and splits.train.labels is not None:
        there = {"train": splits.train}
    yield from there.items()


def seen(part: str, whole: Examples, recipe: Recipe, config: OnlineRecipe) -> str:
    """Whether a teacher has seen the examples of a part in its training, as far as is known."""
    if part == "train":
        return SEEN
    weights = [each.weights for each in config.each_network]
    if all(weights) and weights:
        fingerprint = whole.fingerprint()
        folders = [Folder(Path(str(each)).expanduser().parent) for each in weights]
        if all(held_out(folder, fingerprint) for folder in folders):
            return HELD_OUT
    cut = part == "validation" and isinstance(recipe.data.validation, float)
    return PERHAPS if cut else OWN_SPLIT


def held_out(folder: Folder, fingerprint: str) -> bool:
    """Whether the run of a folder had examples as its validation or test part."""
    try:
        data: Mapping[str, Any] = folder.read_environment()["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return fingerprint in (data.get("validation"), data.get("test"))


def problems(
    part: str, examples: Examples, scores: Mapping[str, float], details: Mapping[str, Any]
) -> list[str]:
    """A sentence for everything that is wrong with a teacher's outputs for a part."""
    classes = len(examples.classes or ())
    order = permuted(details.get("confusion") or [], examples.classes or ())
    if order:
        return [
            f"{part}: its classes seem to be in another order than those of the data: {order}; "
            "give data.classes in the teacher's order, or reorder its outputs"
        ]
    if examples.task.near_chance(scores, classes):
        return [
            f"{part}: it is hardly better than chance; check its input (mean and std), its weights "
            "and the order of the classes"
        ]
    return class_notes(part, details, advice=False)


def permuted(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """The classes most of whose examples are predicted as one other class, one to one; or "".

    Example:
        >>> permuted([[0, 9, 1], [8, 2, 0], [0, 0, 9]], ["cat", "dog", "fox"])
        'most of cat is predicted as dog, most of dog is predicted as cat'
    """
    from scipy.optimize import linear_sum_assignment

    counts = np.array(confusion)
    if counts.size == 0 or len(counts) > MANY_CLASSES:
        return ""
    rows, columns = linear_sum_assignment(counts, maximize=True)
    moved = [
        (row, column)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if row != column and counts[row].sum() > 2 and 2 * counts[row, column] > counts[row].sum()
    ]
    if len(moved) < 2:
        return ""
    texts = [f"most of {classes[i]} is predicted as {classes[j]}" for i, j in moved]
    return ", ".join(texts[:LISTED]) + (", ..." if len(texts) > LISTED else "")


def save_check(check: Mapping[str, Any], record: Path | Url) -> None:
    """Keep the scores of a record's network beside what was recorded of it."""
    if rank() == 0:
        files.write_json(record / TEACHER_CHECK, check)


def read_check(parts: TrainingSetup, record: Path | Url) -> dict[str, Any] | None:
    """The scores kept in a record; None where it has none of these examples."""
    try:
        check: dict[str, Any] = json.loads((record / TEACHER_CHECK).read_text(encoding="utf-8"))
        known = {name: each["fingerprint"] for name, each in check["parts"].items()}
        teacher_lines("", check)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    now = {name: whole.fingerprint() for name, whole in labeled_parts(parts.splits)}
    return check if known and known == now else None


def check_for_record(parts: TrainingSetup, record: Path | Url, say: Say) -> dict[str, Any]:
    """The scores of the network that is recorded, kept ones where the record has them."""
    check = read_check(parts, record)
    if check is None:
        return check_teachers(parts, say)[""]
    for line in teacher_lines("", check):
        say(line)
    return check
