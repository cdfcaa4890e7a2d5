"""Everything that a run is made of, built from one resolved recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mentee import features
from mentee.build.optimizer import build_optimizer
from mentee.build.overrides import PythonOverrides
from mentee.build.resolve import Resolved, resolve
from mentee.data import Examples
from mentee.distillation.loop import DistillationModule, averaged
from mentee.distillation.objective import DistillationLoss
from mentee.distillation.sharding import gathered, shard, without_weights
from mentee.errors import RecipeError
from mentee.free_memory import plain_memory_errors
from mentee.models import normalize
from mentee.parallel import world
from mentee.recipe import OnlineRecipe, Recipe
from mentee.teachers import OnlineTeacher
from mentee.types import Batch


@dataclass(frozen=True)
class TrainingSetup(Resolved):
    """Everything that a run is made of: a resolved recipe, and what is trained.

    Attributes:
        module: the student with the method bound to it and its teacher.
        optimizer: of all that `module` trains.
        average: the student's moving average, or None.
        blank: the student without weights, where it is split over the processes.
    """

    module: DistillationModule
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    blank: nn.Module | None = None

    @property
    def student(self) -> nn.Module:
        """The network that is evaluated and saved: the moving average where there is one.

        One that is split over the processes is gathered each time: every process asks for it.
        """
        if self.average is not None:
            average: nn.Module = self.average.module
            return average
        if self.blank is None:
            return self.module.student
        return gathered(self.module.student, self.blank, self.accelerator.device)

    def whole(self) -> TrainingSetup:
        """The same for what follows the last step: with a student that is not split any more."""
        if self.blank is None:
            return self
        self.module.student = gathered(self.module.student, self.blank, self.accelerator.device)
        return replace(self, blank=None)

    @property
    def notes(self) -> dict[str, list[str]]:
        """Both kinds of lines, as they are written into `environment.json`."""
        return {"network_notes": self.network_notes, "compute_notes": self.compute_notes}

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """This process's batches of an epoch, after the first `start`, as the loop trains on."""
        batches = self.splits.epoch(self.recipe.train, epoch, start)
        for teacher in self.kind.records(self.teacher):
            batches = teacher.read_ahead(batches)
        return batches

    @property
    def online_teachers(self) -> dict[str, tuple[OnlineTeacher, OnlineRecipe]]:
        """The teachers that are run while the student trains, by name, with their recipes."""
        return self.kind.online(self.teacher)


@plain_memory_errors("choose smaller networks, numbers of the method or train.batch")
def build(
    recipe: Recipe,
    overrides: PythonOverrides | None = None,
    say: Callable[[str], None] | None = None,
) -> TrainingSetup:
    """Build everything that a recipe names; both networks are tried on two examples.

    The arguments are those of `resolve`.

    Raises:
        MenteeError: something does not exist, or does not fit; before any training.
    """
    overrides = overrides or PythonOverrides()
    resolved = resolve(recipe, overrides, say)
    train, splits, accelerator = resolved.recipe.train, resolved.splits, resolved.accelerator
    student = move_to(accelerator, resolved.network, channels_last=bool(train.channels_last))
    classifier = freeze_trunk(resolved, student) if train.classifier_only else None
    average = None if train.ema is None else averaged(student, train.ema)
    blank = without_weights(student) if train.shard and world() > 1 else None
    teacher = resolved.teacher or resolved.kind.from_average(
        average, resolved.teacher_layers, splits.first(2), resolved.contract
    )
    for online, _ in resolved.kind.online(teacher).values():
        move_to(accelerator, online.network, channels_last=bool(train.channels_last))
    labels = resolved.recipe.method.labels and splits.train.labels is not None
    criterion = DistillationLoss(
        resolved.method,
        {layer.name: layer.shape for layer in resolved.student_layers},
        {layer.name: layer.shape for layer in teacher.layers} if teacher else {},
        groups=contrast_groups(splits.train) if labels else None,
        examples=len(splits.train),
        classes=splits.classes if labels else None,
        task=splits.train.task,
        statistics=teacher.statistics if teacher else None,
        clean_rows=teacher.clean_rows if teacher else None,
        losses=overrides.losses,
        representations=overrides.representations,
        seed=train.seed,
        device=accelerator.device,
    )
    if teacher is not None:
        for bound in criterion.bound_terms:
            resolved.kind.check_term(teacher, criterion, bound, bound.pair.teacher)
    module = DistillationModule(
        student,
        resolved.student_layers,
        resolved.contract,
        criterion,
        classifier=classifier,
        task=splits.train.task.with_label_smoothing(train.label_smoothing).with_class_weights(
            train.class_weights, splits.train.known_labels
        ),
        channels_last=train.channels_last is True,
        compiled=train.compile is True,
        sharded=blank is not None,
    )
    if blank is not None:
        few = normalize(splits.first(2).inputs.to(accelerator.device), resolved.contract)
        shard(module, resolved.student_layers, few)
    criterion.loss_weights.set_total_steps(resolved.plan.steps)
    parts: dict[str, Any] = {**vars(resolved), "teacher": teacher}
    return TrainingSetup(
        **parts,
        module=module,
        optimizer=build_optimizer(train, module),
        average=average,
        blank=blank,
    )


def freeze_trunk(resolved: Resolved, student: nn.Module) -> str:
    """Freeze all but the module that reads the layer `embedding`; returns its path.

    Raises:
        RecipeError: the method compares features, which nothing trains then.
    """
    if read := [layer.name for layer in resolved.student_layers if layer.name != "logits"]:
        raise RecipeError(
            f"train.classifier_only trains the student's classifier alone, and method "
            f"{resolved.method.name!r} reads its layer {read[0]}; use none, kd or another method "
            "of logits, or leave train.classifier_only out"
        )
    inputs = normalize(resolved.splits.first(2).inputs, resolved.contract)
    path = features.resolve(student, ["embedding"], inputs.to(resolved.accelerator.device))[0].path
    student.requires_grad_(False).get_submodule(path).requires_grad_(True)
    return path


def move_to(accelerator: Accelerator, network: nn.Module, *, channels_last: bool) -> nn.Module:
    """Move a network to the device, in the memory format that convolutions are fastest in."""
    network.to(accelerator.device)
    if channels_last:
        network.to(memory_format=torch.channels_last)
    return network


def contrast_groups(examples: Examples) -> Tensor | None:
    """The group of each example, within which none is a negative of another; None: no groups.

    An unlabeled example is alone in its group.
    """
    groups = None if examples.labels is None else examples.task.contrast_groups(examples.labels)
    if groups is None:
        return None
    classes = torch.as_tensor(groups, dtype=torch.int32)
    own = len(examples.classes or ()) + torch.arange(len(classes), dtype=torch.int32)
    return torch.where(classes < 0, own, classes)
