"""Files of `torch.export`: a graph that torch alone loads and runs."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mentee.errors import RunError
from mentee.exporting.layer_difference import module_layers
from mentee.exporting.runtime import OpenedStudent, as_arrays, cannot_read, graph, silent
from mentee.exporting.signature import KEY, read_signature
from mentee.exporting.student import Student

FILE = "model.pt2"
EXTRA = f"{KEY}.json"
MEMBERS = re.compile(
    r"[^/]+/(data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt|models/model\.json|extra/mentee\.json"
    r"|archive_format|archive_version|byteorder|version|\.data/\w+)"
)
"""What an archive of plain tensors and a graph has: no libraries, no pickled objects."""
OPERATION = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|torch\.sym_\w+|math\.\w+|_operator\.(?!call|\w+er\b)\w+"
)
"""What a node of a graph calls."""
EXPRESSION = re.compile(r"([A-Z]\w*\(|'\w+'|\w+=|True|False|None|\d+|[),\s+\-*/])*")
"""A size in a graph, such as `Symbol('s7', integer=True)`; torch evaluates it as Python."""
FORCED = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def write(student: Student, folder: Path) -> None:
    """Write `model.pt2`."""
    with silent():
        torch.export.save(
            graph(student), folder / FILE, extra_files={EXTRA: student.signature.dump()}
        )


def open_file(path: Path) -> OpenedStudent:
    """A file that `write` wrote. No code that it names is run.

    Raises:
        RunError: it is damaged, another one, or holds pickled objects.
    """
    extra: dict[str, Any] = {EXTRA: ""}
    try:
        refuse_code(path)
        with silent(), weights_only():
            module = torch.export.load(path, extra_files=extra).module()
    except (OSError, RunError):
        raise
    except Exception as error:  # a damaged archive shows in many ways
        raise cannot_read(path, error, "torch.export") from error
    layers = partial(module_layers, module)
    return OpenedStudent(read_signature(extra[EXTRA], path), as_arrays(module), layers)


def refuse_code(path: Path) -> None:
    """Make sure that an archive holds tensors and a graph alone.

    Raises:
        RunError: it holds something else, which could run code when it is loaded.
    """
    with zipfile.ZipFile(path) as archive:
        if archive.filelist and min(each.header_offset for each in archive.filelist) > 0:
            raise zipfile.BadZipFile("its end is missing")  # an archive within it was found
        foreign = [name for name in archive.namelist() if not MEMBERS.fullmatch(name)]
        for name in archive.namelist():
            if name.endswith(".json") and not foreign:
                content = json.loads(archive.read(name))
                foreign = [f"{name}: {each[:40]!r}" for each in code_in(content)]
    if foreign:
        raise RunError(
            f"{path} holds more than tensors and a graph ({foreign[0]}), which could run code; "
            "expected a file that mentee export wrote"
        )


def code_in(content: Any) -> Iterator[str]:
    """What anywhere in a graph is pickled, calls more than operators, or is evaluated as Python."""
    if isinstance(content, list):
        for each in content:
            yield from code_in(each)
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if key in ("use_pickle", "guards_code") and value:
            yield key
        elif key == "expr_str" and not EXPRESSION.fullmatch(str(value)):
            yield str(value)
        elif key == "nodes" and isinstance(value, list):
            calls = (str(node.get("target")) for node in value if isinstance(node, dict))
            yield from (call for call in calls if not OPERATION.fullmatch(call))
        yield from code_in(value)


@contextmanager
def weights_only() -> Iterator[None]:
    """While this lasts, `torch.load` unpickles tensors alone, whoever calls it."""
    before = os.environ.get(FORCED)
    os.environ[FORCED] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[FORCED]
        else:
            os.environ[FORCED] = before
