"""A trial of the student before its first step: forward and backward as in training, on a copy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mentee import models
from mentee.build.outputs import Expected, call, check_outputs, operations, probabilities
from mentee.errors import MenteeError, RecipeError
from mentee.features import Capture, Layer
from mentee.features.layer import first_tensor
from mentee.features.trace import unreadable
from mentee.runs.checkpoint import random_state, set_random_state

REENTRANT = "CheckpointFunctionBackward"
"""The operation of a reentrant activation checkpoint, which computes its inside without a graph."""


def check_student_outputs(student: nn.Module, inputs: Tensor, expected: Expected | None) -> None:
    """See that a student's outputs are logits, as it is evaluated.

    Raises:
        MenteeError: it cannot read the inputs, its logits are not where they are read, or it ends
            in a softmax or a sigmoid, of which the task's loss has another.
    """
    if expected is None:
        return
    outputs = call(student, inputs)
    check_outputs(outputs, len(inputs), expected)
    logits = first_tensor(outputs)
    kind = None if logits is None else probabilities(logits, expected.task)
    if kind is not None:
        raise RecipeError(
            f"{expected.who} returns probabilities (it ends in a {kind}), and the task's loss "
            "expects logits; let it return what goes into them"
        )


def try_student(
    student: nn.Module, layers: Sequence[Layer], inputs: Tensor, expected: Expected | None
) -> list[str]:
    """Run a student as training will, on at most two examples, and see that it can be trained.

    Nothing of it is touched, nor any random state.

    Returns:
        The names of trained parameters that nothing of what is read depends on.

    Raises:
        MenteeError: it cannot be run in training mode, its logits are not where they are read
            then, or no gradient reaches a layer.
    """
    try:
        copy = models.copied(student)
    except MenteeError:  # what a function of one's own has made may be run, but not copied
        return []
    before = random_state()
    try:
        features = train_forward(copy, layers, inputs, expected)
    finally:
        set_random_state(before)
    trained = {name: each for name, each in copy.named_parameters() if each.requires_grad}
    reached = [each for each in features.values() if each.requires_grad]
    if not trained or not reached:
        return list(trained)
    used = set(operations(reached))
    for name, each in features.items():
        if not each.requires_grad and REENTRANT in used:
            raise RecipeError(
                f"the student's layer {name} lies within a reentrant activation checkpoint, where "
                "no gradient reaches it; use torch.utils.checkpoint with use_reentrant=False, or "
                "switch gradient checkpointing off"
            )
    copy.zero_grad(set_to_none=True)
    torch.stack([each.float().sum() for each in reached]).sum().backward()  # type: ignore[no-untyped-call]
    return [name for name, each in trained.items() if each.grad is None]


def train_forward(
    network: nn.Module, layers: Sequence[Layer], inputs: Tensor, expected: Expected | None
) -> dict[str, Tensor]:
    """The features of a network in training mode, with their graph; its outputs are checked."""
    returned: list[object] = []

    def forward(x: Tensor) -> object:
        try:
            returned.append(network(x))
        except Exception as error:  # whatever a module of someone else's may raise
            if len(x) == 1 and "more than 1 value per channel" in str(error):
                raise RecipeError(
                    f"{type(network).__name__} has batch norms, which in training need more than "
                    "one value for each channel, and each process has one example in a batch: "
                    "raise train.batch, or lower train.gradient_accumulation"
                ) from error
            raise unreadable(network, x, error) from error
        return returned[-1]

    with Capture(network.train(), layers) as capture, torch.enable_grad():
        features = capture.run(forward, inputs.clone())
    if expected is not None:
        check_outputs(returned[-1], len(inputs), expected)
    return features
