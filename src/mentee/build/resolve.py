"""A recipe resolved, once: everything that it leaves open, with what has to be opened to know."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from torch import nn

from mentee.build import networks
from mentee.build.classifier_reuse import resolve_reuse
from mentee.build.compatibility import (
    check_balance,
    check_labels,
    check_sampling,
    check_shard,
    check_validation,
)
from mentee.build.compute_mode import (
    choose_compute_mode,
    record_notes,
    resolve_precision,
    resolve_shard,
    set_gpu_defaults,
)
from mentee.build.data_summary import data_summary
from mentee.build.datasets import DatasetSplits, open_splits, views_for
from mentee.build.evaluation_data import OpenedDomain, open_domains, open_monitor_examples
from mentee.build.optimizer import (
    optimizer_note,
    resolve_optimizer,
    schedule_notes,
    training_plan,
)
from mentee.build.outputs import expected_outputs
from mentee.build.overrides import PythonOverrides
from mentee.build.teacher_kind import TeacherKind, TeacherRequest
from mentee.build.teachers import teacher_kind
from mentee.build.trial import check_student_outputs, try_student
from mentee.build.view_settings import resolve_interpolation
from mentee.data import Examples
from mentee.distillation.loop import Plan
from mentee.distillation.objective import required_layers
from mentee.errors import RecipeError, first_few, suggest
from mentee.features import Layer
from mentee.methods import Method
from mentee.models import Contract, ReusedClassifierStudent, normalize
from mentee.parallel import init_processes, rank, world
from mentee.recipe import Data, Recipe, Select, TaskRecipe, Train
from mentee.tasks import Task, class_score
from mentee.teachers.teacher import Teacher

PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class Resolved:
    """A recipe with nothing left open, and what was opened or built to resolve it.

    Attributes:
        recipe: as it is written into the run folder.
        method: the method that it names, with its terms once for each teacher.
        splits: its examples.
        monitor_examples: those of its `monitor`, or None.
        domains: those of `data.out_of_domain`.
        kind: of its teacher.
        teacher: None where the method reads none, or the student's average.
        teacher_layers: that the method reads.
        network: the student with its first weights, on no device yet.
        student_layers: where it is read.
        contract: what the student reads.
        plan: the steps.
        accelerator: device, precision and processes.
        compute_notes: lines that tell how the student is computed: what was measured, and on a
            GPU what is its default.
        network_notes: lines that tell what was found out or changed about the networks.
    """

    recipe: Recipe
    method: Method
    splits: DatasetSplits
    monitor_examples: Examples | None
    domains: dict[str, OpenedDomain]
    kind: TeacherKind
    teacher: Teacher | None
    teacher_layers: list[str]
    network: nn.Module
    student_layers: tuple[Layer, ...]
    contract: Contract
    plan: Plan
    accelerator: Accelerator
    compute_notes: list[str]
    network_notes: list[str]


def resolve(
    recipe: Recipe, overrides: PythonOverrides, say: Callable[[str], None] | None = None
) -> Resolved:
    """Resolve a recipe; nothing changes it afterwards.

    `say` is called with each line of what is found when all examples are read; None: they are not.

    Raises:
        MenteeError: something does not exist, or does not fit.
    """
    overrides.check(recipe)
    recipe = overrides.mark(recipe)
    kind = teacher_kind(recipe.teacher, recipe.data)
    recipe = recipe.model_copy(update={"data": kind.views(recipe.data)})
    data, train = recipe.data, resolve_precision(recipe.train)
    methods = overrides.all_methods
    scored = data.label is not False
    labels = recipe.method.labels and scored
    method = kind.method(recipe.method.method(methods, labels), methods, labels)
    accelerator = start(train, method)
    gpu_notes = set_gpu_defaults(recipe.train, train, accelerator.device)
    splits = open_splits(recipe, overrides.data)
    if say is not None:
        lines = data_summary(splits)
        for line in lines:
            say(line)
        splits = replace(splits, notes=tuple(lines[1:]))
    check_labels(method, splits.train, train.mixup, overrides.all_losses, read=recipe.method.labels)
    check_balance(method, train.compile)
    check_shard(train, method)
    check_sampling(train, splits.train)
    check_validation(splits.validation)
    monitor_examples = open_monitor_examples(recipe, splits, overrides.data)

    data, shown = resolve_interpolation(recipe, splits, overrides)
    splits = replace(
        splits, views=views_for(recipe.model_copy(update={"data": data}), splits.train)
    )
    student_names, teacher_names = required_layers(method)
    train = resolve_optimizer(train, splits.train.kind)
    notes = [*shown, *optimizer_note(recipe.train, train)]
    ema, teacher = kind.ema_decay(recipe), kind.resolve(splits, data, overrides.teacher, notes)
    kind = teacher_kind(teacher, data)
    outputs = None if scored else kind.outputs(teacher_names, bool(method.reuse))
    recipe = recipe.model_copy(
        update={
            "data": resolve_data(data, splits.train),
            "student": networks.resolve(
                recipe.student, splits, data, outputs, source=overrides.student, notes=notes
            ),
            "teacher": teacher,
            "train": train.model_copy(update={"ema": ema}),
            "select": resolve_select(recipe, splits),
        }
    )
    domains = open_domains(data.out_of_domain, recipe.data, splits.test, overrides.data)
    batch = splits.first(2)
    request = TeacherRequest(
        recipe, recipe.method.name, teacher_names, splits, batch, overrides.teacher, notes
    )
    built_teacher = kind.build(request) if teacher_names else None
    classifier = kind.classifier(built_teacher, request, method.reuse) if method.reuse else None
    student = resolve_reuse(recipe.student, method, classifier)
    network = networks.build(student, overrides.student, splits, seed=train.seed, notes=notes)
    if classifier is not None and isinstance(network, ReusedClassifierStudent):
        network.copy_classifier(classifier.weight, classifier.bias)
    contract = networks.contract(student)
    expected = None
    if splits.train.labels is not None or "logits" in student_names:
        expected = expected_outputs(network, student, splits)
        check_student_outputs(network, normalize(batch.inputs, contract), expected)
    layers = networks.layers(network, [*dict.fromkeys([*student_names, "logits"])], batch, contract)
    few = splits.first(min(2, train.batch // train.gradient_accumulation // world()))
    unused = try_student(network, layers, normalize(few.inputs, contract), expected)
    if unused:
        notes.append(
            f"student: {first_few(unused, 3)} have no part in anything that is read, so nothing "
            "trains them"
        )
        if accelerator.ddp_handler is not None:  # DDP waits for their gradients otherwise
            accelerator.ddp_handler.find_unused_parameters = True
    plan = training_plan(train, splits.batches(train))
    notes += schedule_notes(train, plan.steps)
    settled, shard_notes = resolve_shard(recipe.train)
    settled, compute_notes = choose_compute_mode(
        settled,
        network,
        layers,
        lambda count: normalize(splits.first(count).inputs, contract),
        plan,
        accelerator,
    )
    return Resolved(
        recipe.model_copy(update={"student": student, "train": settled}),
        method,
        splits,
        monitor_examples,
        domains,
        kind,
        built_teacher,
        teacher_names,
        network,
        layers,
        contract,
        plan,
        accelerator,
        [
            *gpu_notes,
            *record_notes(kind.records(built_teacher), accelerator.device),
            *shard_notes,
            *compute_notes,
        ],
        notes,
    )


def resolve_data(data: Data, train: Examples) -> Data:
    """The same with classes, channels, kind, task and views; without labels no validation part."""
    update: dict[str, Any] = {
        "classes": list(train.classes) if train.classes else None,
        "channels": train.channels if "channels" in train.modality.network_args else None,
        "bits": train.bits,
        "kind": train.kind,
        "views": data.views or train.modality.default_views,
    }
    if data.label is False:
        update["validation"] = None
    else:
        update["task"] = TaskRecipe(name=train.task.name, params=train.task.params)
    return data.model_copy(update=update)


def resolve_select(recipe: Recipe, splits: DatasetSplits) -> Select:
    """With the score that chooses the weights; the last are kept where there is none.

    Raises:
        RecipeError: the task has no such score.
    """
    select, task = recipe.select, splits.train.task
    by = select.by or (task.main_score if splits.validation else None)
    by = by or ("knn" if recipe.monitor else None)
    if by is not None and by != "knn":
        check_score(by, task, splits.validation)
    chosen = by == "knn" or (splits.validation and by)
    update = {"by": by} if chosen else {"by": None, "keep": "last", "patience": None}
    return select.model_copy(update=update)


def check_score(by: str, task: Task, validation: Examples | None) -> None:
    """Refuse `select.by` that the validation examples cannot have."""
    score, of_class, name = by.partition("/")
    if not of_class and score in task.higher_is_better:
        return
    expected = ", ".join(
        [*task.higher_is_better, "knn", *(f"{n}/CLASS" for n in task.class_scores)]
    )
    if score not in task.class_scores or not of_class:
        raise RecipeError(f"select.by is {by}; expected one of {expected}")
    classes = () if validation is None or validation.classes is None else validation.classes
    if validation is None or validation.labels is None:
        return
    labels = validation.known_labels
    known = np.asarray(labels.values)
    if name not in classes:
        raise RecipeError(f"select.by is {by}: no class {name!r}; {suggest(name, classes)}")
    if class_score(torch.zeros(len(known), len(classes)), labels, by) is None:
        raise RecipeError(
            f"select.by is {by}, and {validation.name} has no example that could tell; give it "
            "some, or choose by another score"
        )


def start(train: Train, method: Method) -> Accelerator:
    """The processes and their precision; from here on all random numbers follow the seed."""
    if train.precision == "float16" and not torch.cuda.is_available():
        raise RecipeError(
            "train.precision is float16, which needs a GPU; expected float32 or bfloat16 on a CPU"
        )
    init_processes()
    # A process that trained before may have done so in another precision, which accelerate keeps.
    AcceleratorState._reset_state()
    # Parameters without a gradient, which DDP wants to be told of: the student's classifier where
    # there is no task's loss, what an auxiliary loss trained until it ended, and what lies behind
    # the layer from which a reused classifier is fed. DDP that is told so keeps its buckets; else
    # it orders them anew after the first step: more than two numbers would be summed in another
    # order, and a resumed run would differ in the last bits.
    names = {each.name for term in method.terms for each in term.representation.chain}
    unused = method.task == 0 or bool(names & {"compress", "probe"}) or bool(method.reuse)
    unused = unused or world() > 2
    accelerator = Accelerator(
        mixed_precision=PRECISIONS[train.precision or "float32"],
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=unused)],
        cpu=not torch.cuda.is_available(),
    )
    if train.batch % (train.gradient_accumulation * world()):
        raise RecipeError(
            f"train.batch is {train.batch}; expected a multiple of train.gradient_accumulation "
            f"({train.gradient_accumulation}) times the number of processes ({world()})"
        )
    seed_all(train.seed)
    return accelerator


def seed_all(seed: int) -> None:
    """Seed the global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def seed_by_rank(seed: int) -> None:
    """Let each process draw numbers of its own, for dropout; the first draws as one alone does.

    Until then all draw the same, so that what each of them builds is the same.
    """
    if rank() > 0:
        seed_all(int(np.random.SeedSequence([seed, rank()]).generate_state(1)[0]))
