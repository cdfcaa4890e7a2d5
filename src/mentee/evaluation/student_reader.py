"""One student on any set: its features, its scores, and its similarity to a teacher's records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn

from mentee import models
from mentee.build import networks
from mentee.build.datasets import DatasetSplits
from mentee.build.evaluation_data import split_of
from mentee.build.overrides import ModelFactory
from mentee.data import Examples, read_batch
from mentee.errors import DataError, LayerError, RunError
from mentee.evaluation.details import score_details, score_outputs
from mentee.evaluation.predictions import collect_features
from mentee.features import resolve
from mentee.files import located
from mentee.metrics import linear_cka
from mentee.models import Contract, normalize
from mentee.recipe import Domain, Recipe, single_teachers
from mentee.records import Record, open_record
from mentee.records.folders import is_network_record
from mentee.records.manifest import has_manifest
from mentee.representations.pooled import averaged
from mentee.runs.folder import Folder
from mentee.types import CLEAN, Features
from mentee.urls import Url


class SetResult(NamedTuple):
    """A student's results on one set of examples.

    Attributes:
        scores: by name; none for examples without labels.
        similarity: of its embedding to each record's vectors, or None.
        logits: `[n, k]`.
        details: what stands beside the scores, from `score_details`; None without labels.
    """

    scores: dict[str, float]
    similarity: dict[str, float] | None
    logits: Tensor
    details: dict[str, Any] | None = None


@dataclass(frozen=True)
class StudentReader:
    """Scores one student on any set, and compares its embedding with the teacher's.

    Attributes:
        network: the student.
        contract: what it reads.
        splits: of the run; how payloads become inputs.
        recipe: of the run, resolved: names the teacher's records.
        device: where the network is.
        notes: a sentence for each result that is missing, so that nothing else is lost with it.
    """

    network: nn.Module
    contract: Contract
    splits: DatasetSplits
    recipe: Recipe
    device: torch.device | str
    notes: list[str] = field(default_factory=list)
    _records: dict[tuple[Path | Url, str], Record | None] = field(default_factory=dict)

    def evaluate(self, name: str, examples: Examples, records: Mapping[str, Record]) -> SetResult:
        """Scores on some examples, and similarity to each record's vectors, from `records`."""
        compare = len(examples) > 1 and records
        try:
            features = self.features(examples, "logits", *(["embedding"] if compare else []))
        except LayerError as error:
            if not compare:
                raise
            self.note(f"{name} is not compared with the teacher: {error}")
            features = self.features(examples, "logits")
        scores: dict[str, float] = {}
        details = None
        try:
            scores = score_outputs(features["logits"], examples, self.recipe.select)
            details = score_details(features["logits"], examples, self.recipe.select)
        except DataError as error:
            self.note(f"{name} has no scores: {error}")
        similarity = None
        if "embedding" in features:
            similarity = similarity_to(features["embedding"], examples, records)
        return SetResult(scores, similarity, features["logits"], details)

    def scores(self, examples: Examples) -> dict[str, float]:
        """The scores alone.

        Raises:
            DataError: no class of several has both kinds of examples.
        """
        logits = self.features(examples, "logits")["logits"]
        return score_outputs(logits, examples, self.recipe.select)

    def features(self, examples: Examples, *names: str) -> Features:
        """The student's features of some examples at named layers, not augmented."""
        one = read_batch(examples, np.zeros(1, np.int64), views=self.splits.views, view=CLEAN)
        some = normalize(one.inputs.to(self.device), self.contract)
        layers = resolve(self.network, names, some)
        return collect_features(
            self.network, layers, self.contract, self.splits.clean(examples), self.device
        )

    def records(self, name: str, domain: Domain, whole: Examples) -> dict[str, Record]:
        """The teacher's records of a whole split; empty where there is none.

        A record that is damaged, or of other examples, is left out with a note.
        """
        records = {}
        split = split_of(domain, self.recipe.data)
        for label, folder in self._folders(domain, split).items():
            record = self._fitting(name, folder, split, whole)
            if record is not None:
                records[label or "teacher"] = record
        return records

    def note(self, text: str) -> None:
        """Add a sentence to the notes, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _folders(self, domain: Domain, split: str) -> dict[str, Path | Url]:
        """Where the records of a domain are, by name."""
        data, teacher = self.recipe.data, self.recipe.teacher
        if domain.record is not None:
            return {name: located(path) for name, path in domain.record_folders.items()}
        if domain.source not in (None, data.source):
            return {}
        folders = {
            name or label: folder_of(path, split, data.train)
            for name, each in single_teachers(teacher).items()
            for label, path in each.record_folders.items()
        }
        return {name: folder for name, folder in folders.items() if folder is not None}

    def _fitting(self, name: str, folder: Path | Url, split: str, whole: Examples) -> Record | None:
        """The record in a folder, opened once; None with a note where it cannot be used."""
        key = (folder, split)
        try:
            if key not in self._records:
                self._records[key] = None  # a damaged one is neither read nor noted twice
                self._records[key] = open_record(folder, split)
            record = self._records[key]
            if record is not None:
                record.check(whole)
        except DataError as error:
            self.note(f"{name} is not compared with the teacher: {error}")
            return None
        return record


def folder_of(path: Path | Url | str, split: str, train: str) -> Path | Url | None:
    """Where a teacher's record of one split is, or None.

    The path that the recipe names is a folder with one for each split, or that of training alone.
    """
    folder = located(path)
    if has_manifest(folder):
        return folder if split == train else None
    if not (folder / split).is_dir():
        return None
    try:
        return None if is_network_record(folder, split) else folder / split
    except DataError:  # a note has the reason when it is opened
        return folder / split


def similarity_to(
    embedding: Tensor, examples: Examples, records: Mapping[str, Record]
) -> dict[str, float]:
    """Linear CKA of a student's embedding with each record's vectors of the examples."""
    vectors = {name: averaged(record.of(examples.keys)) for name, record in records.items()}
    return {name: linear_cka(embedding, each) for name, each in vectors.items()}


def finished_recipe(path: str | Path) -> Recipe:
    """The resolved recipe of a run that has a student.

    Raises:
        RunError: it has none, or there is no run.
    """
    folder = Folder(Path(path))
    folder.must_exist()
    if not folder.student.is_file():
        raise RunError(
            f"{folder.path} has no student.safetensors: the run is not finished; resume it with "
            f"mentee resume {folder.path}"
        )
    return folder.read_recipe()


def open_student(
    path: str | Path, recipe: Recipe, splits: DatasetSplits, student: ModelFactory | None
) -> StudentReader:
    """A run's student, ready to be scored by all processes that a launcher started."""
    config = recipe.student.model_copy(update={"weights": None, "classifier": None})
    network = networks.build(config, student, splits, seed=0)
    models.load_weights(network, Folder(Path(path)).student)
    device = PartialState(cpu=not torch.cuda.is_available()).device
    return StudentReader(
        network.to(device), networks.contract(recipe.student), splits, recipe, device
    )
