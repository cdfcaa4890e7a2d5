"""The loop: an iterator of optimizer steps. It logs nothing, evaluates nothing, writes nothing."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mentee.distillation.objective import DistillationLoss
from mentee.distillation.reading import LossReader, UnreadStep
from mentee.distillation.sharding import WholeParameters
from mentee.features import Capture, Layer
from mentee.models import Contract, normalize
from mentee.parallel import gather, world
from mentee.tasks import Task, task_of
from mentee.teachers.teacher import Teacher
from mentee.types import Batch, Step


class CompiledForward:
    """How a network is computed in training: the layout of its maps, and whether compiled.

    It is what a `Capture` of the network, built before the first call, runs.

    Args:
        network: changed in place, to the layout; the compiled form is kept beside it.
        channels_last: the layout of maps, in memory.
        compiled: by `torch.compile`, for batches of one size, at the first call.
    """

    def __init__(self, network: nn.Module, *, channels_last: bool, compiled: bool) -> None:
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        network.to(memory_format=self._layout)
        self._call: Callable[[Tensor], object] = network
        if compiled:
            self._call = torch.compile(network, dynamic=False)

    def __call__(self, inputs: Tensor) -> object:
        """What the network returns for a batch, `[b, ...]`."""
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=self._layout)
        return self._call(inputs)


class DistillationModule(nn.Module):
    """The student with all that is trained beside it, so that one wrapper can serve both.

    Args:
        student: the network itself.
        places: where it is read; `logits` is always among them.
        contract: what the student reads.
        criterion: the method bound to this pair.
        task: what the labels are for; None: a classification, told by their shape.
        classifier: path of the only module of the student that is trained; None: all are.
        channels_last: the layout of the student's maps.
        compiled: whether the student is compiled.
        sharded: whether `sharding.shard` is to split it over the processes.
    """

    def __init__(
        self,
        student: nn.Module,
        places: Iterable[Layer],
        contract: Contract,
        criterion: DistillationLoss,
        *,
        task: Task | None = None,
        classifier: str | None = None,
        channels_last: bool = True,
        compiled: bool = False,
        sharded: bool = False,
    ) -> None:
        super().__init__()
        self.student, self.criterion, self.sharded = student, criterion, sharded
        self.contract, self.task, self.classifier = contract, task, classifier
        self._capture = Capture(student, tuple(places))
        self._computed = CompiledForward(student, channels_last=channels_last, compiled=compiled)
        # A compiled graph has no points inside; a split student is gathered for one backward pass.
        self._looks = not (compiled or sharded)
        self.train()

    def train(self, mode: bool = True) -> DistillationModule:
        """Set all modules to training, but those of a frozen trunk."""
        super().train(mode)
        if mode and self.classifier is not None:
            for child in self.student.children():
                child.eval()
            self.student.get_submodule(self.classifier).train()
        return self

    def forward(
        self, batch: Batch, teacher_outputs: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and the unweighted value of each term and, with labels, of `task`."""
        loss_weights, step = self.criterion.loss_weights, self.criterion.step
        looks = self._looks and torch.is_grad_enabled() and loss_weights.should_measure(step)
        edges: dict[str, GradientEdge] = {}
        inputs = normalize(batch.inputs, self.contract)
        features = self._capture.run(self._computed, inputs, edges if looks else None)
        losses: dict[str, Tensor] = self.criterion(features, teacher_outputs, batch)
        if batch.labels is not None and self.criterion.weights["task"] != 0:
            logits = features["logits"].float()
            task = self.task or task_of(batch.labels)
            losses["task"] = task.batch_loss(batch, logits).mean()
        if looks:
            with torch.autocast(batch.inputs.device.type, enabled=False):
                loss_weights.measure_gradients(losses, edges, step)
        return loss_weights(losses, step), losses


