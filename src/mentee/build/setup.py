"""From a recipe to the parts of a run: examples, networks, the bound method, the optimizer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mentee.build import networks
from mentee.build.classifier_reuse import settled
from mentee.build.compatibility import check_balance, check_labels
from mentee.build.compute_mode import choose
from mentee.build.datasets import DatasetSplits, open_splits
from mentee.build.networks import PythonOverrides
from mentee.build.optimizer import optimizer, plan
from mentee.build.record_views import with_views_of_record
from mentee.build.recorded_teachers import check_columns
from mentee.build.teachers import (
    live_teachers,
    outputs_without_labels,
    read_teacher,
    reused_classifier,
)
from mentee.data import Examples
from mentee.distillation.layer_pairs import with_teachers
from mentee.distillation.loop import DistillationModule, Plan, averaged
from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.errors import RecipeError
from mentee.evaluation.out_of_domain import OpenedDomain, open_domains
from mentee.methods import METHODS, Method
from mentee.models import ReusedClassifierStudent
from mentee.parallel import rank, world
from mentee.recipe import ATeacher, EmaRecipe, MultiRecipe, Recipe, RecordedRecipe, TaskRecipe
from mentee.teachers import EmaTeacher
from mentee.teachers.teacher import Teacher
from mentee.training.monitor import open_monitor_examples

PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that a run is made of."""

    recipe: Recipe
    splits: DatasetSplits
    monitor_examples: Examples | None
    domains: Mapping[str, OpenedDomain]
    module: DistillationModule
    teacher: Teacher | None
    optimizer: torch.optim.Optimizer
    plan: Plan
    average: AveragedModel | None
    accelerator: Accelerator
    compute_notes: Sequence[str] = ()

    @property
    def student(self) -> nn.Module:
        """The network that is evaluated and kept: the moving average where there is one."""
        average: nn.Module | None = None if self.average is None else self.average.module
        return self.module.student if average is None else average


def build(recipe: Recipe, given: PythonOverrides | None = None) -> TrainingSetup:
    """Make everything that a recipe names; both networks are tried on two examples.

    Args:
        recipe: as read.
        given: what was passed from Python.

    Returns:
        The parts, with the resolved recipe.

    Raises:
        MenteeError: something does not exist, or does not fit; said before any training.
    """
    given = given or PythonOverrides()
    given.check(recipe)
    teaches, rows = given.stand_in(recipe).teacher, {**METHODS, **(given.methods or {})}
    recipe = with_views_of_record(recipe, teaches)
    labels = recipe.data.label is not False
    method = by_teacher(recipe.method.method(rows, labels), teaches, rows, labels)
    accelerator = start(recipe, method)
    splits = open_splits(recipe, given.data)
    check_labels(method, splits.train, recipe.train.mixup)
    check_balance(method, recipe)
    watched, task = open_monitor_examples(recipe, splits, given.data), splits.train.task
    recipe = resolve(given.stand_in(recipe), splits, method)
    domains = open_domains(recipe.data.out_of_domain, recipe, splits.test, given.data)
    batch = splits.first(2)
    ours, theirs = required_layers(method)

    teacher = read_teacher(recipe, given, splits, theirs, batch) if theirs else None
    kept = reused_classifier(recipe, method, teacher, given, splits, batch)
    recipe = settled(recipe, method, kept)
    input = networks.contract(recipe.student)
    student = networks.build(recipe.student, given.student, splits, seed=recipe.train.seed)
    if kept is not None and isinstance(student, ReusedClassifierStudent):
        student.copy_classifier(kept.weight, kept.bias)
    places = networks.places(student, [*dict.fromkeys([*ours, "logits"])], batch, input)
    steps = plan(recipe, splits.batches(recipe.train))
    recipe, warm_up = choose(recipe, student, places, splits, steps, input, accelerator)
    student = place(student, recipe, accelerator)
    rate = recipe.train.ema
    average = None if rate is None else averaged(student, rate)
    if isinstance(recipe.teacher, EmaRecipe) and average is not None and theirs:
        spots = networks.places(average.module, theirs, batch, input)
        teacher = EmaTeacher(average.module, spots, input, recipe.teacher.ema)
    for live, _ in live_teachers(teacher, recipe.teacher).values():
        place(live.network, recipe, accelerator)
    criterion = DistillationLoss(
        method,
        {p.name: p.shape for p in places},
        {p.name: p.shape for p in teacher.places} if teacher else {},
        groups=groups(splits.train),
        examples=len(splits.train),
        classes=None if splits.train.labels is None else splits.classes,
        task=task,
        statistics=teacher.statistics if teacher else None,
        seed=recipe.train.seed,
        device=accelerator.device,
    )
    check_columns(criterion, teacher, recipe.teacher)
    module = DistillationModule(
        student,
        places,
        input,
        criterion,
        task=task.with_label_smoothing(recipe.train.label_smoothing),
        channels_last=recipe.train.channels_last is True,
        compiled=recipe.train.compile is True,
    )
    criterion.loss_weights.set_total_steps(steps.steps)
    rule = optimizer(recipe, module)
    return TrainingSetup(
        recipe,
        splits,
        watched,
        domains,
        module,
        teacher,
        rule,
        steps,
        average,
        accelerator,
        warm_up,
    )


