"""What the student, itself before its first step, and its teacher say of labeled examples."""

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
from mentee.build.overrides import GIVEN, ModelFactory, PythonOverrides
from mentee.data import Examples, batches, read_batch
from mentee.errors import MenteeError
from mentee.evaluation.monitor import pooled
from mentee.evaluation.predict import collect_features
from mentee.evaluation.student_reader import folder_of
from mentee.experiments.labeled import Rows, TrainingSetup
from mentee.models import Contract, normalize
from mentee.parallel import rank, world
from mentee.recipe import Ensemble, Network, OnlineRecipe, Recipe, online_recipe, single_teachers
from mentee.records import open_record
from mentee.records.folders import find_split
from mentee.records.manifest import read_manifest
from mentee.runs.folder import Folder
from mentee.types import CLEAN


@dataclass(frozen=True)
class EmbeddingSource:
    """Somebody whose vectors are probed.

    Attributes:
        name: what to call it: `student`, `untrained`, `teacher`, `teacher NAME`.
        of: (`train` or `test`, rows there, a view) to vectors `[n, d]`.
        augmented: whether it can be asked of any view, or of the clean one only.
    """

    name: str
    of: Callable[[str, Rows, int], Tensor]
    augmented: bool = True


@dataclass(frozen=True)
class EmbeddingSources:
    """Finds those whose vectors are probed; a note for whoever cannot be.

    Attributes:
        path: the run's folder.
        recipe: of the run, resolved.
        given: what was passed from Python.
        parts: the labeled examples.
        notes: sentences.
    """

    path: Path
    recipe: Recipe
    given: PythonOverrides
    parts: TrainingSetup
    notes: list[str] = field(default_factory=list)

    def find(self, who: str) -> Iterator[EmbeddingSource]:
        """The student, the untrained one, or the teacher: of several records each."""
        if who == "student":
            yield self._network(who, self.student())
        elif who == "untrained":
            network = self.untrained()
            if network is not None:
                yield self._network(who, network)
        else:
            try:
                yield from self._teachers()
            except MenteeError as error:
                self.notes.append(f"the teacher is not probed: {error}")

    def student(self) -> nn.Module:
        """The run's student."""
        said = self.recipe.student.model_copy(update={"weights": None, "classifier": None})
        network = self._drawn(said, self.given.student)
        models.load_weights(network, Folder(self.path).student)
        return network

    def untrained(self) -> nn.Module | None:
        """The student as it was before its first step; None where nobody can tell."""
        if isinstance(self.given.student, nn.Module):
            self.notes.append(
                "the untrained student is not probed: it was passed as a module, and nobody knows "
                "how that began; pass a function that makes it"
            )
            return None
        return self._drawn(self.recipe.student, self.given.student)

    def _drawn(self, said: Network, made: ModelFactory | None) -> nn.Module:
        return networks.build(said, made, self.parts.splits, seed=self.recipe.train.seed)

    def _network(
        self, name: str, network: nn.Module, said: Network | None = None
    ) -> EmbeddingSource:
        contract = networks.contract(said or self.recipe.student)
        device = PartialState(cpu=not torch.cuda.is_available()).device
        network.to(device)

        def of(part: str, rows: Rows, view: int) -> Tensor:
            examples = self.parts.named(part).take(rows)
            return vectors(network, contract, self.parts, examples, view, device)

        return EmbeddingSource(name, of)

    def _teachers(self) -> Iterator[EmbeddingSource]:
        split = self.recipe.data.train
        for label, said in single_teachers(self.recipe.teacher).items():
            if isinstance(said, OnlineRecipe):
                yield self._taught(label, said)
                continue
            for own, path in said.record_folders.items():
                name = f"teacher {label or own}".strip()
                network = read_manifest(find_split(path, split)).network
                if network is not None:
                    yield self._taught(label or own, online_recipe(network))
                else:
                    yield EmbeddingSource(name, self._recorded(path), augmented=False)

    def _taught(self, label: str, said: OnlineRecipe) -> EmbeddingSource:
        """A network that teaches, alone or by a name."""
        if isinstance(said, Ensemble):
            raise MenteeError("several networks teach by their logits, and have no one embedding")
        made = self.given.teacher
        made = made.get(label) if isinstance(made, Mapping) else made
        if said.network.startswith(GIVEN) and made is None:
            raise MenteeError("it was passed from Python; pass it again: teacher=...")
        seed = self.recipe.train.seed
        network, _ = networks.build_teacher(said, made, self.parts.splits, seed=seed)
        return self._network(f"teacher {label}".strip(), network, said)

    def _recorded(self, path: str) -> Callable[[str, Rows, int], Tensor]:
        """What a record has of the training split and of the test split."""
        parts, data = self.parts, self.recipe.data
        if parts.data.source != data.source:
            raise MenteeError(
                f"{path} was recorded of {data.source}, the labeled examples are of "
                f"{parts.data.source}"
            )
        held = {}
        for part, split in (("train", parts.data.train), ("test", str(parts.data.test))):
            folder = folder_of(path, split, data.train)
            if folder is None:
                raise MenteeError(f"{path} has no record of {split}; add it: --splits {split}")
            held[part] = open_record(folder, split)

        def of(part: str, rows: Rows, view: int) -> Tensor:
            found = held[part].of(parts.named(part).keys[rows])
            return pooled(found)

        return of


def vectors(
    network: nn.Module,
    contract: Contract,
    parts: TrainingSetup,
    examples: Examples,
    view: int,
    device: torch.device | str,
) -> Tensor:
    """What a network says of some examples at its embedding, in one view of them, `[n, d]`."""
    views = parts.splits.views
    one = read_batch(examples, np.zeros(1, np.int64), views=views, view=CLEAN)
    places = features.resolve(network, ["embedding"], normalize(one.inputs.to(device), contract))
    some = batches(
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
    return pooled(collect_features(network, places, contract, some, device)["embedding"])
