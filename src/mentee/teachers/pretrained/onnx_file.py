"""Any ONNX file, through onnxruntime."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mentee.errors import MenteeError, shortened, suggest
from mentee.free_memory import require
from mentee.models import InputContract
from mentee.models.packages import imported, origin
from mentee.teachers.pretrained.batching import embed_clips, embed_images
from mentee.teachers.pretrained.embedder import Contents, ReadyEmbedder

LONGEST = 600
"""Seconds of one call of a graph, which may have loops that never end."""


def build_onnx(
    path: str,
    *,
    output: str | None = None,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
    size: int | None = None,
    sample_rate: int | None = None,
    learned_from: str = "see its source",
    license: str = "see its source",
) -> ReadyEmbedder:
    """The teacher `onnx:PATH`, for images or audio.

    What it reads is taken from the file: one float input `[b, c, h, w]` is images in [0, 1],
    normalized by `mean` and `std`; `[b, samples]` is audio. Where the file fixes the height, images
    are resized to it; where it fixes the samples, a clip is cut into windows of that length, the
    last filled up with zeros, and the vectors are averaged. Where it fixes the batch to 1, examples
    are read one by one.

    Args:
        path: the file.
        output: which output holds the vectors, `[b, d]`; `[b, t, d]` is averaged over t,
            `[b, d, h, w]` over space. None: the only one.
        mean: images: what is subtracted, for each channel or for all.
        std: images: what the difference is divided by.
        size: images: height and width, where the file does not fix them.
        sample_rate: audio: samples a second; needed.
        learned_from: what to note in the record.
        license: what to note in the record.

    Raises:
        MenteeError: onnxruntime is missing, the file cannot be read, or an option does not fit it.
    """
    title, session = f"onnx:{path}", _open(path)
    name = _output(session, output, title)
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) not in (2, 4):
        outputs = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
        raise MenteeError(
            f"{title}: expected one float input, [b, c, h, w] or [b, samples]; it has {outputs}; "
            "wrap it in a function instead: mentee.teachers.pretrained.embedder"
        )
    shape = [length if isinstance(length, int) else None for length in inputs[0].shape]
    if any(length is not None and length < 1 for length in shape):
        raise MenteeError(f"{title} reads inputs of shape {inputs[0].shape}; expected lengths ≥ 1")
    needed = 4 * math.prod(length or 1 for length in shape)
    require(needed, f"one input of {title}, {inputs[0].shape},", "choose another file")

    def read(batch: Tensor) -> Tensor:
        # contiguous: onnxruntime takes rows as they lie in memory
        numbers = np.ascontiguousarray(batch.numpy())
        vectors = torch.from_numpy(_run(session, name, {inputs[0].name: numbers}, title))
        if vectors.ndim == 4:
            return vectors.flatten(2).mean(2)
        return vectors.mean(1) if vectors.ndim == 3 else vectors

    vectors: Callable[[Contents], Tensor]
    noted: dict[str, Any]
    if len(shape) == 4:
        kind, size = "image", shape[2] or size
        contract = InputContract(tuple(map(float, mean)), tuple(map(float, std)))
        channels = shape[1] or 3
        vectors = embed_images(read, contract, size=size, channels=channels, batch=shape[0])
        trial: Contents = torch.zeros(1, size or 32, size or 32, channels, dtype=torch.uint8)
        noted = {"size": size, "mean": list(contract.mean), "std": list(contract.std)}
    else:
        kind, samples = "audio", shape[1]
        if sample_rate is None:
            raise MenteeError(
                f"{title} reads audio: say how many samples a second it wants, sample_rate="
            )
        whole = embed_clips(read, batch=shape[0])
        vectors = whole if samples is None else _in_windows(whole, samples)
        trial = [torch.zeros(samples or sample_rate)]
        noted = {"sample_rate": sample_rate, "window": samples, "short": "zeros"}
    return ReadyEmbedder(
        name=title,
        kind=kind,
        sample_rate=sample_rate if kind == "audio" else None,
        width=_width(vectors, trial, title),
        vectors=vectors,
        weights={"file": hashlib.blake2b(Path(path).read_bytes()).digest()},
        contract={
            "learned_from": learned_from,
            "source": Path(path).name,
            "license": license,
            "loaded_by": origin("onnxruntime"),
            "output": name,
            "pooling": "mean over time or space, where there is one",
            **noted,
        },
    )


def session_of(model: str | bytes, runtime: Any) -> Any:
    """A file, or the content of one, in onnxruntime, with as many threads as torch has."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _open(path: str) -> Any:
    runtime = imported("onnxruntime", teacher=f"onnx:{path}")
    if not Path(path).is_file():
        raise MenteeError(f"there is no file {path}")
    try:
        return session_of(path, runtime)
    except Exception as error:  # onnxruntime's errors have no common class of their own
        raise MenteeError(
            f"onnxruntime cannot read {path}: {shortened(str(error), 300)}"
        ) from error


def _run(session: Any, output: str, inputs: dict[str, Any], title: str) -> Any:
    """One output, stopped where the graph takes longer than `LONGEST` seconds."""
    options = imported("onnxruntime", teacher=title).RunOptions()
    options.log_severity_level = 4
    timer = threading.Timer(LONGEST, lambda: setattr(options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        (values,) = session.run([output], inputs, options)
    except Exception as error:  # onnxruntime's errors have no common class of their own
        if options.terminate:
            raise MenteeError(f"{title} did not end within {LONGEST} seconds") from error
        raise MenteeError(f"{title} cannot be run: {shortened(str(error), 300)}") from error
    finally:
        timer.cancel()
    return values


def _output(session: Any, wanted: str | None, title: str) -> str:
    names = [each.name for each in session.get_outputs()]
    if wanted is None and len(names) > 1:
        raise MenteeError(f"{title} has the outputs {', '.join(names)}: say which, output=")
    if wanted is not None and wanted not in names:
        raise MenteeError(f"{title} has no output {wanted!r}; {suggest(wanted, names)}")
    return wanted or names[0]


def _in_windows(
    whole: Callable[[Sequence[Tensor]], Tensor], samples: int
) -> Callable[[Contents], Tensor]:
    def vectors(clips: Contents) -> Tensor:
        cut = [F.pad(clip.float(), (0, -len(clip) % samples)) for clip in clips]
        windows_of = [torch.split(clip, samples) for clip in cut]
        outputs = whole([window for windows in windows_of for window in windows])
        return torch.stack(
            [of.mean(0) for of in torch.split(outputs, [len(windows) for windows in windows_of])]
        )

    return vectors


def _width(vectors: Callable[[Contents], Tensor], trial: Contents, title: str) -> int:
    outputs = vectors(trial)
    if outputs.ndim != 2:
        raise MenteeError(f"{title} gave {list(outputs.shape)} for one example; expected [1, d]")
    return outputs.shape[1]
