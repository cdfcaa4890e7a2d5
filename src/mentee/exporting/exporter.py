"""`mentee export`: a run's student as files that others run."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from mentee import files
from mentee.build.overrides import ModelFactory, PythonOverrides
from mentee.errors import MenteeError, suggest
from mentee.evaluation.student_reader import finished_recipe
from mentee.exporting import onnx_format, pt2_format, source_format, timm_format
from mentee.exporting.gate import TOLERANCE, Parity, compare, refuse
from mentee.exporting.int8 import FILE as INT8
from mentee.exporting.int8 import MAX_DROP, Quantized, quantize
from mentee.exporting.layer_difference import first_difference
from mentee.exporting.signature import Signature
from mentee.exporting.student import held_out, open_run
from mentee.locks import folder_lock

FORMATS: dict[str, ModuleType] = {
    "onnx": onnx_format,
    "pt2": pt2_format,
    "timm": timm_format,
    "safetensors": source_format,
}
"""By name: `write` into a folder, `open_file`, and the name of the `FILE`, where it is one."""
WHOLE = ("timm", "safetensors")
"""Formats of the whole network as a folder."""
EXAMPLES = 256


@dataclass(frozen=True)
class Exported:
    """A student that was exported.

    Attributes:
        path: the file, or the folder.
        signature: what it reads and gives.
        parity: how its outputs compare with the student's.
        int8: what quantization cost and saved, where it was asked for.
    """

    path: Path
    signature: Signature
    parity: Parity
    int8: Quantized | None = None


def export(
    run: str | Path,
    *,
    format: str = "onnx",
    out: str | Path | None = None,
    output: str | None = None,
    dtype: str = "uint8",
    resize: bool = False,
    opset: int | None = None,
    tolerance: float = TOLERANCE,
    examples: int = EXAMPLES,
    data: Any = None,
    student: ModelFactory | None = None,
    int8: bool = False,
    max_drop: float = MAX_DROP,
) -> Exported:
    """Write a run's student as a file that needs no Mentee, and compare its outputs.

    Its preprocessing is inside: the step from bytes to numbers and the normalization of images, the
    log-mel spectrogram of audio, the embedding or hashing of a text's bytes. The file is read back
    with its own runtime and run on held-out examples; where outputs differ, nothing is written.

    Args:
        run: the run's folder.
        format: `onnx` (for onnxruntime), `pt2` (`torch.export.load`), `timm` (a folder for
            `timm.create_model("local-dir:FOLDER", pretrained=True)`; normalization and units are
            numbers in its `config.json`), or `safetensors` (a state dict, and the class with its
            preprocessing as a Python file).
        out: the folder that it is written into; None: `RUN/export`, or `RUN/export/FORMAT` of the
            last two.
        output: `logits` (of a regression, values in the units of the labels), or `embedding`; None:
            the embedding where the run had no labels.
        dtype: of images: `uint8`, or `float32` in [0, 1]; both `[b, c, h, w]`.
        resize: images come in any size (a batch of one), and are resized to `data.size` inside.
        opset: of ONNX; None: 18.
        tolerance: by how much outputs may differ, as a share of the largest one or of 1.
        examples: how many of validation (else of the test part, else of training) are compared at
            most.
        data: as for `train`, where it was passed there.
        student: the module, where it was passed from Python.
        int8: write `model-int8.onnx` too, with 8-bit integers inside, if it is within `max_drop`
            and smaller or faster here; see `mentee.exporting.int8.quantize`.
        max_drop: of int8: by how many points (hundredths) the score of validation may drop.

    Returns:
        What was written.

    Raises:
        MenteeError: the run has no student, a package is missing, the network cannot be traced, or
            the outputs differ; nothing is written.
    """
    recipe = finished_recipe(run)
    if format not in FORMATS:
        raise MenteeError(f"no format {format!r}: {suggest(format, FORMATS)}")
    if opset is not None and format != "onnx":
        raise MenteeError(f"opset is of onnx, and the format is {format}; leave it out")
    if int8 and format != "onnx":
        raise MenteeError(f"int8 is of onnx, and the format is {format}; leave one of them out")
    if not max_drop >= 0:
        raise MenteeError(f"int8 may lose 0 points or more (max_drop); got {max_drop:g}")
    if examples < 1 or not tolerance > 0:
        raise MenteeError(
            f"at least 1 example is compared, with a tolerance above 0; got {examples} examples "
            f"and {tolerance:g}"
        )
    if format in WHOLE:
        if output == "embedding" or (resize and format == "timm"):
            raise MenteeError(
                f"{format} holds a network as it is; an embedding, or resizing inside, needs "
                "--format onnx or pt2"
            )
        output, dtype = "logits", "float32" if format == "timm" else dtype
    to = FORMATS[format]
    write = to.write
    if format == "onnx":
        write = partial(write, opset=onnx_format.checked_opset(opset))
    PythonOverrides(data, student).check(recipe.model_copy(update={"teacher": None}))
    own = Path(run) / "export" / (format if format in WHOLE else "")
    folder = own if out is None else files.usable(out)
    with written_together(folder) as temporary:
        splits, some, part = held_out(recipe, data, examples)
        shipped = open_run(run, splits, student=student, output=output, dtype=dtype, resize=resize)
        write(shipped, temporary)
        opened = to.open_file(temporary / to.FILE)
        parity = compare(shipped, opened, some, part)
        refuse(parity, tolerance, partial(first_difference, shipped, opened, tolerance))
        quantized = quantize(shipped, data, temporary, part, max_drop) if int8 else None
    if quantized is not None and not quantized.kept:
        (folder / INT8).unlink(missing_ok=True)  # of an earlier model.onnx
    return Exported(folder / to.FILE, opened.signature, parity, quantized)


@contextlib.contextmanager
def written_together(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files come into `folder` at the end, if no error comes before.

    Raises:
        RunError: the folder cannot be written.
    """
    with folder_lock(folder, wait=True):
        with files.plain_write_errors(folder):
            temporary = Path(tempfile.mkdtemp(files.TEMPORARY, ".", folder))
        try:
            yield temporary
            with files.plain_write_errors(folder):
                for each in sorted(temporary.iterdir()):
                    each.chmod(0o644)
                    os.replace(each, folder / each.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
