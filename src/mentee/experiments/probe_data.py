"""What a probe reads: labeled examples, subsets of them, and embeddings of student and teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accelerate import PartialState
from torch import Tensor, nn

from mentee import features, models
from mentee.build import networks
from mentee.build.datasets import DatasetSplits, open_split, read_as, views_for
from mentee.build.overrides import PASSED_PREFIX, PythonOverrides
from mentee.data import Examples, batches, limit, read_batch
from mentee.errors import DataError, MenteeError, RecipeError
from mentee.evaluation.monitor import pooled
from mentee.evaluation.predictions import collect_features
from mentee.evaluation.student_reader import folder_of
from mentee.models import Contract, normalize
from mentee.parallel import rank, world
from mentee.recipe import (
    Data,
    Ensemble,
    Network,
    OnlineRecipe,
    Probe,
    Recipe,
    online_recipe,
    single_teachers,
)
from mentee.records import open_record
from mentee.records.folders import find_split
from mentee.records.manifest import read_manifest
from mentee.runs.folder import Folder
from mentee.types import CLEAN

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Subset:
    """Labeled examples that a probe is trained on.

    Attributes:
        share: of all labeled examples.
        seed: of the draw.
        rows: their positions among the training examples, ascending.
    """

    share: float
    seed: int
    rows: Rows


@dataclass(frozen=True)
class ProbeData:
    """The labeled examples of a probe.

    Attributes:
        data: the recipe's `data` by which both splits are read.
        train: the examples that subsets are drawn from.
        test: the examples that every probe is scored on; nothing is trained or chosen by them.
        splits: turns examples into a network's inputs.
    """

    data: Data
    train: Examples
    test: Examples
    splits: DatasetSplits

    def split(self, name: str) -> Examples:
        """The examples of `train` or of `test`."""
        return self.train if name == "train" else self.test

    @property
    def classes(self) -> int:
        """How many classes the labels have."""
        return len(self.train.classes or ())


def open_probe_data(recipe: Recipe, config: Probe, source: Any = None) -> ProbeData:
    """Open the labeled examples of a recipe's `probe`.

    Args:
        recipe: of the run, resolved.
        config: its `probe`.
        source: the data, where they were passed from Python.

    Raises:
        RecipeError: no test split is named, neither in `probe` nor in `data`.
        DataError: they cannot be read, or have no labels.
    """
    own = config.source is None or config.source == recipe.data.source
    test = config.test or (recipe.data.test if own else None)
    if test is None:
        raise RecipeError(
            "a probe is scored on examples that it is not trained on: name their split, "
            "probe.test=test"
        )
    update: dict[str, Any] = {"label": config.label, "classes": None}
    if config.label is None and recipe.data.label is not False and own:
        update = {}
    if not own:
        update["task"] = None
    train_split = config.train or (recipe.data.train if own else "train")
    update |= {"train": train_split, "test": test, "source": config.source or recipe.data.source}
    data, passed = recipe.data.model_copy(update=update), source if own else None
    train = open_split(data, train_split, passed).labeled_only()
    test_examples = open_split(read_as(data, train), test, passed).labeled_only()
    for examples in (train, test_examples):
        if examples.labels is None:
            raise DataError(
                f"{examples.name} has no labels to probe with; name their column, "
                "probe.label=NAME, or another source, probe.source=..."
            )
    task = train.task.fitted(train.known_labels)
    train, test_examples = replace(train, task=task), replace(test_examples, task=task)
    splits = DatasetSplits(train, train, None, test_examples, views_for(recipe, train))
    return ProbeData(data, train, test_examples, splits)


def subsets(train: Examples, config: Probe) -> list[Subset]:
    """Every share with every seed, the smallest share first; the whole only once.

    With the same seed a smaller share is a part of a larger one; each has an example of every
    class.

    Example:
        >>> from mentee.data import open_examples
        >>> result = subsets(open_examples("embedded:digits"), Probe(shares=[1.0, 0.001], seeds=2))
        >>> [(subset.share, subset.seed, len(subset.rows)) for subset in result]
        [(0.001, 0, 10), (0.001, 1, 10), (1.0, 0, 1297)]
    """
    n, result = len(train), []
    for share in sorted(set(config.shares)):
        least = train.task.least_examples(len(train.classes or ()))
        count = min(max(round(share * n), least), n)
        for seed in range(config.seeds if count < n else 1):
            keys = limit(train, count, seed=seed).keys
            result.append(Subset(share, seed, np.flatnonzero(np.isin(train.keys, keys))))
    return result


@dataclass(frozen=True)
class EmbeddingSource:
    """A network or a record whose embeddings are probed.

    Attributes:
        name: `student`, `untrained`, `teacher` or `teacher NAME`.
        embed: (`train` or `test`, rows there, view) to embeddings `[n, d]`.
        augmented: whether any view can be read, or the clean one only.
    """

    name: str
    embed: Callable[[str, Rows, int], Tensor]
    augmented: bool = True


@dataclass(frozen=True)
class EmbeddingSources:
    """The sources of a run: its student, the untrained student, its teachers.

    Attributes:
        path: the run's folder.
        recipe: of the run, resolved.
        overrides: what was passed from Python.
        data: the labeled examples.
        notes: sentences on sources that cannot be probed.
    """

    path: Path
    recipe: Recipe
    overrides: PythonOverrides
    data: ProbeData
    notes: list[str] = field(default_factory=list)

    def find(self, kind: str) -> Iterator[EmbeddingSource]:
        """The sources of a kind, `student`, `untrained` or `teacher`: one for each teacher."""
        if kind == "student":
            yield self._network(kind, self._student())
        elif kind == "untrained":
            network = self._untrained()
            if network is not None:
                yield self._network(kind, network)
        else:
            try:
                yield from self._teachers()
            except MenteeError as error:
                self.notes.append(f"the teacher is not probed: {error}")

    def _student(self) -> nn.Module:
        config = self.recipe.student.model_copy(update={"weights": None, "classifier": None})
        network = self._build(config)
        models.load_weights(network, Folder(self.path).student)
        return network

    def _untrained(self) -> nn.Module | None:
        """The student with its first weights; None where these are not known."""
        if isinstance(self.overrides.student, nn.Module):
            self.notes.append(
                "the untrained student is not probed: it was passed as a module, whose first "
                "weights are not known; pass a function that makes it"
            )
            return None
        return self._build(self.recipe.student)

    def _build(self, config: Network) -> nn.Module:
        seed = self.recipe.train.seed
        return networks.build(config, self.overrides.student, self.data.splits, seed=seed)

    def _network(
        self, name: str, network: nn.Module, config: Network | None = None
    ) -> EmbeddingSource:
        contract = networks.contract(config or self.recipe.student)
        device = PartialState(cpu=not torch.cuda.is_available()).device
        network.to(device)

        def embed(split: str, rows: Rows, view: int) -> Tensor:
            examples = self.data.split(split).take(rows)
            return embeddings(network, contract, self.data, examples, view, device)

        return EmbeddingSource(name, embed)

    def _teachers(self) -> Iterator[EmbeddingSource]:
        split = self.recipe.data.train
        for label, config in single_teachers(self.recipe.teacher).items():
            if isinstance(config, OnlineRecipe):
                yield self._teacher(label, config)
                continue
            for name, path in config.record_folders.items():
                network = read_manifest(find_split(path, split)).network
                if network is not None:
                    yield self._teacher(label or name, online_recipe(network))
                else:
                    embed = self._recorded(path)
                    full_name = f"teacher {label or name}".strip()
                    yield EmbeddingSource(full_name, embed, augmented=False)

    def _teacher(self, label: str, config: OnlineRecipe) -> EmbeddingSource:
        """A network as teacher, the only one or one of several by name."""
        if isinstance(config, Ensemble):
            raise MenteeError("an ensemble of networks has logits, and no one embedding")
        module = self.overrides.teacher
        module = module.get(label) if isinstance(module, Mapping) else module
        if config.network.startswith(PASSED_PREFIX) and module is None:
            raise MenteeError("it was passed from Python; pass it again: teacher=...")
        seed = self.recipe.train.seed
        network, _ = networks.build_teacher(config, module, self.data.splits, seed=seed)
        return self._network(f"teacher {label}".strip(), network, config)

    def _recorded(self, path: str) -> Callable[[str, Rows, int], Tensor]:
        """Reads recorded embeddings of the training split and of the test split."""
        probe_data, data = self.data, self.recipe.data
        if probe_data.data.source != data.source:
            raise MenteeError(
                f"{path} was recorded of {data.source}, the labeled examples are of "
                f"{probe_data.data.source}"
            )
        records = {}
        for name, split in (("train", probe_data.data.train), ("test", str(probe_data.data.test))):
            folder = folder_of(path, split, data.train)
            if folder is None:
                raise MenteeError(f"{path} has no record of {split}; add it: --splits {split}")
            records[name] = open_record(folder, split)

        def embed(name: str, rows: Rows, view: int) -> Tensor:
            vectors = records[name].of(probe_data.split(name).keys[rows])
            return pooled(vectors)

        return embed


def embeddings(
    network: nn.Module,
    contract: Contract,
    data: ProbeData,
    examples: Examples,
    view: int,
    device: torch.device | str,
) -> Tensor:
    """A network's embeddings of examples in one view of them, `[n, d]`."""
    views = data.splits.views
    one = read_batch(examples, np.zeros(1, np.int64), views=views, view=CLEAN)
    layers = features.resolve(network, ["embedding"], normalize(one.inputs.to(device), contract))
    loader = batches(
        examples,
        batch=256 * world(),
        views=views,
        view=view,
        seed=0,
        epoch=0,
        shuffle=False,
        drop_last=False,
        rank=rank(),
        world=world(),
    )
    return pooled(collect_features(network, layers, contract, loader, device)["embedding"])
