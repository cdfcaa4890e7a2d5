"""Whether methods fit a pair of networks, and what they cost."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from mentee import models
from mentee.build.classifier_reuse import find_classifier, with_reused_classifier
from mentee.build.compatibility import output_problem
from mentee.build.compute_mode import in_turn, milliseconds
from mentee.catalogue.needs import statistics
from mentee.catalogue.trial_inputs import trial_inputs
from mentee.distillation.loop import DistillationModule
from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.distillation.terms import blank
from mentee.errors import MenteeError, PairError
from mentee.features import Layer, resolve
from mentee.methods import Method
from mentee.recipe import Reuse
from mentee.representations import FeatureShape, Shape
from mentee.tasks import Task, find_task
from mentee.teachers import OnlineTeacher
from mentee.types import Batch

FEW = 64
"""Examples that a memory is built for, to be measured; it grows linearly with their number."""


@dataclass(frozen=True)
class PairResult:
    """Whether a method fits a pair, and what it costs.

    Attributes:
        name: of the method.
        problem: why it does not fit; None: it does.
        heads: parameters that are trained with the student, and dropped.
        added: parameters added to the student, where it keeps the teacher's classifier.
        memory: bytes of the memories.
        record: bytes that a record has of an example and view, in float16 as by default; None:
            nothing can be recorded.
        slowdown: how much longer a step of the student takes, as a share; None: not measured.
    """

    name: str
    problem: str | None = None
    heads: int = 0
    added: int = 0
    memory: int = 0
    record: int | None = 0
    slowdown: float | None = None


class CandidatePair:
    """Two networks by name, and the data that they would be trained on.

    Each network reads inputs of its own kind: an image, a second of audio, or a text. Of two
    kinds, a record of the teacher stands between them.

    Args:
        student: a name for `mentee.models.build`.
        teacher: the same.
        size: height and width of images.
        channels: of images.
        classes: of the labels, and outputs of the student.
        teacher_classes: outputs of the teacher; None: as many.
        examples: in the training set.
        task: of `TASKS`.
        batch: examples of a step, for its time.

    Raises:
        MenteeError: there is no such network or task.
    """

    def __init__(
        self,
        student: str,
        teacher: str,
        *,
        size: int = 32,
        channels: int = 3,
        classes: int = 10,
        teacher_classes: int | None = None,
        examples: int = 50_000,
        task: str = "single",
        batch: int = 64,
    ) -> None:
        self.names = (student, teacher)
        self.classes, self.examples, self.batch = classes, examples, batch
        self.task = find_task(task)
        outputs = classes if teacher_classes is None else teacher_classes
        self.student = models.build(student, classes=classes, channels=channels, seed=0)
        self.teacher = models.build(teacher, classes=outputs, channels=channels, seed=0)
        self.inputs = {
            network: trial_inputs(name, size=size, channels=channels)
            for name, network in ((student, self.student), (teacher, self.teacher))
        }
        self._resolved: dict[tuple[nn.Module, str], tuple[Layer, ...]] = {}
        self._extended: dict[str, nn.Module] = {}

    def apply(self, method: Method, *, time: bool = False) -> PairResult:
        """Bind a method to the pair, without data; `time`: measure how much longer a step takes."""
        try:
            check_task(method, self.task)
            criterion = self.bind(method, FEW)
        except MenteeError as error:
            return PairResult(method.name, str(error))
        heads = models.count_parameters(criterion.adapters)
        student = models.count_parameters(self._student_for(method))
        added = student - models.count_parameters(self.student)
        memory = self._memory_size(method, criterion)
        record = record_size(criterion, self._shapes(self.teacher, required_layers(method)[1]))
        slowdown = self.slowdown(method) if time else None
        return PairResult(method.name, None, heads, added, memory, record, slowdown)

    def bind(self, method: Method, examples: int) -> DistillationLoss:
        """The method bound to the pair, for a training set of so many examples."""
        student_layers, teacher_layers = required_layers(method)
        teacher_shapes = self._shapes(self.teacher, teacher_layers)
        labels = self.task.placeholder(examples, self.classes).numpy()
        groups = self.task.contrast_groups(labels)
        return DistillationLoss(
            method,
            self._shapes(self._student_for(method), student_layers),
            teacher_shapes,
            groups=None if groups is None else torch.zeros(examples, dtype=torch.int32),
            examples=examples,
            classes=None if self.task.name == "none" else self.classes,
            task=self.task,
            statistics=partial(statistics, teacher_shapes),
        )

    def slowdown(self, method: Method) -> float:
        """How much longer a step of the student takes, as a share: forward, losses, backward.

        The teacher's features are computed once, before. Steps with and without the method
        alternate, and the shortest of each count.
        """
        calls = {"alone": self.step(Method("none")), "distilled": self.step(method)}
        for call in calls.values():
            call()
        baseline, whole = (milliseconds(each) for each in in_turn(calls))
        return whole / baseline - 1

    def step(self, method: Method) -> Callable[[], None]:
        """A step with a method: forward, losses, backward; the teacher has run before."""
        batch, module = self._batches[0], self._module(method)
        network = copy.deepcopy(self.teacher)  # hooks stay where they are
        layers = self._layers(self.teacher, required_layers(method)[1])
        teacher = OnlineTeacher(network, layers, self.inputs[self.teacher].contract)
        features = module.criterion.precompute(teacher(self._batches[1]))

        def call() -> None:
            module.criterion.begin(batch, 0)
            module(batch, features)[0].backward()
            module.zero_grad(set_to_none=True)
            module.criterion.write()

        return call

    def _module(self, method: Method) -> DistillationModule:
        network = self._student_for(method)
        layers = self._layers(network, [*dict.fromkeys([*required_layers(method)[0], "logits"])])
        student = copy.deepcopy(network)  # hooks stay on the copy
        # Without labels the step of the student alone has random classes.
        task = find_task("single") if self.task.name == "none" else self.task
        criterion = self.bind(method, self.examples)
        contract = self.inputs[self.student].contract
        return DistillationModule(student, layers, contract, criterion, task=task)

    def _student_for(self, method: Method) -> nn.Module:
        """The student; for a method that reuses it, with the teacher's classifier.

        Raises:
            PairError: the teacher's classifier cannot be reused.
        """
        if not method.reuse:
            return self.student
        if method.reuse not in self._extended:
            contract = self.inputs[self.teacher].contract
            classifier = find_classifier(self.teacher, contract, self._batches[1], method.reuse)
            if len(classifier.weight) != self.classes:
                raise PairError(
                    "it keeps the teacher's classifier, which has "
                    f"{len(classifier.weight)} classes, and the labels have {self.classes}"
                )
            reuse = Reuse(
                layer=method.reuse,
                shape=list(classifier.shape),
                bias=classifier.bias is not None,
                signed=classifier.signed,
            )
            inputs = self.inputs[self.student].blank()
            self._extended[method.reuse] = with_reused_classifier(
                self.student, reuse, inputs, classes=self.classes, seed=0
            )
        return self._extended[method.reuse]

    def _shapes(self, network: nn.Module, names: list[str]) -> dict[str, Shape]:
        return {layer.name: layer.shape for layer in self._layers(network, names)}

    def _layers(self, network: nn.Module, names: Iterable[str]) -> list[Layer]:
        """The layers of these names, each resolved once in each network."""
        for name in names:
            if (network, name) not in self._resolved:
                of = self.teacher if network is self.teacher else self.student
                example = self.inputs[of].blank()
                self._resolved[network, name] = resolve(network, [name], example)
        layers = [layer for name in names for layer in self._resolved[network, name]]
        return list(dict.fromkeys(layers))

    def _memory_size(self, method: Method, criterion: DistillationLoss) -> int:
        """Bytes of the memories with all examples."""
        if not criterion.memories:
            return 0
        few, twice = memory_size(criterion), memory_size(self.bind(method, 2 * FEW))
        return few + (twice - few) * (self.examples - FEW) // FEW

    @cached_property
    def _batches(self) -> tuple[Batch, Batch]:
        """The same examples for the student and the teacher."""
        rows = torch.arange(self.batch) % self.examples
        labels = self.task.placeholder(self.batch, self.classes)
        student, teacher = self.inputs[self.student], self.inputs[self.teacher]
        batch = Batch(student.batch(self.batch), rows, rows, labels)
        alike = teacher.shape == student.shape
        return batch, batch if alike else replace(batch, inputs=teacher.batch(self.batch))


def check_task(method: Method, task: Task) -> None:
    """Refuse a method whose losses are for other outputs."""
    for term in method.terms:
        if problem := output_problem(term, task):
            raise MenteeError(problem.format(examples="the data"))


def memory_size(criterion: DistillationLoss) -> int:
    """Bytes of the memories."""
    return sum(x.numel() * x.element_size() for x in criterion.memory_state().values())


def record_size(criterion: DistillationLoss, shapes: Mapping[str, Shape]) -> int | None:
    """Bytes that a record has of an example and view, in float16; None: it cannot be made."""
    sizes = {}
    for term in criterion.bound_terms:
        adapter = criterion.adapters_of(term)[1]
        if adapter.reduction is None:
            return None
        shape: FeatureShape = term.pair.teacher.select(shapes)
        features: Tensor = adapter.precompute(blank(shape))
        sizes[term.pair.teacher.reduced(adapter.reduction)] = features.numel()
    return 2 * sum(sizes.values())
