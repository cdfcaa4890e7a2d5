"""How the student is computed, where a recipe leaves it open: by the device, or a measurement."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from mentee.distillation.loop import CompiledForward, Plan
from mentee.distillation.reading import EVERY
from mentee.errors import RecipeError
from mentee.features import Capture, Layer
from mentee.parallel import gather_objects, world
from mentee.recipe import Train
from mentee.runs.checkpoint import random_state, set_random_state
from mentee.teachers import RecordedTeacher
from mentee.teachers.recorded import IN_MEMORY

ROUNDS, LEAST = 10, 0.03
"""Steps of each kind that are timed, and the share of a step that counts as faster."""

WORTH_TRYING = 60.0
"""Seconds of the student's steps below which compiling, 10 to 60 seconds, is not even tried."""


def resolve_precision(train: Train) -> Train:
    """The same with a precision: that of the recipe, else bfloat16 on a GPU that has it."""
    halves = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    default = "bfloat16" if halves else "float32"
    return train.model_copy(update={"precision": train.precision or default})


def set_gpu_defaults(given: Train, train: Train, device: torch.device) -> list[str]:
    """Switch on what makes a GPU faster, unless the recipe asks for float32.

    Args:
        given: as the recipe has it.
        train: with its precision.
        device: of the run.

    Returns:
        The lines for `environment.json`; none where the device is no GPU.
    """
    if device.type != "cuda":
        return []
    exact, cudnn = given.precision == "float32", torch.backends.cudnn
    torch.set_float32_matmul_precision("highest" if exact else "high")
    cudnn.allow_tf32 = not exact
    cudnn.benchmark = not cudnn.deterministic
    chosen = "train.precision" if given.precision else "the default of this GPU"
    return [
        f"precision: {train.precision} ({chosen}); TF32 for what stays float32: "
        f"{'no, train.precision is float32' if exact else 'yes'}",
        f"cuDNN: the fastest convolution of each size is measured: {yes(cudnn.benchmark)}",
        "optimizer: fused, one kernel for all parameters",
        f"losses: read from the GPU every {EVERY} steps",
    ]


def resolve_shard(train: Train) -> tuple[Train, list[str]]:
    """The same with the layout of a split student, whose parameters are contiguous, and lines."""
    if not train.shard:
        return train, []
    lines = [
        f"shard: the student is split over {world()} processes; maps are contiguous"
        if world() > 1
        else "shard: one process has nothing to split; maps are contiguous, as of several"
    ]
    return train.model_copy(update={"channels_last": False}), lines


def record_notes(teachers: Sequence[RecordedTeacher], device: torch.device) -> list[str]:
    """Where the features of recorded teachers are read from, a line each; none without a GPU."""
    if device.type != "cuda":
        return []
    return [
        f"record {each.record.folder.name}: {each.table_bytes / 1e6:,.0f} MB on the GPU"
        if each.table_bytes
        else f"record {each.record.folder.name}: read from disk for each batch, and copied from "
        f"pinned memory (views, or more than {IN_MEMORY / 1e6:,.0f} MB)"
        for each in teachers
    ]


def yes(value: bool) -> str:
    """In a word."""
    return "yes" if value else "no"


def choose_compute_mode(
    train: Train,
    student: nn.Module,
    layers: Sequence[Layer],
    inputs: Callable[[int], Tensor],
    plan: Plan,
    accelerator: Accelerator,
) -> tuple[Train, list[str]]:
    """Settle `train.channels_last` and `train.compile`; what is `auto` is measured.

    Copies of the student are run forward and backward on one batch of so many `inputs`, in turn.
    Nothing of the run is touched: no weight, no statistic, no random state. All processes take what
    the first measures.

    Returns:
        The same without `auto`, and the lines that tell the measurements.

    Raises:
        RecipeError: the recipe has `compile: true`, and nothing can be compiled here.
    """
    if train.compile is True and (reason := why_not_compiled()):
        raise RecipeError(
            f"train.compile is true, but torch.compile does not work here: {reason}; install "
            "what is missing, such as a C++ compiler (g++), or set train.compile: false, or auto"
        )
    if "auto" not in (train.channels_last, train.compile):
        return train, []
    batch = inputs(train.batch // train.gradient_accumulation // world())
    trial = Trial(student.to(accelerator.device), layers, batch, accelerator)
    last, compiled, lines = train.channels_last, train.compile, list[str]()
    before = random_state()
    if last == "auto":
        last, line = trial.channels_last()
        lines.append(line)
    if compiled == "auto":
        compiled, line = trial.compile(last, plan.epochs * plan.batches)
        lines.append(line)
    set_random_state(before)
    last, compiled, lines = gather_objects((last, compiled, lines))[0]
    return train.model_copy(update={"channels_last": last, "compile": compiled}), lines


def why_not_compiled() -> str | None:
    """Why `torch.compile` does not work here, on something tiny; None: it does."""
    try:
        torch.compile(torch.neg, dynamic=False)(torch.zeros(8))
    except Exception as error:  # a missing compiler, a missing header, a folder not writable, ...
        return first_line(error)
    return None


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).strip().partition("\n")[0]


