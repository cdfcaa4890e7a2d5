"""`mentee export --int8`: an ONNX file with 8-bit integers, kept where measuring speaks for it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mentee.build.datasets import open_single_split
from mentee.data import Examples
from mentee.errors import DataError, MenteeError, RunError, first_few, shortened
from mentee.exporting.gate import agreement
from mentee.exporting.quantizers import (
    DYNAMIC,
    LAYERS,
    before_weights,
    dynamic,
    preprocessed,
    static,
    weights_of,
)
from mentee.exporting.runtime import Array, open_session, packages, silent
from mentee.exporting.score_drop import Judged, compared
from mentee.exporting.signature import KEY
from mentee.exporting.student import Student, evenly
from mentee.exporting.timing import measure_in_turn, milliseconds
from mentee.report.tables import align

FILE = "model-int8.onnx"
MAX_DROP = 0.5
CALIBRATED, JUDGED, COMPARED = 256, 5000, 64
"""The most examples that ranges are measured on, that scores are computed on, and that a layer's
effect is measured on."""
ROUNDS = 20


@dataclass(frozen=True)
class Quantized:
    """What quantization of a student was measured to cost and to save.

    Attributes:
        kept: whether the file was written.
        reason: why, with numbers.
        method: how it was quantized.
        calibration: how many examples of the training part gave the ranges of activations.
        float_layers: the layers that the search left in float, in its order.
        layers: how many there are that could be quantized.
        part: the examples that the two files are compared on: `validation`, or `training` for those
            of it that calibration did not read.
        examples: how many they are.
        score: the name of the score, or `cosine` of both files' outputs without labels.
        scores: of the float file and of the int8 file.
        drop: by how many points (hundredths) the score is lower, and its 95 % interval.
        agreement: the share of examples of the same predicted class; None: there are no classes.
        bytes: of the float file, and of the int8 file without what it says of itself.
        milliseconds: median of a batch, of both, by its size.
    """

    kept: bool
    reason: str
    method: str
    calibration: int
    float_layers: tuple[str, ...]
    layers: int
    part: str
    examples: int
    score: str
    scores: tuple[float, float]
    drop: tuple[float, float, float]
    agreement: float | None
    bytes: tuple[int, int]
    milliseconds: dict[int, tuple[float, float]]

    def __str__(self) -> str:
        cells = [["", "float", "int8"], [self.score, *(f"{each:.4f}" for each in self.scores)]]
        cells.append(["bytes", *(f"{each:,}" for each in self.bytes)])
        for size, both in self.milliseconds.items():
            cells.append([f"ms, batch of {size}", *(f"{each:.3f}" for each in both)])
        drop, low, high = self.drop
        same = "" if self.agreement is None else f", same class in {100 * self.agreement:.4g} %"
        lines = [
            f"int8: {self.method}, calibrated on {self.calibration:,} training examples"
            if self.calibration
            else f"int8: {self.method}",
            align(cells, right=True),
            f"drop {drop:.2f} points on {self.examples:,} {self.part} examples "
            f"(95 % interval {low:.2f} to {high:.2f}){same}",
        ]
        if self.float_layers:
            names = first_few(self.float_layers, 5)
            lines.append(f"{len(self.float_layers)} of {self.layers} layers are float: {names}")
        return "\n".join(
            [*lines, f"{'int8 is kept' if self.kept else 'float is kept'}: {self.reason}"]
        )


def quantize(student: Student, data: Any, folder: Path, part: str, max_drop: float) -> Quantized:
    """Write `model-int8.onnx` beside `model.onnx`, if it is worth it.

    Images, audio and other numbers: static, in the QDQ form, weights per channel, the ranges of
    activations from training examples. Texts: dynamic, embeddings and linear layers alone. What
    stands before the first weights (normalization, spectrogram) stays in float. If the score drops
    by more than `max_drop`, layers are left in float, one after another, the one first that changes
    the outputs most where it alone is quantized.

    Args:
        student: that `model.onnx` was written of.
        data: as passed to the run, where it was.
        folder: where `model.onnx` is.
        part: which examples `student.splits` was opened for, of `held_out`.
        max_drop: points of the score.

    Raises:
        MenteeError: packages are missing, onnxruntime cannot quantize the network, or there are no
            examples to calibrate or compare on.
    """
    onnx, _ = packages("export", "onnx", "onnxruntime.quantization")
    calibration, judged, part = parts(student, data, part)
    content = (folder / "model.onnx").read_bytes()
    name = "dynamic" if student.signature.kind == "text" else "static"
    with tempfile.TemporaryDirectory() as temporary, silent(), plain_errors(student):
        prepared = preprocessed(content, Path(temporary))
        graph = onnx.load_from_string(prepared).graph
        front = before_weights(onnx.load_from_string(content), student)
        quantized = DYNAMIC if name == "dynamic" else LAYERS
        layers = {
            node.name: weights_of(node, student)
            for node in graph.node
            if node.op_type in quantized and node.name not in front
        }
        make = dynamic if name == "dynamic" else static
        build = make(prepared, Path(temporary), front, batches(student, calibration))
        expected = outputs(content, student, judged)

        def judge(float_layers: Sequence[str]) -> tuple[bytes, Tensor, Judged]:
            made = build(float_layers)
            logits = outputs(made, student, judged)
            return made, logits, compared(student, expected, logits, judged)

        float_layers: list[str] = []
        made, logits, result = judge([])
        if not result.drop[0] <= max_drop:
            for layer in by_effect(student, content, build, [*layers], calibration)[:-1]:
                float_layers.append(layer)
                made, logits, result = judge(float_layers)
                if result.drop[0] <= max_drop:
                    break
    inputs = next(iter(batches(student, calibration)))
    runs = {"float": run_of(content, inputs), "int8": run_of(made, inputs)}
    seconds = measure_in_turn(runs, ROUNDS)
    times = {
        size: (milliseconds(seconds["float"][size]), milliseconds(seconds["int8"][size]))
        for size in seconds["float"]
    }
    reads = student.signature
    classes = reads.output != "embedding" and student.task.outputs is not None
    about = Quantized(
        False,
        "",
        "dynamic, embeddings and linear layers"
        if name == "dynamic"
        else "static QDQ, per channel, MinMax",
        0 if name == "dynamic" else len(calibration),
        tuple(layers[each] for each in float_layers),
        len(layers),
        part,
        len(judged),
        result.score,
        result.scores,
        result.drop,
        agreement(logits, expected, reads.outputs, reads.threshold) if classes else None,
        (len(content), len(made)),
        times,
    )
    about = decided(about, max_drop)
    if about.kept:
        model = onnx.load_from_string(made)
        kept = {each: value for each, value in asdict(about).items() if each != "kept"}
        signature = replace(reads, about={**reads.about, "int8": kept})
        onnx.helper.set_model_props(model, {KEY: signature.dump()})
        (folder / FILE).write_bytes(model.SerializeToString())
    return about


@contextmanager
def plain_errors(student: Student) -> Iterator[None]:
    """An error of onnxruntime, which has no class of its own, as one sentence."""
    try:
        yield
    except MenteeError:
        raise
    except Exception as error:
        raise RunError(
            f"onnxruntime cannot quantize {type(student.network).__name__} "
            f"({type(error).__name__}: {shortened(str(error), 200)}); export without --int8"
        ) from error


def decided(about: Quantized, max_drop: float) -> Quantized:
    """Whether int8 is kept: within the drop, and smaller or faster by more than it loses.

    That is: the ratio of the bytes times the ratio of the milliseconds is below 1.
    """
    drop, (before, after), (old, new) = about.drop[0], about.bytes, about.milliseconds[1]
    size, time = after / before, new / old
    if not drop <= max_drop:
        tried = f" with {len(about.float_layers)} of {about.layers} layers in float"
        tried = tried if about.float_layers else ""
        return replace(about, reason=f"{drop:.2f} points are lost{tried}, allowed are {max_drop:g}")
    reason = f"int8 takes {size:.2f} times the bytes and {time:.2f} times the milliseconds"
    return replace(about, kept=size * time < 1, reason=f"{reason} at a batch of 1")


def parts(student: Student, data: Any, part: str) -> tuple[Examples, Examples, str]:
    """The examples that ranges are measured on, those that scores are, and what these are called.

    Ranges: of training. Scores: of validation; where there is none, other examples of training.
    The test part is never read.
    """
    recipe, splits = student.recipe, student.splits
    config = recipe.data
    if part == "validation" and isinstance(config.validation, float):
        train, judged = splits.train, splits.validation
    elif part == "training":
        train, judged = splits.train, None
    else:
        train = open_single_split(recipe, config.train, data).train
        judged = splits.train if part == "validation" else None
    if judged is None:
        if len(train) < 2:
            raise DataError(
                f"int8 takes training examples for its ranges and others for the comparison; there "
                f"are {len(train)}; export without --int8"
            )
        rows, part = np.arange(len(train)), "training"
        train, judged = train.take(rows[::2]), train.take(rows[1::2])
    return evenly(train, CALIBRATED), evenly(judged, JUDGED), part


def batches(student: Student, examples: Examples) -> Iterator[Array]:
    """Examples as the file reads them."""
    for batch in student.splits.clean(examples, batch=32):
        yield np.ascontiguousarray(student.inputs(batch.inputs))


def outputs(content: bytes, student: Student, examples: Examples) -> Tensor:
    """What a file gives for some examples."""
    session = open_session(content, FILE)
    name = session.get_inputs()[0].name
    rows = [session.run(None, {name: x})[0] for x in batches(student, examples)]
    return torch.from_numpy(np.concatenate(rows))


def run_of(content: bytes, inputs: Array) -> Callable[[int], Any]:
    """A file as a function of the size of a batch."""
    session = open_session(content, FILE)
    name = session.get_inputs()[0].name
    return lambda size: session.run(None, {name: np.resize(inputs, (size, *inputs.shape[1:]))})


def by_effect(
    student: Student,
    content: bytes,
    build: Callable[[Sequence[str]], bytes],
    layers: Sequence[str],
    calibration: Examples,
) -> list[str]:
    r"""The layers, the one first whose quantization alone changes the outputs most.

    .. math:: e_l = \sum_i \lVert z_i - z_i^{(l)} \rVert^2

    z of the float file, z⁽ˡ⁾ where of all layers l alone is quantized, over training examples.
    """
    some = evenly(calibration, COMPARED)
    expected, effects = outputs(content, student, some), dict[str, float]()
    for layer in layers:
        logits = outputs(build([each for each in layers if each != layer]), student, some)
        effects[layer] = (logits - expected).square().sum().item()
    return sorted(layers, key=lambda each: -effects[each])
