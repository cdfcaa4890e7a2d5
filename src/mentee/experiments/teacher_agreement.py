"""How often a student names the class that its teacher names, on the test part."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from accelerate import PartialState

from mentee.api import finished_recipe, open_student
from mentee.build import networks
from mentee.build.datasets import open_single_split, open_splits
from mentee.build.overrides import PythonOverrides
from mentee.build.teachers import teacher_kind
from mentee.errors import MenteeError
from mentee.evaluation.predict import predict
from mentee.evaluation.predictions import Predictions, load, predictions_of
from mentee.experiments.jobs import Job
from mentee.recipe import Ensemble, OnlineRecipe, Recipe


class TeacherAgreement:
    """Compares what students and their teacher predict; each is asked once, and its answer kept.

    Args:
        recipe: of the comparison.
        given: what was passed from Python.
        out: where the teacher's predictions are kept.
        say: what to do with a line of text.

    Attributes:
        note: why there is nothing to compare with; None: there is.
    """

    def __init__(
        self, recipe: Recipe, given: PythonOverrides, out: Path, say: Callable[[str], None]
    ) -> None:
        self.recipe, self.given, self.out, self.say = recipe, given, out, say
        self.note: str | None = None
        self._teacher: Predictions | None = None
        self._found: dict[str, float] = {}

    def ask_teacher(self) -> None:
        """Have the teacher's predictions, from a comparison before or from the network."""
        if self._teacher is not None or self.note is not None:
            return
        try:
            self._teacher = self._kept() or self._asked()
        except MenteeError as error:
            self.note = f"Nothing is said of agreement with the teacher: {error}"

    def of(self, jobs: Sequence[Job], *, older: bool = False) -> dict[tuple[str, str], float]:
        """The share of the test part on which student and teacher agree, the mean over seeds.

        Args:
            jobs: all runs; those that are not finished are left out.
            older: also ask the students of runs that have no predictions, which takes a while.
        """
        if self._teacher is None:
            return {}
        pairs: dict[tuple[str, str], list[float]] = {}
        for job in jobs:
            if not job.finished:
                continue
            if job.name not in self._found:
                try:
                    said = self._student(job, older)
                    found = None if said is None else said.agreement(self._teacher)
                except MenteeError as error:
                    self.note = f"{job.name}: no agreement with the teacher is told: {error}"
                    continue
                if found is None:
                    continue
                self._found[job.name] = found
            pairs.setdefault(job.pair, []).append(self._found[job.name])
        return {pair: statistics.mean(each) for pair, each in pairs.items()}

    def _student(self, job: Job, older: bool) -> Predictions | None:
        if job.folder.predictions.is_file():
            return load(job.folder.predictions)
        if not older:
            return None
        self.say(f"{job.name}  has no predictions.npz yet: its student is asked")
        recipe = finished_recipe(job.path)
        if recipe.data.test is None:
            return None
        sets = open_single_split(recipe, recipe.data.test, self.given.data)
        asked = open_student(job.path, recipe, sets, self.given.student)
        said = predictions_of(asked.said(sets.train, "logits")["logits"], sets.train)
        if said is not None:
            said.save(job.folder.predictions)
        return said

    def _asked(self) -> Predictions:
        """What the teacher says of the test part.

        Raises:
            MenteeError: there is no network, no test part, or its classes are others.
        """
        said = self._teacher_said()
        if self.recipe.data.test is None:
            raise MenteeError("there is no test part.")
        sets = open_splits(self.recipe, self.given.data)
        resolved = teacher_kind(said, self.recipe.data).resolve(sets, self.recipe.data)
        if resolved.classes != sets.classes or sets.test is None:
            raise MenteeError(
                f"the teacher has {resolved.classes} classes, the data have {sets.classes}."
            )
        device = PartialState(cpu=not torch.cuda.is_available()).device
        network, reads = networks.build_teacher(resolved, self.given.teacher, sets, seed=0)
        logits = predict(network.to(device), reads, sets.clean(sets.test), device)
        found = predictions_of(logits, sets.test)
        if found is None:
            raise MenteeError("an example may have several classes.")
        if self.given.teacher is None:
            found.save(self._path())
        return found

    def _kept(self) -> Predictions | None:
        if self.given.teacher is not None:  # which one it is cannot be told by its name
            return None
        return load(self._path()) if self._path().is_file() else None

    def _teacher_said(self) -> OnlineRecipe:
        said = self.recipe.teacher
        if not isinstance(said, OnlineRecipe):
            why = "the teacher is a record" if said else "the recipe names no teacher"
            raise MenteeError(f"{why}, not a network of the student's classes.")
        return said

    def _path(self) -> Path:
        """Where the predictions of this teacher are, by what it is made of."""
        said, data = self._teacher_said(), self.recipe.data
        made_of = [said.model_dump(mode="json"), data.model_dump(mode="json")]
        digest = hashlib.blake2b(json.dumps(made_of).encode(), digest_size=6)
        for each in said.networks if isinstance(said, Ensemble) else [said]:
            weights = None if each.weights is None else Path(each.weights).expanduser()
            if weights is not None and weights.is_file():
                digest.update(weights.read_bytes())
        return self.out / f"teacher-{digest.hexdigest()}.npz"