def averaged(student: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of a student, batch statistics copied."""
    return AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Plan:
    """How many steps, and what happens in each.

    Attributes:
        epochs: passes over the training set.
        batches: batches of an epoch.
        gradient_accumulation: batches of one step.
        lr: base learning rate to the rate of a step: `(steps done, steps in all) -> factor`.
        max_grad_norm: largest norm of the gradient of all that is trained; None: any.
    """

    epochs: int
    batches: int
    gradient_accumulation: int
    lr: Callable[[int, int], float]
    max_grad_norm: float | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.epochs * math.ceil(self.batches / self.gradient_accumulation)


def train(
    module: DistillationModule,
    teacher: Teacher | None,
    load: Callable[[int, int], Iterator[Batch]],
    optimizer: torch.optim.Optimizer,
    plan: Plan,
    accelerator: Accelerator,
    *,
    average: AveragedModel | None = None,
    done: Step | None = None,
) -> Iterator[Step]:
    r"""Train until the plan's end, one `Step` at a time; stop by not asking for the next.

    .. math:: L = w_{task} L_{task} + \sum_k w_k \, agree_k(represent_{S,k}, represent_{T,k})

    Args:
        module: student and transfer, on the accelerator's device.
        teacher: read for every batch; None for a method without terms.
        load: `(epoch, batches to skip) -> batches of this process`.
        optimizer: of all that `module` trains.
        plan: how many steps, and what happens in each.
        accelerator: precision and processes.
        average: a moving average of the student that follows it.
        done: the last step done, to go on after it.

    Yields:
        One `Step` per optimizer step, after it is complete: memories written, average moved on.

    Raises:
        DivergedError: the loss is not finite. On a CPU the step is not taken. On another device
            it is, and up to 50 steps more, until losses are read: see `LossReader`.
    """
    # A student that is split reduces its gradients itself: it gets the precision, and no DDP.
    model = accelerator.prepare_model(module, evaluation_mode=module.sharded)
    optimizer = accelerator.prepare_optimizer(optimizer)
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    bases = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
    reader = LossReader(module.criterion.loss_weights, accelerator.device)
    number, first_epoch, position = (done.number, done.epoch, done.position) if done else (0, 0, 0)
    if position >= plan.batches:
        first_epoch, position = first_epoch + 1, 0
    for epoch in range(first_epoch, plan.epochs):
        batches = load(epoch, position)
        while parts := list(islice(batches, plan.gradient_accumulation)):
            if not (module.training and module.student.training):  # it visits every module
                module.train()
            for group, base in zip(optimizer.param_groups, bases, strict=True):
                group["lr"] = base * plan.lr(number, plan.steps)
            names, values = backward(model, module, teacher, parts, number, accelerator)
            number, position = number + 1, position + len(parts)
            step = UnreadStep(
                number,
                epoch,
                position,
                lr=optimizer.param_groups[0]["lr"],
                examples=sum(map(len, parts)) * world(),
                names=names,
                values=values,
                reader=reader,
            )
            reader.add(step, ends_epoch=position >= plan.batches)
            if plan.max_grad_norm is not None:
                accelerator.clip_grad_norm_(trained, plan.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            module.criterion.write()
            if average is not None:
                student = WholeParameters(module.student) if module.sharded else module.student
                average.update_parameters(student)  # type: ignore[arg-type]
            yield step
        position = 0


def backward(
    model: Callable[..., tuple[Tensor, dict[str, Tensor]]],
    module: DistillationModule,
    teacher: Teacher | None,
    parts: Sequence[Batch],
    number: int,
    accelerator: Accelerator,
) -> tuple[list[str], Tensor]:
    """The gradient of one step, the names of the terms, and the loss with the value of each.

    The values, averaged over the step and the processes, stay on the device.

    Args:
        model: `module` as the accelerator wrapped it.
        module: student and transfer.
        teacher: read for every batch.
        parts: the batches of the step.
        number: steps done before it.
        accelerator: precision and processes.
    """
    criterion, values, losses = module.criterion, [], dict[str, Tensor]()
    active_teacher = teacher if teacher and criterion.loss_weights.teacher_is_used(number) else None
    for part in parts:
        batch = part.to(accelerator.device)
        teacher_outputs = criterion.precompute(active_teacher(batch)) if active_teacher else {}
        criterion.begin(batch, number)
        last = part is parts[-1]
        with contextlib.nullcontext() if last else accelerator.no_sync(model):
            loss, losses = model(batch, teacher_outputs)
            accelerator.backward(loss / len(parts))
        values.append(torch.stack([loss, *losses.values()]).detach())
    return list(losses), gather(torch.stack(values).mean(0)[None]).mean(0)
