"""What the page of a run shows of its examples and layers: the content of `diagnostics.json`."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mentee.build import networks
from mentee.build.setup import TrainingSetup
from mentee.data import Examples
from mentee.errors import LayerError, MenteeError
from mentee.evaluation.details import known_outputs
from mentee.evaluation.predictions import run_batches
from mentee.features import Capture, Layer
from mentee.features.resolve import SHORT_NAMES
from mentee.metrics import debiased_cka, reliability
from mentee.models import Contract
from mentee.representations.pooled import averaged
from mentee.types import Features

PAIRS, FEWEST, EACH = 12, 3, 4
"""The most pairs of classes, how many of them may have a single example, examples of each."""
SIDE, TEXT = 96, 300
"""The most pixels of a side, and letters of a text."""
COMPARED = 256
"""The most examples by which layers are compared."""


def diagnostics(
    parts: TrainingSetup, outputs: Mapping[str, tuple[Tensor | None, Examples | None]]
) -> dict[str, Any]:
    """What the scores alone do not tell, as `diagnostics.json` has it.

    Args:
        parts: the networks, examples and settings of the run.
        outputs: the student's outputs `[n, k]` and their examples, by part; the first part that has
            labels is described.

    Returns:
        `part`, `reliability` (the bins of the diagram), `confused` (pairs of classes, the most
        frequent first, with some examples of each) and `layers` (the CKA of the student's layers
        with each online teacher's), each where it is known.
    """
    content: dict[str, Any] = {}
    for part, (logits, examples) in outputs.items():
        if logits is not None and examples is not None and examples.labels is not None:
            content = {"part": part, **of_outputs(logits, examples)}
            break
    with contextlib.suppress(MenteeError):  # a layer that cannot be read stops no run
        if layers := layer_similarity(parts):
            content["layers"] = layers
    return content


def of_outputs(logits: Tensor, examples: Examples) -> dict[str, Any]:
    """The reliability of predictions, and the classes that are taken for one another."""
    rows = np.arange(len(examples)) if examples.labeled is None else examples.labeled.nonzero()[0]
    known, values = known_outputs(logits, examples)
    labels = torch.as_tensor(values.values)
    if examples.task.outputs == "label logits" and labels.shape == known.shape:
        mask = torch.ones_like(labels) if values.mask is None else torch.as_tensor(values.mask)
        sure, positive = known.sigmoid()[mask.bool()], labels[mask.bool()] > 0.5
        return {"reliability": reliability(sure, positive)}
    if examples.task.outputs != "class logits" or labels.ndim != 1:
        return {}
    confidence, predicted = known.softmax(1).max(1)
    pairs = confused(confidence, predicted, labels, examples, rows)
    return {"reliability": reliability(confidence, predicted == labels), "confused": pairs}


def confused(
    confidence: Tensor, predicted: Tensor, labels: Tensor, examples: Examples, rows: Any
) -> list[dict[str, Any]]:
    """The most frequent confusions, each with the examples of which the student was most sure.

    Args:
        confidence: `[m]` of the predictions.
        predicted: class numbers `[m]`.
        labels: the true ones.
        examples: a split.
        rows: `[m]` where in it these are.
    """
    k, names = 1 + int(max(predicted.max(), labels.max())), examples.classes or ()
    wrong = (labels * k + predicted)[predicted != labels]
    codes, counts = torch.unique(wrong, return_counts=True)
    pairs, order = [], counts.argsort(descending=True, stable=True)[:PAIRS]
    several = max(int((counts > 1).sum()), FEWEST)
    for i in order[:several].tolist():
        true, taken_for = divmod(int(codes[i]), k)
        these = ((labels == true) & (predicted == taken_for)).nonzero()[:, 0]
        surest = these[confidence[these].argsort(descending=True, stable=True)[:EACH]]
        chosen = rows[surest.numpy()]
        contents: list[dict[str, str]] = [{}] * len(chosen)
        if examples.kind != "audio":
            contents = [shown(content) for content in examples.read(chosen)]
        pairs.append(
            {
                "true": names[true],
                "predicted": names[taken_for],
                "count": int(counts[i]),
                "of": int((labels == true).sum()),
                "examples": [
                    {"id": examples.ids[row], "confidence": round(sure, 4), **content}
                    for row, sure, content in zip(
                        chosen.tolist(), confidence[surest].tolist(), contents, strict=True
                    )
                ],
            }
        )
    return pairs


def shown(content: Tensor | str) -> dict[str, str]:
    """An example as a page shows it: an image as a data URL, a text cut; nothing of a clip."""
    if isinstance(content, str):
        return {"text": content if len(content) <= TEXT else f"{content[: TEXT - 1]}…"}
    if content.ndim != 3 or content.dtype != torch.uint8:
        return {}
    image = Image.fromarray(
        content.squeeze(2).numpy() if content.shape[2] == 1 else content.numpy()
    )
    small = max(image.size) <= SIDE
    image.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    if small:
        image.save(out, "png", optimize=True)
    else:
        image.save(out, "jpeg", quality=80)
    kind = "png" if small else "jpeg"
    return {"image": f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"}


def layer_similarity(parts: TrainingSetup) -> dict[str, Any]:
    """Debiased CKA of the student's layers with those of each teacher that is a network here."""
    splits = parts.splits
    part, whole = next(
        (name, each)
        for name, each in (
            ("validation", splits.validation),
            ("test", splits.test),
            ("train", splits.train),
        )
        if each is not None
    )
    examples = whole.spaced(COMPARED)
    if len(examples) < 4 or not parts.online_teachers:
        return {}
    own = layer_vectors(parts, parts.student, parts.module.contract, examples)
    teachers = {}
    for name, (teacher, _) in parts.online_teachers.items():
        teacher_vectors = layer_vectors(parts, teacher.network, teacher.contract, examples)
        cka = debiased_cka(list(own.values()), list(teacher_vectors.values()))
        values = [[round(value, 4) for value in row] for row in cka]
        teachers[name] = {"layers": list(teacher_vectors), "cka": values}
    return {
        "part": part,
        "examples": len(examples),
        "student": list(own),
        "teachers": teachers,
    }


@torch.no_grad()
def layer_vectors(
    parts: TrainingSetup, network: nn.Module, contract: Contract, examples: Examples
) -> dict[str, Tensor]:
    """A network's features at its named layers, from the stem to the logits, maps by their mean."""
    layers = list[Layer]()
    for name in reversed(SHORT_NAMES):
        with contextlib.suppress(LayerError):
            layers += networks.layers(network, [name], parts.splits.first(2), contract)
    with Capture(network, layers) as capture:

        def forward(inputs: Tensor) -> Features:
            return {name: averaged(x) for name, x in capture.capture(inputs).items()}

        batches = parts.splits.clean(examples)
        return dict(run_batches(network, contract, batches, parts.accelerator.device, forward))
