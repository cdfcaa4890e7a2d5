"""A run's student as it is shipped: the network with its preprocessing, and its signature."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import mentee
from mentee.build.datasets import (
    DatasetSplits,
    open_single_split,
    open_splits,
    view_options,
    views_for,
)
from mentee.build.overrides import PASSED_PREFIX, ModelFactory
from mentee.data import MODALITIES, Examples
from mentee.data.examples import make_examples
from mentee.data.payload import InMemory
from mentee.errors import MenteeError, RunError, suggest
from mentee.evaluation.student_reader import finished_recipe, open_student
from mentee.exporting.graph import AtLayer, ShippedStudent
from mentee.exporting.signature import Signature
from mentee.features import resolve
from mentee.models import Contract, InputContract, count_parameters, normalize
from mentee.recipe import AudioInput, Recipe
from mentee.records.manifest import checksum
from mentee.runs.folder import Folder
from mentee.tasks import Labels, Task

OUTPUTS = ("logits", "embedding")
DTYPES = ("uint8", "float32")


@dataclass(frozen=True)
class Student:
    """A run's student, ready to be shipped.

    Attributes:
        recipe: of the run, resolved.
        network: the student alone, in evaluation mode, on the CPU.
        module: the same behind its preprocessing.
        contract: what `network` reads.
        signature: what `module` reads and gives.
        splits: of the run, or a stand-in of two examples; how payloads become inputs.
        task: of its labels.
    """

    recipe: Recipe
    network: nn.Module
    module: ShippedStudent
    contract: Contract
    signature: Signature
    splits: DatasetSplits
    task: Task

    def inputs(self, x: Tensor) -> Tensor:
        """What a batch's inputs, images in [0, 1], are in the signature's type."""
        if self.signature.kind == "image" and self.signature.dtype == "uint8":
            return (x * 255).round().to(torch.uint8)
        return x


def open_run(
    path: str | Path,
    splits: DatasetSplits | None = None,
    *,
    student: ModelFactory | None = None,
    output: str | None = None,
    dtype: str = "uint8",
    resize: bool = False,
) -> Student:
    """The student of a finished run.

    Args:
        path: the run's folder.
        splits: the examples that fix the size of its input; None: it is as free as the network.
        student: the module, where it was passed from Python.
        output: `logits` or `embedding`; None: the embedding where there were no labels.
        dtype: of images: `uint8`, or `float32` in [0, 1].
        resize: images come in any size, and are resized to that of the recipe inside.

    Raises:
        MenteeError: the run has no student, or an argument is unknown.
    """
    recipe = finished_recipe(path)
    known = {"output": (output or "logits", OUTPUTS), "dtype": (dtype, DTYPES)}
    for name, (value, values) in known.items():
        if value not in values:
            raise MenteeError(f"no {name} {value!r}: {suggest(value, values)}")
    if student is None and PASSED_PREFIX in recipe.student.network:
        raise RunError(f"{path}: the student was passed from Python; pass it again as student=")
    splits, fixed = splits or stand_in(recipe), splits is not None
    reader = open_student(path, recipe, splits, student)
    network, contract = reader.network.cpu().eval(), reader.contract
    task = splits.train.task if fixed or recipe.data.task is None else recipe.data.task.task()
    if output is None:
        output = "logits" if task.outputs is not None or recipe.data.task else "embedding"
    example = splits.first(2).inputs
    read: nn.Module = network
    if output == "embedding":
        inputs = normalize(example, contract)
        read = AtLayer(network, *resolve(network, ["embedding"], inputs))
    images = isinstance(contract, InputContract)
    inside: dict[str, Any] = {}
    if isinstance(contract, InputContract):
        inside = {"mean": contract.mean, "std": contract.std}
        if contract.resize is not None:
            inside |= {"resize": contract.resize, "interpolation": contract.interpolation}
    if output == "logits" and task.outputs == "values":
        output = "values"
        if getattr(task, "mean", None):
            inside |= {"scale": task.std, "shift": task.mean}  # type: ignore[attr-defined]
    kind = splits.train.kind
    before = preparation(recipe, splits)
    if resize:
        if kind != "image" or dtype != "uint8" or before["size"] is None:
            raise MenteeError(
                "resizing inside is for images of uint8 and a recipe with data.size, to which they "
                f"are resized; here are {kind}, {dtype}, and data.size is {recipe.data.size}"
            )
        how = {"crop_interpolation": before["interpolation"]}
        inside |= {"crop": before["size"], "margin": before["margin"], **how}
        before |= {"size": None, "margin": 1.0}
    free = images and (resize or (not fixed and recipe.data.size is None))
    signature = Signature(
        kind=kind,
        shape=(example.shape[1], None, None) if free else tuple(example.shape[1:]),
        dtype=dtype if kind == "image" else str(example.dtype).removeprefix("torch."),
        output=output,
        task=task.name,
        outputs=None if output == "embedding" else task.outputs,
        names=() if output == "embedding" else output_names(recipe),
        threshold=recipe.select.threshold,
        prepare=before,
        inside=inside,
        about=about(Folder(Path(path)), network, recipe),
    )
    module = ShippedStudent(read, **inside).eval().requires_grad_(False)
    return Student(recipe, network, module, contract, signature, splits, task)


def output_names(recipe: Recipe) -> tuple[str, ...]:
    """The names of a student's outputs; numbers where it has more than the data have classes."""
    names = [str(name) for name in recipe.data.classes or ()]
    return (*names, *map(str, range(len(names), recipe.student.classes or 0)))