class Trial:
    """Forward and backward passes of copies of a student, which stays as it is."""

    def __init__(
        self, student: nn.Module, layers: Sequence[Layer], inputs: Tensor, accelerator: Accelerator
    ) -> None:
        self.student, self.layers, self.accelerator = student, layers, accelerator
        self.inputs = inputs.to(accelerator.device)

    def channels_last(self) -> tuple[bool, str]:
        """Whether channels-last is used: unless contiguous is faster by `LEAST`."""
        if not any(p.ndim == 4 for p in self.student.parameters()):
            return True, "channels-last: changes nothing for a student without convolutions of maps"
        calls = {"channels-last": self.call(True, False), "contiguous": self.call(False, False)}
        for call in calls.values():
            call()
        last, contiguous = (milliseconds(each) for each in in_turn(calls))
        slower = contiguous < (1 - LEAST) * last
        return not slower, (
            f"channels-last: {'no' if slower else 'yes'}; the student's part of a step takes "
            f"{last:.1f} ms, contiguous {contiguous:.1f} ms"
        )

    def compile(self, last: bool, steps: int) -> tuple[bool, str]:
        """Whether the student is compiled: where that saves more time than it takes."""
        plain = self.call(last, False)
        plain()
        whole = steps * milliseconds(in_turn({"plain": plain})[0]) / 1e3
        if whole < WORTH_TRYING:
            return False, (
                f"compile: no; not tried, since the student's part of all {steps:,} steps takes "
                f"{whole:.0f} s in all"
            )
        call, began = self.call(last, True), time.perf_counter()
        try:
            call()
        except Exception as error:  # no compiler, or a student that it cannot compile
            return False, f"compile: no; torch.compile does not work here: {first_line(error)}"
        spent = time.perf_counter() - began
        call()
        before, after = (milliseconds(e) for e in in_turn({"plain": plain, "compiled": call}))
        return verdict(before, after, spent, steps)

    def call(self, last: bool, compiled: bool) -> Callable[[], None]:
        """One forward and backward pass of a new copy."""
        network = copy.deepcopy(self.student).train()
        how = CompiledForward(network, channels_last=last, compiled=compiled)
        capture = Capture(network, self.layers)

        def call() -> None:
            with self.accelerator.autocast():
                logits = capture.run(how, self.inputs)["logits"]
            logits.float().square().mean().backward()  # type: ignore[no-untyped-call]
            network.zero_grad(set_to_none=True)
            if logits.is_cuda:
                torch.cuda.synchronize()

        return call


def in_turn(calls: Mapping[str, Callable[[], None]]) -> list[list[float]]:
    """Seconds of each call, taken in turn: A B A B."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for each, call in zip(times, calls.values(), strict=True):
            began = time.perf_counter()
            call()
            each.append(time.perf_counter() - began)
    return times


def milliseconds(seconds: Sequence[float]) -> float:
    """The shortest, in ms: whatever else the machine does can only add to it."""
    return 1e3 * min(seconds)


def verdict(before: float, after: float, spent: float, steps: int) -> tuple[bool, str]:
    r"""Whether compiling pays, and the arithmetic; of a step in ms, and seconds spent on compiling.

    Example:
        >>> pays, line = verdict(50.0, 41.0, 21.0, 1560)
        >>> print(pays, line.replace("; ", "\n"))
        False compile: no
        18 % less a step (50.0 → 41.0 ms), 21 s to compile, pays after 2,334 of 1,560 steps
    """
    share, took = 1 - after / before, f"{before:.1f} → {after:.1f} ms"
    if share < LEAST:
        return False, f"compile: no; not {100 * LEAST:.0f} % less a step ({took})"
    pays = round(spent / (before - after) * 1e3) + 1
    return pays < steps, (
        f"compile: {'yes' if pays < steps else 'no'}; {100 * share:.0f} % less a step "
        f"({took}), {spent:.0f} s to compile, pays after {pays:,} of "
        f"{steps:,} steps"
    )
