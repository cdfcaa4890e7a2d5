"""What the formats of an exported student share: an opened file, and a graph with a free batch."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mentee.errors import MenteeError, RunError, shortened
from mentee.exporting.signature import Signature
from mentee.exporting.student import Student
from mentee.models.packages import quiet
from mentee.teachers.pretrained.onnx_file import session_of

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class OpenedStudent:
    """A student that can be run.

    Attributes:
        signature: what it reads and gives.
        run: a batch of inputs to a batch of outputs, `[b, k]`.
        layers: a batch of inputs to the outputs of its layers, by name; None: they are not known.
    """

    signature: Signature
    run: Callable[[Array], Array]
    layers: Callable[[Array], dict[str, Array]] | None = None


def as_arrays(module: Callable[[Tensor], Tensor]) -> Callable[[Array], Array]:
    """A network as a function of arrays."""

    def run(x: Array) -> Array:
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(x)).float())

    return run


def packages(extra: str, *names: str) -> list[ModuleType]:
    """Optional packages, imported.

    Raises:
        MenteeError: one cannot be imported; says how to install it.
    """
    try:
        with silent():
            return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise MenteeError(
            f"{' and '.join(names)} are needed, and cannot be imported ({error}): "
            f"pip install 'mentee[{extra}]'"
        ) from error


def graph(student: Student) -> torch.export.ExportedProgram:
    """A student's graph, for any number of examples.

    Raises:
        RunError: torch cannot trace it.
    """
    signature = student.signature
    shape = [40 + 2 * axis if side is None else side for axis, side in enumerate(signature.shape)]
    example = torch.zeros(2, *shape, dtype=getattr(torch, signature.dtype))
    free = {0: "batch"} | {i + 1: f"side{i}" for i, n in enumerate(signature.shape) if n is None}
    dynamic = {axis: torch.export.Dim(name, min=1) for axis, name in free.items()}
    try:
        with silent():
            program = torch.export.export(
                student.module, (example,), dynamic_shapes=(dynamic,), strict=False
            )
    except Exception as error:  # whatever tracing makes of someone's code
        raise RunError(
            f"torch.export cannot trace {type(student.network).__name__}: "
            f"{type(error).__name__}: {shortened(str(error), 300)}"
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


@contextmanager
def silent() -> Iterator[None]:
    """What other packages warn of or log in here, short of errors, is their own affair."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with quiet():
            yield
    finally:
        logger.setLevel(level)


def cannot_read(path: object, error: Exception, program: str) -> RunError:
    """The error for a file that its runtime does not read."""
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return RunError(
        f"{program} cannot read {path}: {shortened(lines[0], 300)}; it is damaged or no model: "
        "write it again with mentee export"
    )


def open_session(content: bytes, source: object) -> Any:
    """The content of an ONNX file in onnxruntime, with as many threads as torch has.

    Raises:
        MenteeError: onnxruntime is missing, or the content is damaged.
    """
    (runtime,) = packages("predict", "onnxruntime")
    try:
        return session_of(content, runtime)
    except Exception as error:  # onnxruntime's errors have no common class of their own
        raise cannot_read(source, error, "onnxruntime") from error
