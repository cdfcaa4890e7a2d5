"""onnxruntime's quantization of an ONNX file, with a choice of layers that stay in float."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mentee.exporting.runtime import Array, packages
from mentee.exporting.student import Student

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""The operators with weights, which the search leaves in float one after another."""
STATIC = (
    *(*LAYERS, "Add", "Mul", "Relu", "LeakyRelu", "Clip", "MaxPool", "AveragePool", "Concat"),
    *("GlobalAveragePool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Resize"),
    *("Pad", "Split", "Slice"),
)
DYNAMIC = ("MatMul", "Gemm", "Gather")


def preprocessed(content: bytes, folder: Path) -> bytes:
    """A file with known shapes, its constants folded by onnxruntime; as it was where that fails."""
    (shapes,) = packages("export", "onnxruntime.quantization.shape_inference")
    (folder / "model.onnx").write_bytes(content)
    try:
        shapes.quant_pre_process(str(folder / "model.onnx"), str(folder / "prepared.onnx"))
    except Exception:  # of a graph that symbolic shape inference does not know
        return content
    return (folder / "prepared.onnx").read_bytes()


def before_weights(model: Any, student: Student) -> set[str]:
    """The nodes that read nothing which was learned: normalization, spectrogram, hashing."""
    reached = {name for name, _ in student.module.named_parameters()}
    front = set()
    for node in model.graph.node:
        if reached.intersection(node.input):
            reached.update(node.output)
        else:
            front.add(node.name)
    return front


def weights_of(node: Any, student: Student) -> str:
    """The module whose weights a node reads; the node's own name where it reads none."""
    learned = {name for name, _ in student.module.named_parameters()}
    names = (each for each in node.input if each in learned)
    return str(next(names, node.name)).removeprefix("network.").removesuffix(".weight")


@dataclass
class Reader:
    """Batches as onnxruntime's calibration asks for them."""

    name: str
    inputs: Iterator[Array]

    def get_next(self) -> dict[str, Array] | None:
        """The next batch by the name of the input; None: there is none."""
        batch = next(self.inputs, None)
        return None if batch is None else {self.name: batch}


def static(
    prepared: bytes, folder: Path, front: set[str], inputs: Iterator[Array]
) -> Callable[[Sequence[str]], bytes]:
    """A function of the layers that stay in float; ranges are the extremes, measured once."""
    onnx, calibrate, qdq, types = quantizers()
    model = onnx.load_from_string(prepared)
    name = model.graph.input[0].name

    (folder / "calibrated.onnx").write_bytes(prepared)
    calibrator = calibrate.create_calibrator(
        folder / "calibrated.onnx", STATIC, augmented_model_path=str(folder / "augmented.onnx")
    )
    calibrator.collect_data(Reader(name, inputs))
    ranges = calibrator.compute_data()

    def build(float_layers: Sequence[str]) -> bytes:
        quantizer = qdq.QDQQuantizer(
            copy.deepcopy(model),
            True,
            False,
            types.QuantType.QInt8,
            types.QuantType.QUInt8,
            ranges,
            [],
            [*front, *float_layers],
            STATIC,
            {},
        )
        quantizer.quantize_model()
        made: bytes = quantizer.model.model.SerializeToString()
        return made

    return build


def dynamic(
    prepared: bytes, folder: Path, front: set[str], inputs: Iterator[Array]
) -> Callable[[Sequence[str]], bytes]:
    """The same of weights alone; activations are quantized by the ranges of each batch."""
    onnx, _, _, types = quantizers()
    (quantization,) = packages("export", "onnxruntime.quantization")

    def build(float_layers: Sequence[str]) -> bytes:
        quantization.quantize_dynamic(
            onnx.load_from_string(prepared),
            folder / "dynamic.onnx",
            op_types_to_quantize=[*DYNAMIC],
            weight_type=types.QuantType.QInt8,
            # onnxruntime replaces a Gemm before it looks for names
            nodes_to_exclude=[*front, *float_layers, *(f"{each}_MatMul" for each in float_layers)],
        )
        return (folder / "dynamic.onnx").read_bytes()

    return build


def quantizers() -> list[ModuleType]:
    """onnx, and the parts of onnxruntime's quantization of which ranges are measured once."""
    names = ("calibrate", "qdq_quantizer", "quant_utils")
    return packages("export", "onnx", *(f"onnxruntime.quantization.{each}" for each in names))
