"""Binds a method to one teacher and one student: builds its terms, owns the trained heads.

The networks themselves are never held here: features come in, losses go out.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mentee.distillation.components import checked, look_up
from mentee.distillation.layer_pairs import check_widths, pair_layers, wanted
from mentee.distillation.terms import (
    GIVEN,
    BoundTerm,
    at_least_float,
    checked_chain,
    name_of,
    nothing,
    own_name,
    reads_others,
    shapes_said,
    sides_of,
    takes,
)
from mentee.distillation.weights import LossWeights, TeacherDropout
from mentee.errors import MenteeError, PairError
from mentee.losses import LOSSES
from mentee.losses.contrast import log_normalizer
from mentee.losses.negatives import Negatives
from mentee.memory import MEMORIES, Memory
from mentee.methods import Component, Method, Term
from mentee.parallel import gather, gather_with_grad
from mentee.representations import SEVERAL, Adapter, FeatureShape, PairInfo, Shape
from mentee.tasks import Task, mixed_mask, task_of
from mentee.types import Batch, Features, Statistics, column, read, together

__all__ = ["BoundTerm", "DistillationLoss", "takes", "wanted"]


class DistillationLoss(nn.Module):
    """The terms of a method for one pair, with the heads that are trained and then dropped.

    Args:
        method: the row.
        student: what the student says at the places of `wanted`: `{"stages.0": (16, 32, 32), ...}`.
        teacher: the same of the teacher.
        groups: `[n]`, class of each training example, or None where an example has not one class.
        examples: n, number of training examples.
        classes: how many classes the labels have; None: there are no labels.
        task: what the labels are for; None: a classification, told by their shape.
        statistics: of the teacher's vectors at a place, for the words that ask for them.
        seed: of the heads and of the memories' draws.
        device: where the heads and the memories are kept.

    Raises:
        PairError: the method does not fit this pair.
        MenteeError: a word or a number of the method is not known.
    """

    def __init__(
        self,
        method: Method,
        student: Mapping[str, Shape],
        teacher: Mapping[str, Shape],
        *,
        groups: Tensor | None,
        examples: int,
        classes: int | None = None,
        task: Task | None = None,
        statistics: Callable[[str], Statistics] | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.method, self.task = method, task
        self.step = 0
        self.adapters = nn.ModuleDict()
        self.memories: list[Memory] = []
        self.bound_terms: list[BoundTerm] = []
        self._widths: dict[str, int] = {}
        sites = [
            (
                replace(term, weight=term.weight * term.stage_decay ** (len(pairs) - 1 - number)),
                *pair,
            )
            for term in method.terms
            if term.weight != 0
            for pairs in [pair_layers(term, student, teacher)]
            for number, pair in enumerate(pairs)
        ]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for term, s, t in sorted(sites, key=reads_others):
                pair_info = PairInfo(classes, statistics and partial(statistics, t), seed)
                shapes = read(student, s), read(teacher, t)
                self._bind(term, s, t, shapes, pair_info)
        self.to(device)
        own = torch.arange(examples, device=device)
        self._remember(own if groups is None else groups.to(device), own, seed)
        alone = {
            own_name(b): 1.0 for b in self.bound_terms if self.adapters_of(b)[1].own_objective_only
        }
        terms = {b.name: b.term for b in self.bound_terms}
        weights = {name: term.weight for name, term in terms.items()}
        reads = {b.name: together(b.student) for b in self.bound_terms}
        said = {"task": method.task} | weights | alone
        self.loss_weights = LossWeights(terms, said, reads, method.balance)
        self.teacher_dropout: TeacherDropout | None = None
        if method.teacher_dropout and len(method.shares) > 1:
            whose = {name: term.teacher for name, term in terms.items()}
            self.teacher_dropout = TeacherDropout(
                method.teacher_dropout, method.shares, whose, seed
            )

    def _bind(
        self,
        term: Term,
        s: str,
        t: str,
        shapes: tuple[FeatureShape, FeatureShape],
        pair_info: PairInfo,
    ) -> None:
        agreement = look_up("agreement", term.loss, LOSSES)
        agree = checked(term.loss, agreement.function, given=GIVEN)
        if takes(agreement.function, "labels"):
            pair_info.labels(term.loss.name)
        term = replace(term, loss=agree, representation=checked_chain(term.representation))
        name = name_of(term, s, t, self.bound_terms, self.method.name)
        reader = term.representation.chain[-1].name
        if "&" in s and reader not in SEVERAL:
            raise PairError(
                f"{name}: {reader} reads one place; expected {' or '.join(SEVERAL)} "
                "where several are read together"
            )
        others = [self.adapters_of(b)[1].aux_module for b in self.bound_terms if b.teacher == t]
        sides = sides_of(
            term.representation, shapes, {"pair_info": pair_info, "other_adapters": others}
        )
        said = shapes_said(sides, shapes)
        remembers = term.memory is not None and agreement.memory != "no"
        if agreement.same_width is True or (agreement.same_width and remembers):
            check_widths(name, term.representation.name, *said)
        if remembers and len(said[0]) != 1:
            raise PairError(
                f"{name}: a memory keeps a vector for each example, the representation has shape "
                f"{said[0]}; use one that gives vectors, such as project"
            )
        self._widths[name] = said[0][-1]
        self.adapters[name.replace(".", "_")] = nn.ModuleList(sides)
        self.bound_terms.append(BoundTerm(name, s, t, term, agreement, None))

    def _remember(self, classes: Tensor, rows: Tensor, seed: int) -> None:
        """Give the terms that ask for negatives a memory; those with equal ones share it.

        Args:
            classes: `[n]`, what makes two examples no negatives of one another, where a memory
                knows of classes.
            rows: `[n]`, the same where it does not: all unlike.
            seed: of the draws.
        """
        kinds: dict[object, tuple[Component, int, list[BoundTerm]]] = {}
        for bound in self.bound_terms:
            word = bound.term.memory
            if bound.agreement.memory == "no" or (bound.agreement.memory == "may" and not word):
                continue
            if word is None:
                raise MenteeError(
                    f"{bound.name} asks for negatives; give the term a memory: "
                    f"{', '.join(MEMORIES)}"
                )
            width = self._widths[bound.name]
            key = (word.name, tuple(sorted(word.params.items())), width)
            kinds.setdefault(key, (word, width, []))[2].append(bound)
        for word, width, members in kinds.values():
            numbers: dict[str, Any] = dict(word.params)
            groups = classes if numbers.pop("class_aware", True) else rows
            build = look_up("memory", word, MEMORIES)
            numbers = dict(checked(Component(word.name, numbers), build).params)
            if "seed" in inspect.signature(build).parameters:
                numbers = {"seed": seed} | numbers
            memory = build([b.name for b in members], groups, width, **numbers)
            self.memories.append(memory)
            self.bound_terms = [
                replace(b, memory=memory) if b in members else b for b in self.bound_terms
            ]

    def adapters_of(self, bound: BoundTerm) -> tuple[Adapter, Adapter]:
        """(the student's side, the teacher's) of a bound term."""
        student, teacher = typing.cast(nn.ModuleList, self.adapters[bound.name.replace(".", "_")])
        return typing.cast(Adapter, student), typing.cast(Adapter, teacher)

    @torch.no_grad()
    def precompute(self, teacher: Features) -> dict[str, Tensor]:
        """The fixed part of the teacher's side, by term: all that the terms need of the teacher.

        Args:
            teacher: what is read at its places, or the fixed parts themselves by `column`.
        """
        said = {}
        for bound in self.bound_terms:
            side = self.adapters_of(bound)[1]
            name = None if side.reduction is None else column(bound.teacher, side.reduction)
            if name in teacher:
                said[bound.name] = teacher[name]
            else:
                said[bound.name] = side.precompute(read(teacher, bound.teacher))
        return said

    @property
    def weights(self) -> dict[str, float]:
        """What each loss weighs when it counts, as the row says it."""
        return self.loss_weights.base

    def begin(self, batch: Batch, step: int) -> None:
        """Choose the batch's negatives; call it before the batch's `forward`."""
        self.step = step
        for memory in self.memories:
            memory.begin(batch.rows, step)

    def forward(
        self, student: Features, fixed: Mapping[str, Tensor], batch: Batch
    ) -> dict[str, Tensor]:
        """The unweighted value of each term and of each side's own loss, a scalar each.

        Args:
            student: what the student says at its places.
            fixed: what `precompute` returned for the same batch; a term that is missing is not
                computed.
            batch: labels, masks and mixture of the same examples.
        """
        losses: dict[str, Tensor] = {}
        for bound in self.bound_terms:
            mine, theirs = self.adapters_of(bound)
            if bound.name not in fixed:  # a zero that keeps every process in step
                losses[bound.name] = nothing(mine, theirs, device=batch.inputs.device)
                if theirs.own_objective_only:
                    losses[own_name(bound)] = losses[bound.name]
                continue
            s = mine(mine.precompute(read(student, bound.student)))
            t = theirs(fixed[bound.name].detach())
            with torch.autocast(s.device.type, enabled=False):  # sums need float32 at least
                if theirs.own_objective_only:
                    learner, seen = theirs.aux_module, fixed[bound.name].detach()
                    learning = learner.aux_input(seen, t if learner is theirs else learner(seen))
                    learning = at_least_float(learning)
                    own = learner.aux_loss(
                        learning, partial(self._task(batch).batch_loss, batch), self.step
                    )
                    # Where nothing is learned any more: a zero that keeps every process in step.
                    losses[own_name(bound)] = t.detach().sum() * 0 if own is None else own
                    t = t.detach() if theirs.aux_module is theirs else t
                s, t = mine.align(at_least_float(s), at_least_float(t))
                losses[bound.name] = self._agree(bound, s, t, batch)
        if self.teacher_dropout is not None and fixed:
            values = {b.name: losses[b.name] for b in self.bound_terms if b.name in fixed}
            weights = self.loss_weights.effective(self.step)
            losses |= self.teacher_dropout(values, weights, batch, self.step)
        return {name: value.mean() for name, value in losses.items()}

    def _agree(self, bound: BoundTerm, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        function = bound.agreement.function
        given: dict[str, Any] = dict(bound.term.loss.params)
        if bound.agreement.whole_batch and bound.memory is None:
            student, teacher = gather_with_grad(student), gather(teacher.detach())
        if takes(function, "mask"):
            given["mask"] = mixed_mask(batch)
        if takes(function, "labels"):
            task = self._task(batch)
            return task.loss_with_labels(
                batch, lambda y: function(student, teacher, labels=y, **given)
            )
        if bound.memory is None:
            return function(student, teacher, **given)
        negatives = bound.memory.read(bound.name, student, teacher)
        if takes(function, "log_z"):
            given["log_z"] = self._log_z(bound, student, teacher, negatives)
        return function(student, teacher, negatives=negatives, **given)

    def _task(self, batch: Batch) -> Task:
        return self.task or task_of(batch.labels)

    def _log_z(
        self, bound: BoundTerm, student: Tensor, teacher: Tensor, negatives: Negatives
    ) -> Tensor:
        """The normalizers of a contrast, fixed by the first batch, for ever."""
        kept = typing.cast(Memory, bound.memory).log_z
        if bound.name not in kept:
            numbers: dict[str, Any] = dict(bound.term.loss.params)
            own = log_normalizer(student, teacher, negatives=negatives, **numbers)
            kept[bound.name] = gather(own.exp()[None]).mean(0).log().cpu()
        return kept[bound.name]

    def write(self) -> None:
        """Let the memories take in the step; call it after the optimizer step."""
        for memory in self.memories:
            memory.write()

    def memory_state(self) -> dict[str, Tensor]:
        """What all memories hold."""
        return {
            f"{number}.{key}": value
            for number, memory in enumerate(self.memories)
            for key, value in memory.state().items()
        }

    def load_memory(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `memory_state` gave."""
        for number, memory in enumerate(self.memories):
            prefix = f"{number}."
            memory.load(
                {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            )
