"""The outputs of a network: checked to be one logit for each class before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mentee.build.datasets import DatasetSplits
from mentee.errors import RecipeError
from mentee.features.layer import first_tensor, named_tensors
from mentee.features.trace import evaluated, unreadable
from mentee.recipe import Network
from mentee.tasks import Task

ADDS_UP = 1e-3
"""How far the probabilities of an example may be from adding up to 1."""

FEW = 16
"""Numbers between 0 and 1 that may be so by accident, where nothing else tells what they are."""


@dataclass(frozen=True)
class Expected:
    """What the outputs of a network are to be: `count` for each example.

    Attributes:
        who: whose they are, for messages: `the student Net`.
        key: of its number of outputs in the recipe: `student.classes`.
    """

    who: str
    key: str
    count: int
    task: Task

    @property
    def each(self) -> str:
        """What each output is of, for messages: `10 classes`."""
        noun = "target" if self.task.outputs == "values" else "class"
        plural = "es" if noun == "class" else "s"
        return f"{self.count} {noun}{'' if self.count == 1 else plural}"


def expected_outputs(network: nn.Module, recipe: Network, splits: DatasetSplits) -> Expected | None:
    """What a student's outputs are to be; None: any, for a task of one's own.

    Raises:
        RecipeError: the recipe says another number of outputs than the labels need.
    """
    task, classes, k = splits.train.task, splits.classes, recipe.classes or splits.classes
    if splits.train.labels is not None:
        if task.outputs is None:
            return None
        if k < classes or (task.outputs != "class logits" and k != classes):
            raise RecipeError(
                f"student.classes is {k}, and {splits.train.name} has {classes} "
                f"{'targets' if task.outputs == 'values' else 'classes'}; leave student.classes out"
            )
    return Expected(f"student {type(network).__name__}", "student.classes", k, task)


def check_outputs(value: object, examples: int, expected: Expected) -> None:
    """Make sure that what a network returned for b examples has its logits where they are read."""
    taken, tensors = first_tensor(value), named_tensors(value)
    wanted = (examples, expected.count)
    name = next((name for name, tensor in tensors.items() if tensor is taken), "")
    if taken is None:
        raise RecipeError(
            f"{expected.who} returned no tensor ({type(value).__name__}); {how_to_name()}"
        )
    several = ", ".join(f"{n} {list(t.shape)}" for n, t in tensors.items())
    what = f"{name} of ({several})" if len(tensors) > 1 else f"its output {list(taken.shape)}"
    if tuple(taken.shape) != wanted:
        more = (
            f", or say how many it has: {expected.key}: {taken.shape[1]}"
            if taken.ndim == 2 and len(tensors) == 1 and taken.shape[1] > expected.count
            else ""
        )
        raise RecipeError(
            f"{expected.who}: {what} is taken as its logits for {examples} examples; expected "
            f"{list(wanted)}, for {expected.each}. {how_to_name()}{more}"
        )
    last = max(tensors, key=lambda each: order(tensors[each]))
    later = order(tensors[last]) > order(taken) and tuple(tensors[last].shape) == wanted
    if name.rpartition(".")[2] != "logits" and later:
        raise RecipeError(
            f"{expected.who}: {what} is taken as its logits, but {last} has the same shape and is "
            f"computed after it, so that {name} may be of an auxiliary classifier. {how_to_name()}"
        )


def check_teacher_outputs(value: object, examples: int, expected: Expected) -> None:
    """As `check_outputs`, where a tensor is as large as is expected; else it has other outputs."""
    size = examples * expected.count
    if any(each.numel() == size for each in named_tensors(value).values()):
        check_outputs(value, examples, expected)


def call(network: nn.Module, inputs: Tensor) -> object:
    """What a network returns in evaluation mode, with its graph; its modes are put back.

    Raises:
        MenteeError: it cannot read the inputs.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), evaluated(network):
            return network(inputs.clone())
    except Exception as error:  # whatever a module of someone else's may raise
        raise unreadable(network, inputs, error) from error


def how_to_name() -> str:
    """How a network names its logits, as a sentence without its end."""
    return 'Let it return the logits alone, or by name: {"logits": ...}'


def order(tensor: Tensor) -> int:
    """When a tensor was computed, as a number that grows; −1 where that is not known."""
    return -1 if tensor.grad_fn is None else int(tensor.grad_fn._sequence_nr())


def probabilities(outputs: Tensor, task: Task) -> str | None:
    """`softmax` or `sigmoid`, where outputs `[b, k]` are probabilities; None: they are logits."""
    several = task.outputs == "label logits"
    if task.outputs == "values" or outputs.ndim != 2 or not outputs.is_floating_point():
        return None
    values = outputs.detach().float()
    if not bool(((values >= 0) & (values <= 1 + ADDS_UP)).all()):
        return None
    if not several and values.shape[1] > 1:
        total = values.sum(1)
        if bool(((total - 1).abs() < ADDS_UP).all()):
            return "softmax"
    last = None if outputs.grad_fn is None else outputs.grad_fn.name()
    known = last == "SigmoidBackward0" or (last is None and values.numel() > FEW)
    return "sigmoid" if known else None


def operations(tensors: Iterable[Tensor]) -> set[str]:
    """The names of all operations that some tensors were computed by."""
    nodes = [tensor.grad_fn for tensor in tensors]
    known = set(nodes)
    while nodes:
        node = nodes.pop()
        new = {each for each, _ in node.next_functions} - known if node else set()
        nodes += new
        known |= new
    return {node.name() for node in known if node is not None}


class LogProbabilities:
    """A forward hook that turns a network's probabilities into logits of the same probabilities.

    Args:
        kind: `softmax`: log p; `sigmoid`: log p − log(1 − p).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, module: nn.Module, inputs: object, output: object) -> Tensor:
        """The logits alone."""
        p = first_tensor(output)
        if p is None:
            raise RecipeError(f"{type(module).__name__} returned no tensor")
        tiny = torch.finfo(torch.float32).tiny
        log = p.float().clamp(min=tiny).log()
        return log if self.kind == "softmax" else log - (1 - p.float()).clamp(min=tiny).log()


def give_logits(
    network: nn.Module, inputs: Tensor, expected: Expected, notes: list[str] | None
) -> None:
    """Check where a teacher's logits are, and let it return logits where it has probabilities.

    Raises:
        MenteeError: it cannot read the examples, or which of its outputs are logits is not clear.
    """
    scripted = isinstance(network, torch.jit.ScriptModule)
    for each in network.parameters():  # for the graph, which tells what was computed last
        each.requires_grad_(each.is_floating_point() and not scripted)
    outputs = call(network, inputs)
    check_teacher_outputs(outputs, len(inputs), expected)
    logits = first_tensor(outputs)
    if logits is None or (kind := probabilities(logits, expected.task)) is None:
        return
    if scripted:
        raise RecipeError(
            f"{expected.who} returns probabilities ({kind}) and is scripted, so that they cannot "
            "be turned into logits; pass a network that returns logits"
        )
    network.register_forward_hook(LogProbabilities(kind))
    network.fingerprint_settings = kind  # type: ignore[assignment]
    if notes is not None:
        used = "logarithms" if kind == "softmax" else "log-odds"
        notes.append(
            f"{expected.who}: its outputs are probabilities ({kind}); their {used} are used as "
            "logits"
        )
