"""One student, scored on any set and compared with what the teacher's records say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mentee import features
from mentee.build.datasets import DatasetSplits
from mentee.build.evaluation_data import split_of
from mentee.data import Examples, read_batch
from mentee.errors import DataError, LayerError
from mentee.evaluation.predict import collect_features
from mentee.metrics import linear_cka
from mentee.models import Contract, normalize
from mentee.recipe import Domain, Recipe, RecordedRecipe, single_teachers
from mentee.records import Record, open_record
from mentee.records.folders import is_network_record
from mentee.records.manifest import has_manifest
from mentee.types import CLEAN, Features


def scores_of(logits: Tensor, examples: Examples, threshold: float) -> dict[str, float]:
    """The scores of predictions; none for examples without labels.

    Raises:
        DataError: no class of several has both kinds of examples.
    """
    if examples.labels is None:
        return {}
    mask = None if examples.mask is None else torch.as_tensor(examples.mask)
    labels = torch.as_tensor(examples.labels)
    return examples.task.scores(logits, labels, mask, threshold=threshold)


class Read(NamedTuple):
    """What a student was found to say of some examples.

    Attributes:
        scores: by name; none for examples without labels.
        similarity: of its embedding to each record's vectors, or None.
        logits: `[n, k]`.
    """

    scores: dict[str, float]
    similarity: dict[str, float] | None
    logits: Tensor


@dataclass(frozen=True)
class StudentReader:
    """Scores one student on any set, and compares its embedding with the teacher's.

    Attributes:
        network: the student.
        contract: what it reads.
        splits: of the run; says how contents become inputs.
        recipe: of the run, resolved; says which records the teacher left.
        device: where the network is.
        notes: a sentence for all that could not be told, so that nothing else is lost with it.
    """

    network: nn.Module
    contract: Contract
    splits: DatasetSplits
    recipe: Recipe
    device: torch.device | str
    notes: list[str] = field(default_factory=list)
    _opened: dict[tuple[Path, str], Record | None] = field(default_factory=dict)

    def __call__(self, name: str, examples: Examples, records: Mapping[str, Record]) -> Read:
        """Scores on some examples, and similarity to each record's vectors.

        Args:
            name: what to call them in a note.
            examples: what the student reads.
            records: what `records` found for them.
        """
        asked = len(examples) > 1 and records
        try:
            said = self.said(examples, "logits", *(["embedding"] if asked else []))
        except LayerError as error:
            if not asked:
                raise
            self.note(f"{name} is not compared with the teacher: {error}")
            said = self.said(examples, "logits")
        found: dict[str, float] = {}
        try:
            found = scores_of(said["logits"], examples, self.recipe.select.threshold)
        except DataError as error:
            self.note(f"{name} has no scores: {error}")
        compared = alike(said["embedding"], examples, records) if "embedding" in said else None
        return Read(found, compared, said["logits"])

    def scores(self, examples: Examples) -> dict[str, float]:
        """The scores alone.

        Raises:
            DataError: no class of several has both kinds of examples.
        """
        logits = self.said(examples, "logits")["logits"]
        return scores_of(logits, examples, self.recipe.select.threshold)

    def said(self, examples: Examples, *names: str) -> Features:
        """What the student says of some examples at some places, not augmented."""
        one = read_batch(examples, np.zeros(1, np.int64), views=self.splits.views, view=CLEAN)
        some = normalize(one.inputs.to(self.device), self.contract)
        places = features.resolve(self.network, names, some)
        return collect_features(
            self.network, places, self.contract, self.splits.clean(examples), self.device
        )

    def records(self, name: str, domain: Domain, whole: Examples) -> dict[str, Record]:
        """What the teacher's records say of a set; empty where there is none of it.

        A record that is damaged, or of other examples, is left out with a note.

        Args:
            name: what to call the set in a note.
            domain: where it is from.
            whole: its split, neither limited nor corrupted.
        """
        found = {}
        split = split_of(domain, self.recipe.data)
        for label, folder in self._folders(domain, split).items():
            record = self._fitting(name, folder, split, whole)
            if record is not None:
                found[label or "teacher"] = record
        return found

    def note(self, text: str) -> None:
        """Keep a sentence, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _folders(self, domain: Domain, split: str) -> dict[str, Path]:
        """Where the records of a domain are, by name."""
        data, teacher = self.recipe.data, self.recipe.teacher
        if domain.record is not None:
            return {name: Path(path) for name, path in domain.record_folders.items()}
        if domain.source not in (None, data.source):
            return {}
        found = {
            name or label: folder_of(path, split, data.train)
            for name, each in single_teachers(teacher).items()
            if isinstance(each, RecordedRecipe)
            for label, path in each.record_folders.items()
        }
        return {name: folder for name, folder in found.items() if folder is not None}

    def _fitting(self, name: str, folder: Path, split: str, whole: Examples) -> Record | None:
        """The record in a folder, opened once; None with a note where it cannot be used."""
        key = (folder, split)
        try:
            if key not in self._opened:
                self._opened[key] = None  # a damaged one is neither read nor noted twice
                self._opened[key] = open_record(folder, split)
            record = self._opened[key]
            if record is not None:
                record.check(whole)
        except DataError as error:
            self.note(f"{name} is not compared with the teacher: {error}")
            return None
        return record


def folder_of(path: Path | str, split: str, train: str) -> Path | None:
    """Where a teacher's record of one split is, or None.

    Args:
        path: what the recipe names: a folder with one for each split, or that of training alone.
        split: which split.
        train: the split that the student is trained on.
    """
    folder = Path(path)
    if has_manifest(folder):
        return folder if split == train else None
    if not (folder / split).is_dir():
        return None
    try:
        return None if is_network_record(folder, split) else folder / split
    except DataError:  # a note tells why when it is opened
        return folder / split


def alike(embedding: Tensor, examples: Examples, records: Mapping[str, Record]) -> dict[str, float]:
    """Linear CKA of a student's embedding with what each record says of the examples."""
    found = {}
    for name, record in records.items():
        theirs = record.of(examples.keys)
        vectors = theirs.mean(1) if theirs.ndim == 3 else theirs
        found[name] = linear_cka(embedding, vectors)
    return found
