"""What `mentee benchmark` measures: networks of a run, each in a runtime."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mentee.build import networks
from mentee.build.overrides import PASSED_PREFIX
from mentee.errors import MenteeError, RunError, shortened
from mentee.evaluation.student_reader import finished_recipe
from mentee.exporting import onnx_format
from mentee.exporting.int8 import FILE as INT8
from mentee.exporting.predictor import OPENERS
from mentee.exporting.runtime import Array, as_arrays
from mentee.exporting.signature import Signature
from mentee.exporting.student import Student, open_run
from mentee.models import count_parameters, normalize
from mentee.recipe import Ensemble, Network, Recipe, single_teachers
from mentee.runs.folder import Folder

COMPILERS = ("g++", "clang++", "c++")
ONNX = """
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[2], providers=["CPUExecutionProvider"])
run = lambda x: session.run(None, {session.get_inputs()[0].name: x})
"""
TORCH = """
from mentee.exporting.subjects import pytorch
run = pytorch(sys.argv[2], sys.argv[3])
"""


@dataclass(frozen=True)
class Subject:
    """A network in a runtime.

    Attributes:
        network: `student` or `teacher`.
        runtime: its name.
        start: opens it, with as many threads as torch has, as a function of a batch.
        process: the code that opens it in a fresh process, and its arguments; None: it cannot be.
        parameters: how many it learned; None: not known.
        macs: multiply-accumulates of one example; None: not known.
        bytes: of its file.
    """

    network: str
    runtime: str
    start: Callable[[], Callable[[Array], Any]]
    process: tuple[str, ...] | None
    parameters: int | None
    macs: int | None
    bytes: int | None


def of_file(path: Path, signature: Signature) -> Subject:
    """An exported file in its runtime."""
    onnx, about = path.suffix == ".onnx", signature.about
    runtime = (
        "torch.export" if not onnx else "onnxruntime int8" if "int8" in about else "onnxruntime"
    )
    process = (ONNX, str(path)) if onnx else None
    start: Callable[[], Any] = lambda: OPENERS[path.suffix](path).run  # noqa: E731
    size = path.stat().st_size
    return Subject("student", runtime, start, process, about.get("parameters"), None, size)


def of_run(
    path: Path,
    student: Student,
    inputs: Array,
    temporary: Path,
    skipped: list[str],
    compile: bool,
) -> list[Subject]:
    """A run's student in PyTorch, compiled, and in onnxruntime."""
    module, parameters = student.module, count_parameters(student.network)
    macs, size = multiplications(module, inputs), Folder(path).student.stat().st_size
    passed = PASSED_PREFIX in student.recipe.student.network
    process = None if passed else (TORCH, str(path), "student")
    subjects = [
        Subject("student", "PyTorch", lambda: as_arrays(module), process, parameters, macs, size)
    ]

    def compiled() -> Callable[[Array], Any]:
        torch._dynamo.reset()  # what is compiled has the number of threads in it
        return as_arrays(torch.compile(module, dynamic=False))

    names = [os.environ.get("CXX", ""), *COMPILERS]
    if compile and not any(map(shutil.which, names)):
        skipped.append(f"student, torch.compile: there is no C++ compiler ({', '.join(COMPILERS)})")
    elif compile:
        subjects.append(Subject("student", "torch.compile", compiled, None, parameters, macs, size))
    for name in (onnx_format.FILE, INT8):
        file = Path(path) / "export" / name
        try:
            if not same_weights(file, student):
                if name == INT8:
                    raise RunError("export/model-int8.onnx is not there: mentee export RUN --int8")
                file = temporary / name
                onnx_format.write(student, temporary, opset=onnx_format.checked_opset(None))
            subject = of_file(file, onnx_format.open_file(file).signature)
            subjects.append(replace(subject, macs=macs))
        except MenteeError as error:
            skipped.append(f"student, onnxruntime{' int8' * (name == INT8)}: {reason(error)}")
    return subjects


def same_weights(file: Path, student: Student) -> bool:
    """Whether a file holds this student, with the same outputs."""
    if not file.is_file():
        return False
    reads, own = onnx_format.open_file(file).signature, student.signature
    same = reads.about.get("weights") == own.about["weights"] and reads.shape == own.shape
    return same and (reads.output, reads.dtype) == (own.output, own.dtype)


def of_teachers(
    path: Path, recipe: Recipe, student: Student, inputs: Array, skipped: list[str]
) -> Iterator[Subject]:
    """The teachers of a recipe that are networks and can be built."""
    for name, each in single_teachers(recipe.teacher).items():
        label = f"teacher {name}".strip()
        if (online := each.online) is None:
            skipped.append(f"{label}: it is read from a record or an average, not run")
            continue
        try:
            module = teacher_module(online, student)
        except MenteeError as error:
            skipped.append(f"{label}: {reason(error)}")
            continue
        size = sum(each.numel() * each.element_size() for each in module.state_dict().values())
        yield Subject(
            label,
            "PyTorch",
            lambda module=module: as_arrays(module),  # type: ignore[misc]
            (TORCH, str(path), label),
            count_parameters(module),
            multiplications(module, inputs),
            size,
        )


class Normalized(nn.Module):
    """A teacher behind its normalization; images of uint8 are divided by 255."""

    def __init__(self, network: nn.Module, contract: Any) -> None:
        super().__init__()
        self.network, self.contract = network, contract

    def forward(self, x: torch.Tensor) -> Any:
        """What the network gives."""
        images = x.ndim == 4 and x.dtype == torch.uint8
        return self.network(normalize(x / 255 if images else x, self.contract))


def teacher_module(recipe: Network | Ensemble, student: Student) -> nn.Module:
    """A teacher with its weights, which reads what the student's file reads."""
    network, contract = networks.build_teacher(recipe, None, student.splits, seed=0)
    return Normalized(network.cpu(), contract).eval().requires_grad_(False)


def pytorch(path: str, name: str) -> Callable[[Array], Any]:
    """A run's student or teacher, by its name among `Subject.network`, as a function of a batch."""
    recipe = finished_recipe(path)
    student = open_run(path)
    if name == "student":
        return as_arrays(student.module)
    teachers = single_teachers(recipe.teacher)
    each = teachers[name.removeprefix("teacher").strip()]
    return as_arrays(teacher_module(cast("Network | Ensemble", each), student))  # it was listed


def multiplications(module: nn.Module, inputs: Array) -> int:
    """Multiply-accumulates of convolutions, matrix products and attention for one example."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module(torch.from_numpy(inputs[:1]))
    return counter.get_total_flops() // 2


def reason(error: Exception) -> str:
    """The first line of an error."""
    return shortened((str(error).strip().splitlines() or [type(error).__name__])[0], 200)
