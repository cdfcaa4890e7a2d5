"""Which rows fit two networks, why others do not, and what those cost that do."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from mentee import models
from mentee.build.classifier_reuse import find_classifier, with_reused_classifier
from mentee.build.compatibility import output_problem
from mentee.build.compute_mode import in_turn, milliseconds
from mentee.catalogue.needs import statistics
from mentee.distillation.loop import DistillationModule
from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.distillation.terms import blank
from mentee.errors import MenteeError, PairError
from mentee.features import Layer, resolve
from mentee.methods import Method
from mentee.models import InputContract
from mentee.recipe import Reuse
from mentee.representations import FeatureShape, Shape
from mentee.tasks import Task, find_task
from mentee.teachers import OnlineTeacher
from mentee.types import Batch

FEW = 64
"""Examples that a memory is built for, to be counted; it grows in a line with their number."""


@dataclass(frozen=True)
class Applied:
    """Whether a row applies to a pair, and what it costs.

    Attributes:
        name: of the row.
        problem: why it does not apply; None: it does.
        heads: parameters that are trained beside the student, and dropped.
        kept: parameters that the student has more, where it keeps the teacher's classifier.
        memory: bytes of the memories.
        record: bytes that a record keeps of an example and view, in float16 as by default; None:
            nothing can be recorded.
        slower: how much longer a step of the student takes, as a share; None: not measured.
    """

    name: str
    problem: str | None = None
    heads: int = 0
    kept: int = 0
    memory: int = 0
    record: int | None = 0
    slower: float | None = None


class CandidatePair:
    """Two networks by name, and what they would learn from.

    Args:
        student: a name for `mentee.models.build`.
        teacher: the same.
        size: height and width of the images.
        channels: of the images.
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
        self.image = (channels, size, size)
        self.classes, self.examples, self.batch = classes, examples, batch
        self.task = find_task(task)
        outputs = classes if teacher_classes is None else teacher_classes
        self.student = models.build(student, classes=classes, channels=channels, seed=0)
        self.teacher = models.build(teacher, classes=outputs, channels=channels, seed=0)
        self._found: dict[tuple[nn.Module, str], tuple[Layer, ...]] = {}
        self._ends: dict[str, nn.Module] = {}

    def apply(self, row: Method, *, time: bool = False) -> Applied:
        """Bind a row to the two, without data.

        Args:
            row: any.
            time: measure how much longer a step takes.
        """
        try:
            check_task(row, self.task)
            criterion = self.bind(row, FEW)
        except MenteeError as error:
            return Applied(row.name, str(error))
        heads = models.count_parameters(criterion.adapters)
        kept = models.count_parameters(self._taught(row)) - models.count_parameters(self.student)
        memory = self._kept(row, criterion)
        record = recorded(criterion, self._shapes(self.teacher, required_layers(row)[1]))
        slower = self.slower(row) if time else None
        return Applied(row.name, None, heads, kept, memory, record, slower)

    def bind(self, row: Method, examples: int) -> DistillationLoss:
        """A row bound to the pair, for a training set of so many examples."""
        ours, theirs = required_layers(row)
        taught = self._shapes(self.teacher, theirs)
        made_up = self.task.placeholder(examples, self.classes).numpy()
        groups = self.task.contrast_groups(made_up)
        return DistillationLoss(
            row,
            self._shapes(self._taught(row), ours),
            taught,
            groups=None if groups is None else torch.zeros(examples, dtype=torch.int32),
            examples=examples,
            classes=None if self.task.name == "none" else self.classes,
            task=self.task,
            statistics=partial(statistics, taught),
        )

    def slower(self, row: Method) -> float:
        """How much longer a step of the student takes, as a share: forward, losses, backward.

        What the teacher says is computed once, before. Both kinds of step are taken in turn, and
        the shortest of each count.
        """
        batch, network = self._batch, copy.deepcopy(self.teacher)  # hooks stay where they are
        places = self._places(self.teacher, required_layers(row)[1])
        alone, taught = self._trainee(Method("none")), self._trainee(row)
        said = taught.criterion.precompute(OnlineTeacher(network, places, self._contract)(batch))

        def step(module: DistillationModule, fixed: Mapping[str, Tensor]) -> None:
            module.criterion.begin(batch, 0)
            module(batch, fixed)[0].backward()
            module.zero_grad(set_to_none=True)
            module.criterion.write()

        calls = {"alone": partial(step, alone, {}), "taught": partial(step, taught, said)}
        for call in calls.values():
            call()
        own, whole = (milliseconds(each) for each in in_turn(calls))
        return whole / own - 1

    def _trainee(self, row: Method) -> DistillationModule:
        network = self._taught(row)
        places = self._places(network, [*dict.fromkeys([*required_layers(row)[0], "logits"])])
        learner = copy.deepcopy(network)  # hooks do not stay behind
        # Without labels the student's own step is that of made-up classes.
        task = find_task("single") if self.task.name == "none" else self.task
        criterion = self.bind(row, self.examples)
        return DistillationModule(learner, places, self._contract, criterion, task=task)

    def _taught(self, row: Method) -> nn.Module:
        """The student that learns: with the teacher's classifier behind it, for a row that says so.

        Raises:
            PairError: the teacher's cannot be kept.
        """
        if not row.reuse:
            return self.student
        if row.reuse not in self._ends:
            kept = find_classifier(self.teacher, self._contract, self._batch, row.reuse)
            if len(kept.weight) != self.classes:
                raise PairError(
                    f"it keeps the teacher's classifier, which has {len(kept.weight)} classes, and "
                    f"the labels have {self.classes}"
                )
            end = Reuse(
                layer=row.reuse,
                shape=list(kept.shape),
                bias=kept.bias is not None,
                signed=kept.signed,
            )
            inputs = torch.zeros(2, *self.image)
            self._ends[row.reuse] = with_reused_classifier(
                self.student, end, inputs, classes=self.classes, seed=0
            )
        return self._ends[row.reuse]

    def _shapes(self, network: nn.Module, names: list[str]) -> dict[str, Shape]:
        return {place.name: place.shape for place in self._places(network, names)}

    def _places(self, network: nn.Module, names: Iterable[str]) -> list[Layer]:
        """Each name is looked up once in each network."""
        for name in names:
            if (network, name) not in self._found:
                example = torch.zeros(2, *self.image)
                self._found[network, name] = resolve(network, [name], example)
        found = [place for name in names for place in self._found[network, name]]
        return list(dict.fromkeys(found))

    def _kept(self, row: Method, criterion: DistillationLoss) -> int:
        """Bytes of the memories with all examples."""
        if not criterion.memories:
            return 0
        few, twice = held(criterion), held(self.bind(row, 2 * FEW))
        return few + (twice - few) * (self.examples - FEW) // FEW

    @cached_property
    def _contract(self) -> InputContract:
        half = (0.5,) * self.image[0]
        return InputContract(half, half)

    @cached_property
    def _batch(self) -> Batch:
        rows = torch.arange(self.batch) % self.examples
        labels = self.task.placeholder(self.batch, self.classes)
        return Batch(torch.rand(self.batch, *self.image), rows, rows, labels)


def check_task(row: Method, task: Task) -> None:
    """Refuse a method whose losses are for other outputs.

    Raises:
        MenteeError: they are.
    """
    for term in row.terms:
        if problem := output_problem(term, task):
            raise MenteeError(problem.format(examples="the data"))


def held(criterion: DistillationLoss) -> int:
    """Bytes of what the memories keep."""
    return sum(x.numel() * x.element_size() for x in criterion.memory_state().values())


def recorded(criterion: DistillationLoss, shapes: Mapping[str, Shape]) -> int | None:
    """Bytes that a record keeps of an example and view, in float16; None: it cannot be made.

    Args:
        criterion: the bound method.
        shapes: what is read of the teacher.
    """
    columns = {}
    for bound in criterion.bound_terms:
        side = criterion.adapters_of(bound)[1]
        if side.reduction is None:
            return None
        shape: FeatureShape = bound.pair.teacher.select(shapes)
        said: Tensor = side.precompute(blank(shape))
        columns[bound.pair.teacher.reduced(side.reduction)] = said.numel()
    return 2 * sum(columns.values())
