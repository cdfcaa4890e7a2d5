"""ONNX files: written by torch's exporter, run by onnxruntime."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mentee.errors import MenteeError, RunError
from mentee.exporting.layer_difference import onnx_layers
from mentee.exporting.runtime import OpenedStudent, graph, open_session, packages, silent
from mentee.exporting.signature import KEY, read_signature
from mentee.exporting.student import Student

FILE = "model.onnx"
OPSET = 18
"""The operator set that torch's exporter is written for; the oldest that it can write."""


def checked_opset(opset: int | None) -> int:
    """The operator set, where it exists and torch can write it; None: the default.

    Raises:
        MenteeError: it cannot be written, or packages are missing.
    """
    onnx, _, _ = packages("export", "onnx", "onnxscript", "onnxruntime")
    opset, newest = OPSET if opset is None else opset, onnx.defs.onnx_opset_version()
    if not OPSET <= opset <= newest:
        raise MenteeError(
            f"opset {opset} cannot be written: torch and onnx {onnx.__version__} write {OPSET} to "
            f"{newest}; leave it out for {OPSET}"
        )
    return opset


def write(student: Student, folder: Path, *, opset: int) -> None:
    """Write `model.onnx`, and `predict.py`, which runs it without Mentee and torch.

    Raises:
        RunError: torch cannot turn the network into ONNX.
    """
    program = graph(student)
    try:
        with silent():
            exported: Any = torch.onnx.export(
                program,
                (),
                input_names=["input"],
                output_names=[student.signature.output],
                opset_version=opset,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # of onnxscript, onnx or torch
        reason = str(error.__cause__ or error).strip().splitlines()[:1]
        raise RunError(
            f"{type(student.network).__name__} cannot be written as ONNX "
            f"({type(error).__name__}: {''.join(reason)}); try --format pt2"
        ) from error
    model = exported.model
    written = model.opset_imports.get("")
    if written != opset:
        raise RunError(
            f"the graph could not be written in opset {opset}, it has {written}; leave it out"
        )
    sides = [side or f"side{axis}" for axis, side in enumerate(student.signature.shape, 1)]
    for value, shape in ((model.graph.inputs[0], sides), (model.graph.outputs[0], None)):
        value.shape = type(value.shape)(["batch", *(shape or list(value.shape)[1:])])
    model.metadata_props[KEY] = student.signature.dump()
    model.producer_name = "mentee"
    with silent():
        exported.save(folder / FILE, external_data=False)
    shutil.copyfile(Path(__file__).with_name("standalone.py"), folder / "predict.py")


def open_file(path: Path) -> OpenedStudent:
    """An ONNX file that `write` wrote, in onnxruntime.

    Raises:
        MenteeError: onnxruntime is missing, or the file is damaged or another one.
    """
    content = path.read_bytes()  # whatever characters its name has
    session = open_session(content, path)
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    name = session.get_inputs()[0].name
    return OpenedStudent(
        read_signature(text, path),
        lambda x: session.run(None, {name: x})[0],
        partial(onnx_layers, content),
    )
