"""How often student and teacher predict the same class on the test part."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from accelerate import PartialState

from mentee.build import networks
from mentee.build.datasets import open_single_split, open_splits
from mentee.build.overrides import PythonOverrides
from mentee.build.teachers import teacher_kind
from mentee.errors import MenteeError
from mentee.evaluation.predictions import Predictions, load, predict, predictions_of
from mentee.evaluation.student_reader import finished_recipe, open_student
from mentee.experiments.jobs import Job
from mentee.recipe import OnlineRecipe, Recipe


class TeacherAgreement:
    """Compares the predictions of students and their teacher; each predicts once and is saved.

    Attributes:
        note: why there is nothing to compare with; None: there is.
    """

    def __init__(
        self, recipe: Recipe, overrides: PythonOverrides, out: Path, say: Callable[[str], None]
    ) -> None:
        self.recipe, self.overrides, self.out, self.say = recipe, overrides, out, say
        self.note: str | None = None
        self._teacher: Predictions | None = None
        self._agreements: dict[str, float] = {}

    def predict_teacher(self) -> None:
        """Load the teacher's predictions of an earlier comparison, or compute them."""
        if self._teacher is not None or self.note is not None:
            return
        try:
            self._teacher = self._load_teacher() or self._run_teacher()
        except MenteeError as error:
            self.note = f"No agreement with the teacher: {error}"

    def by_pair(
        self, jobs: Sequence[Job], *, predict_missing: bool = False
    ) -> dict[tuple[str, str], float]:
        """The share of the test part on which student and teacher agree, the mean over seeds.

        `predict_missing`: also compute predictions that a run does not have, which takes a while.
        """
        if self._teacher is None:
            return {}
        pairs: dict[tuple[str, str], list[float]] = {}
        for job in (job for job in jobs if job.finished):
            if job.name not in self._agreements:
                try:
                    predictions = self._student(job, predict_missing)
                    if predictions is None:
                        continue
                    agreement = predictions.agreement(self._teacher)
                except MenteeError as error:
                    self.note = f"{job.name}: no agreement with the teacher: {error}"
                    continue
                self._agreements[job.name] = agreement
            pairs.setdefault(job.pair, []).append(self._agreements[job.name])
        return {pair: statistics.mean(each) for pair, each in pairs.items()}

    def _student(self, job: Job, predict_missing: bool) -> Predictions | None:
        if job.folder.predictions.is_file():
            return load(job.folder.predictions)
        if not predict_missing:
            return None
        self.say(f"{job.name}  has no predictions.npz yet: they are computed")
        recipe = finished_recipe(job.path)
        if recipe.data.test is None:
            return None
        splits = open_single_split(recipe, recipe.data.test, self.overrides.data)
        student = open_student(job.path, recipe, splits, self.overrides.student)
        predictions = predictions_of(
            student.features(splits.train, "logits")["logits"], splits.train
        )
        if predictions is not None:
            predictions.save(job.folder.predictions)
        return predictions

    def _run_teacher(self) -> Predictions:
        """The teacher's predictions for the test part.

        Raises:
            MenteeError: there is no network, no test part, or its classes are others.
        """
        config = self._teacher_config()
        if self.recipe.data.test is None:
            raise MenteeError("there is no test part.")
        splits = open_splits(self.recipe, self.overrides.data)
        resolved = teacher_kind(config, self.recipe.data).resolve(
            splits, self.recipe.data, self.overrides.teacher
        )
        if resolved.classes != splits.classes or splits.test is None:
            raise MenteeError(
                f"the teacher has {resolved.classes} classes, the data have {splits.classes}."
            )
        device = PartialState(cpu=not torch.cuda.is_available()).device
        network, contract = networks.build_teacher(resolved, self.overrides.teacher, splits, seed=0)
        logits = predict(network.to(device), contract, splits.clean(splits.test), device)
        predictions = predictions_of(logits, splits.test)
        if predictions is None:
            raise MenteeError("an example may have several classes.")
        if self.overrides.teacher is None:
            predictions.save(self._path())
        return predictions

    def _load_teacher(self) -> Predictions | None:
        if self.overrides.teacher is not None:  # its name does not tell which network it is
            return None
        return load(self._path()) if self._path().is_file() else None

    def _teacher_config(self) -> OnlineRecipe:
        teacher = self.recipe.online_teacher
        if teacher is None:
            named = self.recipe.teacher is not None
            why = "the teacher is a record" if named else "the recipe names no teacher"
            raise MenteeError(f"{why}, not a network of the student's classes.")
        return teacher

    def _path(self) -> Path:
        """The file of this teacher's predictions, named by a hash of its recipe and weights."""
        config, data = self._teacher_config(), self.recipe.data
        content = [config.model_dump(mode="json"), data.model_dump(mode="json")]
        digest = hashlib.blake2b(json.dumps(content).encode(), digest_size=6)
        for network in config.each_network:
            weights = None if network.weights is None else Path(network.weights).expanduser()
            if weights is not None and weights.is_file():
                digest.update(weights.read_bytes())
        return self.out / f"teacher-{digest.hexdigest()}.npz"
