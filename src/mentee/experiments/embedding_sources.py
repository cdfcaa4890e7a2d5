"""Whose embeddings are probed: networks of a run, and records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn

from mentee import features, models
from mentee.build import networks
from mentee.build.overrides import PASSED_PREFIX, PythonOverrides
from mentee.data import Examples, read_batch
from mentee.data.payload import Rows
from mentee.errors import MenteeError
from mentee.evaluation.predictions import collect_features
from mentee.evaluation.student_reader import folder_of
from mentee.experiments.probe_data import ProbeData
from mentee.models import Contract, normalize
from mentee.recipe import Network, OnlineRecipe, Recipe, online_recipe, single_teachers
from mentee.records import Record, open_record
from mentee.records.folders import find_split
from mentee.records.manifest import read_manifest
from mentee.representations.pooled import averaged
from mentee.runs.folder import Folder
from mentee.types import CLEAN


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
        contract = networks.contract(self.recipe.student)
        if kind == "student":
            yield self._network(kind, self._student(), contract)
        elif kind == "untrained":
            network = self._untrained()
            if network is not None:
                yield self._network(kind, network, contract)
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

    def _network(self, name: str, network: nn.Module, contract: Contract) -> EmbeddingSource:
        device = PartialState(cpu=not torch.cuda.is_available()).device
        network.to(device)

        def embed(split: str, rows: Rows, view: int) -> Tensor:
            examples = self.data.split(split).take(rows)
            return embeddings(network, contract, self.data, examples, view, device)

        return EmbeddingSource(name, embed)

    def _teachers(self) -> Iterator[EmbeddingSource]:
        split = self.recipe.data.train
        for label, config in single_teachers(self.recipe.teacher).items():
            if (online := config.online) is not None:
                yield self._teacher(label, online)
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
        if not config.has_embedding:
            raise MenteeError("an ensemble of networks has logits, and no one embedding")
        module = self.overrides.teacher
        module = module.get(label) if isinstance(module, Mapping) else module
        if config.network.startswith(PASSED_PREFIX) and module is None:
            raise MenteeError("it was passed from Python; pass it again: teacher=...")
        seed = self.recipe.train.seed
        network, contract = networks.build_teacher(config, module, self.data.splits, seed=seed)
        return self._network(f"teacher {label}".strip(), network, contract)

    def _recorded(self, path: str) -> Callable[[str, Rows, int], Tensor]:
        """Reads recorded embeddings of the training split and of the test split."""
        probe_data, data = self.data, self.recipe.data
        if probe_data.data.source != data.source:
            raise MenteeError(
                f"{path} was recorded of {data.source}, the labeled examples are of "
                f"{probe_data.data.source}"
            )
        records = {}
        for name, part in (("train", probe_data.data.train), ("test", str(probe_data.data.test))):
            folder = folder_of(path, part, data.train)
            if folder is None:
                raise MenteeError(f"{path} has no record of {part}; add it: --splits {part}")
            records[name] = open_record(folder, part)
        return recorded_vectors(records, probe_data)


def recorded_vectors(
    records: Mapping[str, Record], data: ProbeData
) -> Callable[[str, Rows, int], Tensor]:
    """Reads the recorded embeddings of `train` and of `test`, as an `EmbeddingSource` does."""

    def embed(name: str, rows: Rows, view: int) -> Tensor:
        record = records[name]
        names = [each.name for each in record.columns]
        column = "embedding" if "embedding" in names else record.vector.name
        positions = record.positions(data.split(name).keys[rows])
        return averaged(record.read(positions, names=[column])[column])

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
    one = read_batch(examples, np.zeros(1, np.int64), views=data.splits.views, view=CLEAN)
    layers = features.resolve(network, ["embedding"], normalize(one.inputs.to(device), contract))
    loader = data.splits.clean(examples, view=view)
    return averaged(collect_features(network, layers, contract, loader, device)["embedding"])
