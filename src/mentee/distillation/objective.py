"""Binds a method to one teacher and one student: builds its terms, owns the trained adapters.

The networks themselves are never held here: features go in, losses come out.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mentee.distillation import recorded_rows
from mentee.distillation.layer_pairs import check_widths, pair_layers, required_layers
from mentee.distillation.terms import (
    ENGINE_ARGUMENTS,
    BoundTerm,
    Builder,
    at_least_float,
    aux_name,
    build_adapters,
    build_memories,
    checked,
    checked_chain,
    compared_shapes,
    look_up,
    reads_other_adapters,
    staged,
    term_name,
    zero_loss,
)
from mentee.distillation.weights import LossWeights, TeacherDropout
from mentee.errors import PairError
from mentee.losses import LOSSES, Context, LossSpec
from mentee.losses.contrast import log_normalizer
from mentee.losses.negatives import Negatives
from mentee.memory import Memory
from mentee.methods import Method, Term
from mentee.parallel import gather, gather_with_grad
from mentee.representations import REPRESENTATIONS, SEVERAL, Adapter, PairInfo, Shape
from mentee.tasks import Task, mixed_mask, task_of
from mentee.types import Batch, Features, LayerPair, Statistics

__all__ = ["BoundTerm", "DistillationLoss", "required_layers"]


class DistillationLoss(nn.Module):
    """The terms of a method for one pair of networks, with the adapters that are trained for them.

    Args:
        method: its terms.
        student_shapes: of the student's features at the `required_layers`, without the batch:
            `{"stages.0": (16, 32, 32), ...}`.
        teacher_shapes: the same of the teacher.
        groups: `[n]`, class of each training example, or None where an example has not one class.
        examples: n, number of training examples.
        classes: how many classes the labels have; None: there are no labels.
        task: what the labels are for; None: a classification, told by their shape.
        statistics: of the teacher's vectors at a layer, for the representations that need them.
        clean_rows: reads the teacher's record, for the memory `record`.
        losses: losses of one's own, by the name that a term gives them.
        representations: builders of representations of one's own, by name.
        seed: of the adapters and of the memories' draws.
        device: where the adapters and the memories are kept.

    Raises:
        PairError: the method does not fit this pair.
        MenteeError: a component or a parameter of the method is not known.
    """

    def __init__(
        self,
        method: Method,
        student_shapes: Mapping[str, Shape],
        teacher_shapes: Mapping[str, Shape],
        *,
        groups: Tensor | None,
        examples: int,
        classes: int | None = None,
        task: Task | None = None,
        statistics: Callable[[str], Statistics] | None = None,
        clean_rows: recorded_rows.CleanRows | None = None,
        losses: Mapping[str, LossSpec] | None = None,
        representations: Mapping[str, Builder] | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.method, self.task = method, task
        self.step = 0
        self.adapters = nn.ModuleDict()
        self.bound_terms: list[BoundTerm] = []
        self._losses: Mapping[str, LossSpec] = LOSSES | dict(losses or {})
        self._builders: Mapping[str, Builder] = REPRESENTATIONS | dict(representations or {})
        self._widths: dict[str, int] = {}
        pairs = [
            (term, pair)
            for each in method.terms
            if each.weight != 0
            for term, pair in staged(each, pair_layers(each, student_shapes, teacher_shapes))
        ]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for term, pair in sorted(
                pairs, key=lambda each: reads_other_adapters(each[0], self._builders)
            ):
                measure = statistics and partial(statistics, str(pair.teacher))
                info = PairInfo(classes, measure, seed)
                self._bind(term, pair, student_shapes, teacher_shapes, info)
        self.to(device)
        rows = torch.arange(examples, device=device)
        self._sides = {b.name: (b.pair.teacher, self.adapters_of(b)[1]) for b in self.bound_terms}
        self.memories, self.bound_terms = build_memories(
            self.bound_terms,
            self._widths,
            rows if groups is None else groups.to(device),
            rows,
            partial(recorded_rows.read, self._sides, clean_rows, device),
            seed,
        )
        aux = {
            aux_name(b): 1.0 for b in self.bound_terms if self.adapters_of(b)[1].own_objective_only
        }
        terms = {b.name: b.term for b in self.bound_terms}
        weights = {name: term.weight for name, term in terms.items()}
        reads = {b.name: b.pair.student.layers for b in self.bound_terms}
        base = {"task": method.task} | weights | aux
        self.loss_weights = LossWeights(terms, base, reads, method.balance)
        self.teacher_dropout: TeacherDropout | None = None
        if method.teacher_dropout and len(method.shares) > 1:
            teacher_of = {name: term.teacher for name, term in terms.items()}
            self.teacher_dropout = TeacherDropout(
                method.teacher_dropout, method.shares, teacher_of, seed
            )

    def _bind(
        self,
        term: Term,
        pair: LayerPair,
        student_shapes: Mapping[str, Shape],
        teacher_shapes: Mapping[str, Shape],
        info: PairInfo,
    ) -> None:
        """Check a term's components, build its adapters and add it."""
        spec = look_up("loss", term.loss, self._losses)
        loss = checked(term.loss, spec.function, reserved=ENGINE_ARGUMENTS)
        if "labels" in spec.needs:
            info.labels(term.loss.name)
        representation = checked_chain(term.representation, self._builders)
        term = replace(term, loss=loss, representation=representation)
        name = term_name(term, pair, self.bound_terms, self.method.name)
        reader = representation.chain[-1].name
        several = reader in SEVERAL or reader not in REPRESENTATIONS
        if len(pair.student.layers) > 1 and not several:
            raise PairError(
                f"{name}: {reader} reads one layer; expected {' or '.join(SEVERAL)} "
                "where several are read together"
            )
        shapes = pair.student.select(student_shapes), pair.teacher.select(teacher_shapes)
        others = [
            self.adapters_of(b)[1].aux_module
            for b in self.bound_terms
            if b.pair.teacher == pair.teacher
        ]
        offered = {"pair_info": info, "other_adapters": others}
        adapters = build_adapters(representation, shapes, offered, self._builders)
        compared = compared_shapes(adapters, shapes)
        has_memory = term.memory is not None and spec.memory != "no"
        if spec.same_width is True or (spec.same_width and has_memory):
            check_widths(name, representation.name, *compared)
        if has_memory and len(compared[0]) != 1:
            raise PairError(
                f"{name}: a memory keeps a vector for each example, the representation has shape "
                f"{compared[0]}; use one that gives vectors, such as project"
            )
        self._widths[name] = compared[0][-1]
        self.adapters[name.replace(".", "_")] = nn.ModuleList(adapters)
        self.bound_terms.append(BoundTerm(name, pair, term, spec))
        recorded_rows.check_constant(self.bound_terms[-1], adapters[1])

    def adapters_of(self, bound: BoundTerm) -> tuple[Adapter, Adapter]:
        """The (student-side, teacher-side) adapters of a term."""
        student, teacher = typing.cast(nn.ModuleList, self.adapters[bound.name.replace(".", "_")])
        return typing.cast(Adapter, student), typing.cast(Adapter, teacher)

    @torch.no_grad()
    def precompute(self, teacher: Features) -> dict[str, Tensor]:
        """The parameter-free part of each term's teacher side: all the terms need of the teacher.

        Args:
            teacher: features by layer, or those parts themselves, by the text of their key.
        """
        return {n: recorded_rows.precomputed(*side, teacher) for n, side in self._sides.items()}

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each loss, as the method has it."""
        return self.loss_weights.base

    def begin(self, batch: Batch, step: int) -> None:
        """Choose the batch's negatives; call it before the batch's `forward`."""
        self.step = step
        for memory in self.memories:
            memory.begin(batch.rows, step)

    def forward(
        self, student: Features, teacher_outputs: Mapping[str, Tensor], batch: Batch
    ) -> dict[str, Tensor]:
        """The unweighted value of each term and of each auxiliary loss, a scalar each.

        Args:
            student: the student's features by layer.
            teacher_outputs: what `precompute` returned for the same batch; a term that is missing
                is not computed.
            batch: labels, masks and mixture of the same examples.
        """
        losses: dict[str, Tensor] = {}
        for bound in self.bound_terms:
            if bound.name in teacher_outputs:
                losses |= self._term_losses(bound, student, teacher_outputs[bound.name], batch)
                continue
            adapters = self.adapters_of(bound)  # a zero that keeps every process in step
            losses[bound.name] = zero_loss(*adapters, device=batch.inputs.device)
            if adapters[1].own_objective_only:
                losses[aux_name(bound)] = losses[bound.name]
        if self.teacher_dropout is not None and teacher_outputs:
            values = {b.name: losses[b.name] for b in self.bound_terms if b.name in teacher_outputs}
            weights = self.loss_weights.effective_there(self.step)
            losses |= self.teacher_dropout(values, weights, batch, self.step)
        return {name: value.mean() for name, value in losses.items()}

    def _term_losses(
        self, bound: BoundTerm, student: Features, teacher: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """The value of one term, and before it that of its auxiliary loss where it has one."""
        student_side, teacher_side = self.adapters_of(bound)
        losses: dict[str, Tensor] = {}
        s = student_side(student_side.precompute(bound.pair.student.select(student)))
        t = teacher_side(teacher.detach())
        with torch.autocast(s.device.type, enabled=False):  # sums need float32 at least
            if teacher_side.own_objective_only:
                aux, features = teacher_side.aux_module, teacher.detach()
                output = t if aux is teacher_side else aux(features)
                aux_input = at_least_float(aux.aux_input(features, output))
                task = self.task or task_of(batch.labels)
                task_loss = partial(task.batch_loss, batch)
                loss = aux.aux_loss(aux_input, task_loss, self.step)
                # Where nothing is learned any more: a zero that keeps every process in step.
                losses[aux_name(bound)] = t.detach().sum() * 0 if loss is None else loss
                t = t.detach() if aux is teacher_side else t
            s, t = student_side.align(at_least_float(s), at_least_float(t))
            losses[bound.name] = self._compare(bound, s, t, batch)
        return losses

    def _compare(self, bound: BoundTerm, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """The loss of a term, with the context that it needs.

        Where the loss compares the examples of the batch with one another, those of all processes
        are gathered: features, labels and mask alike.
        """
        spec, task = bound.spec, self.task or task_of(batch.labels)
        context = Context(mask=mixed_mask(batch), outputs=task.outputs)
        gathered = spec.whole_batch and bound.memory is None
        if gathered:
            gather_teacher = gather_with_grad if spec.trains_teacher else gather
            student, teacher = gather_with_grad(student), gather_teacher(teacher)
            if context.mask is not None and "mask" in spec.needs:
                context = replace(context, mask=gather(context.mask.byte()).bool())
        if bound.memory is not None:
            negatives = bound.memory.read(bound.name, student, teacher)
            context = replace(context, negatives=negatives)
            if "log_z" in spec.needs:
                context = replace(context, log_z=self._log_z(bound, student, teacher, negatives))

        def loss(labels: Tensor | None) -> Tensor:
            keywords = replace(context, labels=labels).select(spec.needs)
            return spec.function(student, teacher, **bound.term.loss.params, **keywords)

        if "labels" not in spec.needs:
            return loss(None)
        return task.loss_with_labels(
            batch, lambda labels: loss(gather(labels) if gathered else labels)
        )

    def _log_z(
        self, bound: BoundTerm, student: Tensor, teacher: Tensor, negatives: Negatives
    ) -> Tensor:
        """The normalizers of a contrast, fixed by the first batch."""
        normalizers = typing.cast(Memory, bound.memory).log_z
        if bound.name not in normalizers:
            params = bound.term.loss.params
            scale: Any = {k: params[k] for k in ("temperature",) if k in params}
            own = log_normalizer(student, teacher, negatives=negatives, **scale)
            normalizers[bound.name] = gather(own.exp()[None]).mean(0).log().cpu()
        return normalizers[bound.name]

    def write(self) -> None:
        """Store the step's vectors in the memories; call it after the optimizer step."""
        for memory in self.memories:
            memory.write()

    def memory_state(self) -> dict[str, Tensor]:
        """The state of all memories."""
        return {
            f"{number}.{key}": value
            for number, memory in enumerate(self.memories)
            for key, value in memory.state().items()
        }

    def load_memory(self, state: Mapping[str, Tensor]) -> None:
        """Resume from a state that `memory_state` returned."""
        for number, memory in enumerate(self.memories):
            prefix = f"{number}."
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            memory.load(own)
