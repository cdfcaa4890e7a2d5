"""`mentee predict`: a student, of a run or a file, as a function of files, arrays and texts."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from mentee.build.overrides import ModelFactory
from mentee.data import encode
from mentee.data.audio_decoding import FULL, resample
from mentee.data.audio_decoding import decode as decode_clip
from mentee.data.audio_views import cut
from mentee.data.image_files import Decoding, decode, decode_image
from mentee.data.image_views import one_size
from mentee.errors import DataError, MenteeError, RunError
from mentee.exporting import onnx_format, pt2_format
from mentee.exporting.runtime import Array, OpenedStudent, as_arrays
from mentee.exporting.signature import Signature
from mentee.exporting.student import open_run
from mentee.files import usable

Prediction: TypeAlias = dict[str, Any]
"""`input`, and by task: `class`, `probability` and `probabilities`; `classes` (those above the
threshold) and `probabilities`; `values`; or `embedding`."""

OPENERS = {".onnx": onnx_format.open_file, ".pt2": pt2_format.open_file}
BATCH = 64


class Predictor:
    """A student as a function: `predictor(["a.jpg", "b.jpg"])`.

    Args:
        student: opened.
        source: where it is from, for messages.
    """

    def __init__(self, student: OpenedStudent, source: Path) -> None:
        self.signature, self._run, self._source = student.signature, student.run, source

    def __repr__(self) -> str:
        reads = self.signature
        return f"Predictor({str(self._source)!r}, reads {reads.kind}, gives {reads.output})"

    def __call__(self, inputs: Any, *, sample_rate: int | None = None) -> list[Prediction]:
        """Predictions, one for each input.

        Args:
            inputs: one, or a list of several. Images: paths, PIL images, arrays uint8 `[h, w]` or
                `[h, w, c]`. Audio: paths, or samples `[samples]` in [-1, 1] or int16. Texts: `str`;
                a `Path` is a file that holds one.
            sample_rate: samples a second of samples that are passed; None: as the student reads.

        Raises:
            MenteeError: an input is not what the student reads.
        """
        several = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        outputs = self.outputs(several, sample_rate=sample_rate)
        return [
            {"input": _name(each, i), **self._named(row)}
            for i, (each, row) in enumerate(zip(several, outputs, strict=True))
        ]

    def outputs(self, inputs: Sequence[Any], *, sample_rate: int | None = None) -> Array:
        """The raw outputs, `[n, k]`: logits, values or embeddings; the arguments are `__call__`'s.

        Raises:
            MenteeError: an input is not what the student reads.
        """
        prepared = (self._prepared(each, i, sample_rate) for i, each in enumerate(inputs))
        rows = [self._run_batch(batch) for batch in _batches(prepared)]
        return np.concatenate(rows) if rows else np.zeros((0, len(self.signature.names)))

    def _run_batch(self, batch: Array) -> Array:
        try:
            return self._run(batch)
        except Exception as error:  # of any runtime
            reason = str(error).strip().partition("\n")[0][:300]
            raise RunError(
                f"{self._source} cannot be run on inputs {list(batch.shape)}: {reason}"
            ) from error

    def _prepared(self, value: Any, number: int, sample_rate: int | None) -> Array:
        """One input as the file reads it."""
        reads, name = self.signature, _name(value, number)
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().numpy()
        if reads.kind == "image":
            return _image(value, name, reads)
        if reads.kind == "audio":
            return _clip(value, name, reads, sample_rate)
        if reads.kind == "text":
            return _text(value, name, reads)
        numbers = np.asarray(value, reads.dtype)
        if numbers.shape != reads.shape:
            raise DataError(f"{name} has shape {numbers.shape}; expected {reads.shape}")
        return numbers

    def _named(self, row: npt.NDArray[Any]) -> Prediction:
        reads, numbers = self.signature, row.astype(np.float64)
        if reads.outputs == "label logits":
            numbers = 1 / (1 + np.exp(-numbers))
            chosen = [n for n, p in zip(reads.names, numbers, strict=True) if p > reads.threshold]
            return {"classes": chosen, "probabilities": self._by_name(numbers)}
        if reads.outputs == "class logits":
            numbers = np.exp(numbers - numbers.max())
            numbers /= numbers.sum()
            best = int(numbers.argmax())
            of_best = {"class": reads.names[best], "probability": float(numbers[best])}
            return {**of_best, "probabilities": self._by_name(numbers)}
        if reads.output == "embedding" or len(reads.names) != len(numbers):
            return {reads.output: numbers.tolist()}
        return {reads.output: self._by_name(numbers)}

    def _by_name(self, numbers: npt.NDArray[Any]) -> dict[str, float]:
        return dict(zip(self.signature.names, numbers.tolist(), strict=True))


def load(path: str | Path, *, student: ModelFactory | None = None) -> Predictor:
    """Open a student for prediction.

    Args:
        path: a finished run's folder, or a `.onnx` or `.pt2` file that `mentee export` wrote.
        student: the module of a run, where it was passed from Python.

    Raises:
        MenteeError: there is none, it is damaged, or a package is missing.
    """
    path = usable(path)
    if path.is_dir():
        opened = open_run(path, student=student)
        return Predictor(OpenedStudent(opened.signature, as_arrays(opened.module)), path)
    if path.suffix not in OPENERS:
        raise MenteeError(
            f"{path} is no student; expected a run's folder, or a file ending in "
            f"{' or '.join(OPENERS)}"
        )
    if not path.is_file():
        raise MenteeError(f"there is no file {path}")
    return Predictor(OPENERS[path.suffix](path), path)


def table(predictions: Sequence[Prediction], format: str) -> str:
    """Predictions as text: `json`, an array of objects; or `csv`, a column for each number."""
    if format == "json":
        return json.dumps(predictions, indent=2, ensure_ascii=False)
    rows = [dict(_cells(each)) for each in predictions]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else ["input"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")


def _cells(prediction: Prediction) -> Iterator[tuple[str, Any]]:
    for key, value in prediction.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}/{name}", number) for name, number in value.items())
        elif key == "classes":
            yield key, " ".join(value)
        elif isinstance(value, list):
            yield from ((f"{key}/{i}", number) for i, number in enumerate(value))
        else:
            yield key, value


def _batches(inputs: Iterator[Array]) -> Iterator[Array]:
    """Neighbors of one shape, at most `BATCH` together."""
    for _, same in groupby(enumerate(inputs), key=lambda pair: (pair[1].shape, pair[0] // BATCH)):
        yield np.stack([each for _, each in same])


def _name(value: Any, number: int) -> str:
    return os.fspath(value) if isinstance(value, (str, os.PathLike)) else f"input {number}"


def _image(value: Any, name: str, reads: Signature) -> Array:
    numbers = reads.prepare
    how = Decoding(numbers["channels"], numbers["bits"], numbers["background"])
    if isinstance(value, (str, os.PathLike)):
        pixels, _ = decode(Path(value).read_bytes(), how, name)
    elif isinstance(value, Image.Image):
        pixels, _ = decode_image(value, how)
    else:
        pixels = np.asarray(value)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        if pixels.dtype != np.uint8 or pixels.shape[2:] != (how.channels,):
            raise DataError(
                f"{name} is {pixels.dtype} of shape {list(np.shape(value))}; expected uint8 "
                f"[h, w{', c' if how.channels > 1 else ''}] of {how.channels} channels"
            )
    h, w = numbers["size"] or reads.shape[1], numbers["size"] or reads.shape[2]
    image = torch.from_numpy(np.ascontiguousarray(pixels))[None]
    if h is not None and tuple(image.shape[1:3]) != (h, w):
        if h != w:
            raise DataError(f"{name} has {list(pixels.shape[:2])} pixels; expected {[h, w]}")
        image = one_size(image, h, numbers["interpolation"], margin=numbers["margin"])
    channels_first = np.ascontiguousarray(image[0].permute(2, 0, 1))
    if reads.dtype == "uint8":
        return channels_first
    return channels_first.astype(np.float32) / np.float32(255)


def _clip(value: Any, name: str, reads: Signature, sample_rate: int | None) -> Array:
    rate = reads.prepare["sample_rate"]
    if isinstance(value, (str, os.PathLike)):
        wave = decode_clip(Path(value).read_bytes(), rate, name) * np.float32(1 / FULL)
    else:
        samples = np.asarray(value)
        if samples.ndim != 1 or not len(samples):
            raise DataError(f"{name} has shape {list(samples.shape)}; expected [samples], mono")
        if samples.dtype == np.int16:
            samples = samples * np.float32(1 / FULL)
        if samples.dtype.kind != "f" or not np.abs(samples).max() <= 1:
            raise DataError(f"{name} is {samples.dtype}; expected samples in [-1, 1], or int16")
        wave = resample(samples.astype(np.float32), sample_rate or rate, rate)
    length = reads.shape[0]
    return np.asarray(cut([torch.from_numpy(wave)], length or len(wave))[0])


def _text(value: Any, name: str, reads: Signature) -> Array:
    if isinstance(value, os.PathLike):
        value = Path(value).read_text("utf-8")
    if not isinstance(value, str) or "\0" in value:
        raise DataError(f"{name} is no text; expected a str without NUL, or the Path of a file")
    return encode([value], reads.shape[0])[0].numpy()