def by_teacher(
    method: Method, said: ATeacher | None, rows: Mapping[str, Method], labels: bool
) -> Method:
    """The method, with its terms once for each teacher where there are several.

    Args:
        method: of the recipe.
        said: what the recipe says of its teacher, or what was passed from Python instead.
        rows: the table, with rows of one's own.
        labels: whether any is read.
    """
    if isinstance(said, RecordedRecipe):
        return with_teachers(
            method, {name: 1 / len(said.record_folders) for name in said.record_folders}
        )
    if isinstance(said, MultiRecipe):
        each = {name: one.method(rows, labels) for name, one in said.methods.items()}
        return replace(with_teachers(method, said.shares, each), teacher_dropout=said.dropout)
    return method


def start(recipe: Recipe, method: Method) -> Accelerator:
    """The processes and their precision; from here on all random numbers follow the seed."""
    said = recipe.train
    if said.precision == "float16" and not torch.cuda.is_available():
        raise RecipeError(
            "train.precision is float16, which needs a GPU; expected float32 or bfloat16 on a CPU"
        )
    # A process that trained before may have done so in another precision, which accelerate keeps.
    AcceleratorState._reset_state()
    # Without a task's loss the student's classifier may get no gradient, and DDP wants to know.
    # An own loss may end before the run does.
    words = {word.name for term in method.terms for word in term.representation.chain}
    # Of a trunk with another one's classifier the end may be left as it is, and unused.
    loose = method.task == 0 or bool(words & {"compress", "probe"}) or bool(method.reuse)
    unused = DistributedDataParallelKwargs(find_unused_parameters=loose)
    accelerator = Accelerator(
        mixed_precision=PRECISIONS[said.precision],
        kwargs_handlers=[unused],
        cpu=not torch.cuda.is_available(),
    )
    if said.batch % (said.gradient_accumulation * world()):
        raise RecipeError(
            f"train.batch is {said.batch}; expected a multiple of train.gradient_accumulation "
            f"({said.gradient_accumulation}) times the number of processes ({world()})"
        )
    seed(said.seed)
    return accelerator


def seed(number: int) -> None:
    """Seed the global generators."""
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.manual_seed(number)


def draw_apart(number: int) -> None:
    """Let each process draw numbers of its own, for dropout; the first goes on as one alone does.

    Until then all draw the same, so that what each of them builds is the same.
    """
    if rank() > 0:
        seed(int(np.random.SeedSequence([number, rank()]).generate_state(1)[0]))


def resolve(recipe: Recipe, splits: DatasetSplits, method: Method) -> Recipe:
    """The same recipe with nothing left open: classes, channels, inputs, the score that chooses."""
    train, average = splits.train, average_of(recipe)
    data: dict[str, Any] = {
        "classes": list(train.classes) if train.classes else None,
        "channels": train.channels if "channels" in train.modality.network_args else None,
        "kind": train.kind,
        "views": recipe.data.views or train.modality.default_views,
        "task": recipe.data.task,
    }
    if recipe.data.label is False:
        data["validation"] = None
    else:
        data["task"] = TaskRecipe(name=train.task.name, params=train.task.params)
    teacher, outputs = networks.resolve_teacher(recipe.teacher, splits, recipe.data), None
    if recipe.data.label is False and not isinstance(teacher, EmaRecipe):
        outputs = outputs_without_labels(method, teacher, recipe.data)
    by = recipe.select.by or (train.task.main_score if splits.validation else None)
    by = by or ("knn" if recipe.monitor else None)
    scores = [*train.task.higher_is_better, "knn"]
    if by is not None and by not in scores:
        raise RecipeError(f"select.by is {by}; expected one of {', '.join(scores)}")
    chosen = by == "knn" or (splits.validation and by)
    select = {"by": by} if chosen else {"by": None, "keep": "last", "patience": None}
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update=data),
            "student": networks.resolve(recipe.student, splits, recipe.data, outputs),
            "teacher": teacher,
            "train": recipe.train.model_copy(update={"ema": average}),
            "select": recipe.select.model_copy(update=select),
        }
    )


def average_of(recipe: Recipe) -> float | None:
    """What the student's moving average keeps of itself in a step; the one that teaches is it.

    Raises:
        RecipeError: the recipe says another one, or there is nothing it could teach.
    """
    said, other = recipe.teacher, recipe.train.ema
    if not isinstance(said, EmaRecipe):
        return other
    if other not in (None, said.ema):
        raise RecipeError(
            f"teacher.ema is {said.ema} and train.ema {other}; the average that "
            "teaches is the one that is kept: leave train.ema out"
        )
    if recipe.data.label is False:
        raise RecipeError(
            "teacher.ema: without labels the student's own average has nothing to teach it; "
            "name a teacher that has learned something, or let the labels be read"
        )
    return said.ema


def place(network: nn.Module, recipe: Recipe, accelerator: Accelerator) -> nn.Module:
    """Onto the device, in the memory format that convolutions are fastest in."""
    network.to(accelerator.device)
    if recipe.train.channels_last:
        network.to(memory_format=torch.channels_last)
    return network


def groups(examples: Examples) -> Tensor | None:
    """The group of each example, those of one being no negatives of each other; None: all are."""
    found = None if examples.labels is None else examples.task.contrast_groups(examples.labels)
    if found is None:
        return None
    classes = torch.as_tensor(found, dtype=torch.int32)
    own = len(examples.classes or ()) + torch.arange(len(classes), dtype=torch.int32)
    return torch.where(classes < 0, own, classes)  # who has no label is like nobody
