"""The ways to probe: k nearest neighbors, logistic regression, a trained layer, fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from mentee import files
from mentee.api import train_or_resume
from mentee.build.overrides import PASSED_PREFIX, PythonOverrides
from mentee.data import Examples, split
from mentee.data.payload import Rows
from mentee.errors import DataError
from mentee.experiments.embedding_sources import EmbeddingSource, EmbeddingSources
from mentee.experiments.probe_data import ProbeData, Subset
from mentee.metrics import Labeled, LinearLayer, knn, train_layer
from mentee.recipe import Probe, Recipe, Train
from mentee.recipe.method import MethodRecipe
from mentee.recipe.schema import Select
from mentee.runs.folder import Folder
from mentee.types import CLEAN

HELD_OUT = 0.2
"""Of a subset, the share that chooses the strength of the regression's penalty."""
CLASSIFIER = "classifier.safetensors"


@dataclass(frozen=True)
class Embeddings:
    """One source's embeddings: of some training rows, ascending, of views of these, of test."""

    rows: Rows
    train: Tensor
    views: Tensor | None
    test: Tensor

    def index(self, rows: Rows) -> Tensor:
        """Where rows of the training examples stand in `train`."""
        return torch.from_numpy(np.searchsorted(self.rows, rows))


def embed(source: EmbeddingSource, data: ProbeData, rows: Rows, views: int) -> Embeddings:
    """Compute a source's embeddings of rows of the training examples and of the test examples."""
    augmented = [source.embed("train", rows, i) for i in range(views)] if source.augmented else []
    return Embeddings(
        rows,
        source.embed("train", rows, CLEAN),
        torch.stack(augmented) if augmented else None,
        source.embed("test", np.arange(len(data.test)), CLEAN),
    )


def with_labels(examples: Examples, vectors: Tensor) -> Labeled:
    """Embeddings with the labels of the same examples."""
    mask = None if examples.mask is None else torch.as_tensor(examples.mask)
    return Labeled(vectors, torch.as_tensor(examples.labels), mask)


def knn_scores(
    embeddings: Embeddings, data: ProbeData, subset: Subset, config: Probe
) -> dict[str, float]:
    """The main score by the nearest neighbors among the subset."""
    index = embeddings.index(subset.rows)
    known = with_labels(data.train.take(subset.rows), embeddings.train[index])
    averages = knn(
        known.vectors,
        known.labels,
        embeddings.test,
        classes=data.classes,
        k=config.knn,
        temperature=config.temperature,
        mask=known.mask,
    )
    task = data.test.task
    name = task.main_score or ""
    return {name: score_outputs(task.outputs_of_neighbors(averages), data)[name]}


def fit_regression(embeddings: Embeddings, data: ProbeData, subset: Subset) -> LinearLayer:
    """The task's linear probe; a fifth of the subset chooses its penalty, then all is used."""
    examples, task = data.train.take(subset.rows), data.test.task
    known = with_labels(examples, embeddings.train[embeddings.index(subset.rows)])
    try:
        parts = split(examples, fraction=HELD_OUT, seed=subset.seed)
    except DataError:  # one example of each class: nothing can choose
        return task.linear_probe(known, k=data.classes)
    indices = [np.flatnonzero(np.isin(examples.keys, part.keys)) for part in parts]
    fit, held_out = (known.take(torch.from_numpy(index)) for index in indices)
    try:
        return task.linear_probe(known, k=data.classes, validation=(fit, held_out))
    except DataError:  # no class of the held-out examples has both kinds of labels
        return task.linear_probe(known, k=data.classes)


def fit_layer(
    embeddings: Embeddings, data: ProbeData, subset: Subset, config: Probe
) -> LinearLayer:
    """A linear layer trained by gradient descent."""
    index = embeddings.index(subset.rows)
    return train_layer(
        with_labels(data.train.take(subset.rows), embeddings.train[index]),
        k=data.classes,
        loss=data.test.task.loss,
        views=None if embeddings.views is None else embeddings.views[:, index],
        seed=subset.seed,
        **config.layer.model_dump(exclude={"views"}),
    )


def score_outputs(outputs: Tensor, data: ProbeData) -> dict[str, float]:
    """The scores of predictions for the test examples."""
    mask = None if data.test.mask is None else torch.as_tensor(data.test.mask)
    return data.test.task.scores(outputs, torch.as_tensor(data.test.labels), mask)


def finetune(
    sources: EmbeddingSources,
    config: Probe,
    subset: Subset,
    *,
    network: str,
    initial: LinearLayer | None,
    stamp: str,
) -> dict[str, float]:
    """Train the whole network on the labels of a subset, as a run in a folder of `RUN/probe`.

    The last weights are kept, since no example is left to choose by. An interrupted run is
    resumed, a finished one is read. `network` is `student`, or `untrained`: from the student's
    first weights; `initial` are the classifier's first weights, or None: random ones; `stamp` is,
    in the folder's name, all settings that the result depends on.
    """
    recipe, data = sources.recipe, sources.data
    way = "finetune" if initial is None else "probe-finetune"
    labels = len(subset.rows)
    out = sources.path / "probe" / f"{network}-{way}-{labels}-seed{subset.seed}-{stamp}"
    student = recipe.student.model_copy(
        update={
            "classes": data.classes,
            "classifier": "new" if initial is None else str(out / CLASSIFIER),
            **({"weights": str(Folder(sources.path).student)} if network == "student" else {}),
        }
    )
    if initial is not None and not (out / CLASSIFIER).is_file():
        content = save({"weight": initial.weight.contiguous(), "bias": initial.bias.contiguous()})
        files.write(out / CLASSIFIER, lambda path: path.write_bytes(content))
    of_subset: dict[str, Any] = {
        "validation": None,
        "limit": labels,
        "seed": subset.seed,
        "classes": list(data.train.classes or ()),
        "out_of_domain": {},
        "cycle": None,
        "view_seed": None,
    }
    tune = config.finetune.model_dump(exclude={"least"})
    tune["batch"] = min(tune["batch"], labels)
    tune["epochs"] = max(tune["epochs"], -(-config.finetune.least // (labels // tune["batch"])))
    for key in ("precision", "channels_last", "compile", "num_workers"):
        tune[key] = getattr(recipe.train, key)
    tuning = Recipe(
        data=data.data.model_copy(update=of_subset),
        student=student,
        teacher=None,
        method=MethodRecipe(),
        train=Train(**tune, seed=subset.seed),
        select=Select(keep="last"),
    )
    passed = data.data.source.startswith(PASSED_PREFIX)
    overrides = PythonOverrides(
        data=sources.overrides.data if passed else None, student=sources.overrides.student
    )
    return dict(train_or_resume(tuning, out, overrides).summary["test"])
