"""Losses and gradients of every method, of a batch that is one process's or cut into parts.

    python -m tests.distillation.in_parts FOLDER

Networks are in evaluation mode, so that an example's features do not depend on the others. Rank 0
writes `FOLDER/WORLD.pt`; test_objective compares the files of one, two and four processes.
"""

from __future__ import annotations

import copy
import sys
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from mentee.catalogue.needs import statistics
from mentee.catalogue.pairs import CandidatePair
from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.losses import LOSSES
from mentee.methods import METHODS, Method, adjust
from mentee.parallel import all_reduce_sum, exit_process, max_over_processes, rank, world
from mentee.teachers import OnlineTeacher
from mentee.types import Batch, Features

BATCH, EXAMPLES, CLASSES, STEPS = 16, 64, 10, 2
TASKS = {"class logits": "single", "label logits": "multi", "values": "regression"}


class Pair(CandidatePair):
    """The pair with groups of its own, and rows for the memory `record`."""

    def bind(self, method: Method, examples: int) -> DistillationLoss:
        """The method bound to the pair."""
        student, teacher = required_layers(method)
        shapes = self._shapes(self.teacher, teacher)
        labels = self.task.placeholder(examples, self.classes)
        groups = self.task.contrast_groups(labels.numpy())
        return DistillationLoss(
            method,
            self._shapes(self._student_for(method), student),
            shapes,
            groups=None if groups is None else torch.as_tensor(groups),
            examples=examples,
            classes=self.classes,
            task=self.task,
            statistics=partial(statistics, shapes),
            clean_rows=lambda rows, keys: rows_of_record(rows, shapes, keys),
        )

    def steps(self, method: Method) -> dict[str, Tensor]:
        """The losses and gradients of some steps, means over the processes."""
        module = self._module(method).double().eval()
        layers = self._layers(self.teacher, required_layers(method)[1])
        network = copy.deepcopy(self.teacher).double()
        teacher = OnlineTeacher(network, layers, self.inputs[self.teacher].contract)
        found = {}
        for step in range(STEPS):
            batch = self.part(step)
            module.criterion.begin(batch, step)
            _, losses = module(batch, module.criterion.precompute(teacher(batch)))
            trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
            total = torch.stack([*losses.values()]).sum()
            grads = torch.autograd.grad(total, [*trained.values()], allow_unused=True)
            values = dict(zip(trained, grads, strict=True)) | losses
            for name, value in values.items():
                whole = torch.zeros(()) if value is None else value.detach()
                found[f"{step} {name}"] = all_reduce_sum(whole) / world()
            module.criterion.write()
        return found

    def part(self, step: int) -> Batch:
        """This process's examples of a batch."""
        torch.manual_seed(step)
        rows = torch.randperm(EXAMPLES)[:BATCH].reshape(world(), -1)[rank()]
        inputs = torch.rand(EXAMPLES, 3, 8, 8, dtype=torch.float64)
        labels = self.task.placeholder(EXAMPLES, CLASSES)
        return Batch(inputs[rows], rows, rows, labels[rows])


def rows_of_record(rows: Tensor, shapes: dict[str, tuple[int, ...]], keys: list[str]) -> Features:
    """Always the same rows."""
    generator = torch.Generator().manual_seed(0)
    whole = {k: torch.randn(EXAMPLES, *s, generator=generator) for k, s in shapes.items()}
    return {k: whole[k][rows] for k in keys if k in whole}


def task_of(method: Method) -> str:
    """The name of a task that a method is for."""
    outputs = [LOSSES[term.loss.name].outputs for term in method.terms]
    return next((TASKS[each] for each in outputs if each), "single")


def main(folder: Path) -> None:
    """Write what all methods compute."""
    torch.set_num_threads(1)
    Accelerator(cpu=True)
    assert max_over_processes(rank()) == world() - 1
    found, pairs = {}, dict[str, Pair]()
    for name, method in METHODS.items():
        if any(term.memory for term in method.terms):
            method = adjust(method, {"memory.negatives": 24}, {})
        kind = task_of(method)
        if kind not in pairs:
            more = {"task": kind, "examples": EXAMPLES, "batch": BATCH}
            pairs[kind] = Pair("resnet8-cifar", "resnet14-cifar", size=8, classes=CLASSES, **more)
        found[name] = pairs[kind].steps(method)
    if rank() == 0:
        torch.save(found, folder / f"{world()}.pt")
    exit_process(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