def preparation(recipe: Recipe, splits: DatasetSplits) -> dict[str, Any]:
    """What is done with an example before the student's file reads it."""
    data, train = recipe.data, splits.train
    if train.kind == "image":
        margin = getattr(splits.views, "margin", 1.0)
        kept = {"channels": train.channels, "bits": data.bits, "background": data.background}
        how = {"interpolation": data.interpolation or "bilinear"}
        return {**kept, "size": data.size, "margin": margin, **how}
    if train.kind == "audio":
        return {"sample_rate": data.sample_rate}
    return {"max_bytes": data.max_bytes} if train.kind == "text" else {}


def about(folder: Folder, network: nn.Module, recipe: Recipe) -> dict[str, Any]:
    """Where a student is from: its run, its score, and by what it was made."""
    summary: Mapping[str, Any] = folder.read_summary() if folder.summary.is_file() else {}
    score = summary.get("score") or {}
    for part in ("test", "validation"):
        if score and score["name"] in (summary.get(part) or {}):
            score = {**score, part: summary[part][score["name"]]}
    return {
        "run": folder.path.resolve().name,
        "recipe": checksum(folder.recipe),
        "weights": checksum(folder.student),
        "network": recipe.student.network,
        "parameters": count_parameters(network),
        "score": score or None,
        "mentee": mentee.__version__,
        "torch": importlib.metadata.version("torch"),
    }


def stand_in(recipe: Recipe) -> DatasetSplits:
    """Two blank examples of the form that a recipe's data have, to build its student with."""
    data, kind = recipe.data, recipe.data.kind or "image"
    if kind not in MODALITIES:
        raise RunError(
            f"the run reads {kind}, a modality of your own: export it with mentee.export(run, "
            "data=...), and load the file"
        )
    if isinstance(recipe.student.input, AudioInput):
        data = data.model_copy(update={"seconds": recipe.student.input.seconds})
    channels = data.channels or 3
    blank = MODALITIES[kind].dry_run(view_options(data, data.seed), channels)
    contents = InMemory(
        kind,
        [each.numpy() if isinstance(each, Tensor) else each for each in blank],
        channels=channels if kind == "image" else 1,
        sample_rate=data.sample_rate if kind == "audio" else None,
    )
    two = make_examples(
        contents, ["first", "second"], Labels(), modality=MODALITIES[kind], name="blank"
    )
    return DatasetSplits(two, two, None, None, views_for(recipe, two))


def held_out(recipe: Recipe, data: Any, count: int) -> tuple[DatasetSplits, Examples, str]:
    """The examples that an exported file is compared on, and what they are called.

    Validation, else the test part, else training; evenly spaced where there are more than `count`.

    Args:
        recipe: of the run, resolved.
        data: as passed to the run, where it was.
        count: how many at most.
    """
    config = recipe.data
    if isinstance(config.validation, float) and config.label is not False:
        alone = config.model_copy(update={"unlabeled": None})
        splits = open_splits(recipe.model_copy(update={"data": alone, "teacher": None}), data)
        examples, name = splits.validation or splits.train, "validation"
    else:
        named = isinstance(config.validation, str) and config.label is not False
        name = "validation" if named else "test" if config.test else "training"
        part = config.validation if named else config.test or config.train
        splits = open_single_split(recipe, str(part), data)
        examples = splits.train
    return splits, evenly(examples, count), name


def evenly(examples: Examples, count: int) -> Examples:
    """At most so many examples, evenly spaced."""
    return examples.take(np.unique(np.linspace(0, len(examples) - 1, count).astype(np.int64)))
