"""What a method requires of the examples, refused before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mentee.data import Examples
from mentee.errors import PairError, RecipeError
from mentee.losses import LOSSES, LossSpec
from mentee.methods import Method, Term
from mentee.recipe import Recipe, Train, read, single_teachers
from mentee.tasks import OUTPUTS, Task
from mentee.tasks.regression import masked


def check_labels(
    method: Method,
    examples: Examples,
    mixup: float | None,
    losses: Mapping[str, LossSpec] = LOSSES,
    *,
    read: bool = True,
) -> None:
    """Refuse a method that asks for labels the examples do not have, or cannot do with mixup.

    `read`: whether the recipe lets a method read labels.
    """
    if examples.labels is None and method.task != 0:
        raise RecipeError(
            f"{examples.name} has no labels, and method {method.name!r} gives the task's loss the "
            f"weight {method.task}; name the labels' column with data.label, or train on the "
            "transfer alone with data.label: false"
        )
    if method.task == 0 and all(term.weight == 0 for term in method.terms):
        raise RecipeError(
            f"method {method.name!r} without the task's loss learns nothing; name one that has a "
            "teacher, such as kd, crd, cktf, to-teacher or similarity"
        )
    names = [term.loss.name for term in method.terms if term.loss.name in losses]
    by_class = [name for name in names if "labels" in losses[name].needs]
    if by_class and not read:
        raise PairError(
            f"method {method.name!r} asks for the class of each example ({by_class[0]}), and "
            "method.labels is false; use a method that does not, such as to-teacher, crd or cktf"
        )
    if by_class and examples.labeled is not None:
        raise PairError(
            f"method {method.name!r} asks for the class of each example ({by_class[0]}), and some "
            f"of {examples.name} have none; use a method that does not, such as kd, crd or cktf"
        )
    if mixup is not None and any(term.memory for term in method.terms):
        raise PairError(
            f"method {method.name!r} keeps a row for each example, and a mixture of two is "
            "neither; set train.mixup to null, or use a method without a memory"
        )
    for term in method.terms:
        if problem := output_problem(term, examples.task, losses):
            raise PairError(f"method {method.name!r} {problem.format(examples=examples.name)}")


def output_problem(term: Term, task: Task, losses: Mapping[str, LossSpec] = LOSSES) -> str | None:
    """Why a term's loss is not for the outputs of a task, as the end of a sentence; None: it is.

    `{examples}` stands for what the examples are called.
    """
    name = term.loss.name
    expected = losses[name].outputs if name in losses else None
    if expected is None or task.outputs is None or expected == task.outputs:
        return None
    if task.outputs == "class logits" and expected == "label logits":
        return (
            f"compares each class on its own ({name}), but an example of {{examples}} has exactly "
            "one; use kl in its place: kd, probe-kd, ec-kd"
        )
    if task.outputs == "label logits" and expected == "class logits":
        instead = "binary-kd, or a method without logits, such as crd or cktf"
        if term.representation.name in ("probe", "compressed_logits"):
            instead = "probe-binary-kd, ec+probe-binary-kd, ec-binary-kd"
        return (
            f"compares distributions over classes of which one is right ({name}), but an example "
            f"of {{examples}} may have several; use binary_kd in its place: {instead}"
        )
    instead = "output-mse or bounded-regression" if task.outputs == "values" else "kd or binary-kd"
    return (
        f"compares outputs for {OUTPUTS[expected]} ({name}), but the labels of {{examples}} are "
        f"for the task {task.name}; use {instead}, or a method of embeddings or feature maps, such "
        "as crd, fitnet or east"
    )


def check_sampling(train: Train, examples: Examples) -> None:
    """Refuse to balance the classes of examples that have no one class each."""
    if train.sampling is None or (examples.task.name == "single" and examples.labeled is None):
        return
    why = f"{examples.name} has examples without a label"
    if examples.task.name != "single":
        why = f"the task of {examples.name} is {examples.task.name}"
    raise RecipeError(
        f"train.sampling is balanced, which needs one class of each example, and {why}; leave it "
        "out, and weigh the loss instead: train.class_weights: balanced"
    )


def check_validation(validation: Examples | None) -> None:
    """Refuse validation examples whose known labels are all the same: no score is defined."""
    if validation is None or validation.task.outputs not in ("label logits", "values"):
        return
    table = masked(validation.known_labels)
    if (np.fmax.reduce(table, 0) > np.fmin.reduce(table, 0)).any():
        return
    noun, kinds = "target", "two different known values"
    if validation.task.outputs == "label logits":
        noun, kinds = "class", "both positive and negative examples"
    raise RecipeError(
        f"no {noun} has {kinds} in the {len(table)} validation examples of {validation.name}, so "
        "they have no score to choose the weights by; give other ones, or set data.validation to "
        "null"
    )


def check_balance(method: Method, compiled: bool | str) -> None:
    """Refuse to measure gradients within a compiled student."""
    if method.balance == "gradient" and compiled is not False:
        raise RecipeError(
            f"method.balance is gradient and train.compile is {compiled}; gradients "
            "inside a compiled student cannot be measured: set train.compile to false, or "
            "method.balance to unit"
        )


def check_shard(train: Train, method: Method) -> None:
    """Refuse what a student that is split over the processes cannot have."""
    if not train.shard:
        return
    for key, given, works in (
        ("train.compile", train.compile, False),
        ("train.precision", train.precision, "bfloat16"),
        ("method.balance", method.balance, "unit"),
    ):
        if given in (True, "auto", "float16", "gradient"):
            raise RecipeError(
                f"train.shard splits the student over the processes, which cannot be combined "
                f"with {key}: {str(given).lower()}; set {key}: {str(works).lower()}, or "
                "train.shard: false"
            )


def in_units_of(recipe: Recipe, task: Task) -> Task:
    """The task in the units of the teachers' outputs, where these are standardized targets.

    Each teacher whose weights lie in a run's folder was trained in the units that the folder's
    recipe has, and its outputs are compared with the student's.

    Raises:
        RecipeError: they are in different units.
    """
    if task.outputs != "values":
        return task
    for teacher in single_teachers(recipe.teacher).values():
        for network in getattr(teacher, "networks", [teacher]):
            weights = getattr(network, "weights", None)
            path = Path(weights or "").expanduser().parent / "recipe.yaml"
            if weights is None or not path.is_file():
                continue
            trained = read(path).data.task
            units = {} if trained is None else trained.params
            units = {name: units[name] for name in ("mean", "std") if name in units}
            own = {name: task.params[name] for name in units if name in task.params}
            if trained is None or trained.name != task.name or not units:
                continue
            if own and own != units:
                raise RecipeError(
                    f"the outputs of the teacher {network.network} are in other units ({units}) "
                    f"than the student's ({own}); leave mean and std out of data.task, and teach "
                    "with networks of one mean and std"
                )
            task = task.configured(units)
    return task
