"""Probes of a trained student: the quality of its embedding with few labels and with many."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mentee import files
from mentee.api import finished_recipe
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.console import print_line
from mentee.errors import RecipeError
from mentee.evaluation.evaluator import write_report
from mentee.experiments.probe_data import (
    EmbeddingSource,
    EmbeddingSources,
    ProbeData,
    Subset,
    open_probe_data,
    subsets,
)
from mentee.experiments.probe_methods import (
    Embeddings,
    embed,
    finetune,
    fit_layer,
    fit_regression,
    knn_scores,
    score_outputs,
)
from mentee.locks import folder_lock
from mentee.metrics import LinearLayer
from mentee.parallel import init_processes, rank
from mentee.recipe import Probe, Recipe, read
from mentee.report import align, probe_cells, spread
from mentee.runs.folder import Folder

__all__ = ["ProbeResult", "probe"]
FORMAT = 2
FINETUNING = ("finetune", "probe-finetune")
DATA_KEYS = ("source", "train", "test", "label")


@dataclass(frozen=True)
class ProbeResult:
    """The result of probing a run's student.

    Attributes:
        path: the run's folder.
        content: of its `probe.json`.
    """

    path: Path
    content: Mapping[str, Any]

    def scores(self, way: str, share: float, who: str = "student") -> list[float]:
        """The main score of a way with a share of the labels, one for each draw of them."""
        return [
            row["score"]
            for row in self.content["rows"]
            if (row["who"], row["way"], row["share"]) == (who, way, share)
        ]

    def __repr__(self) -> str:
        return f"ProbeResult({str(self.path)!r}, {len(self.content['rows'])} rows)"

    def __str__(self) -> str:
        notes = [f"note: {note}" for note in self.content["notes"]]
        return "\n".join([align(probe_cells(self.content["rows"])), *notes])


def probe(
    path: str | Path,
    *,
    changes: Sequence[str] = (),
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    say: Callable[[str], None] = print_line,
) -> ProbeResult:
    """Probe a run's student: how good its embedding is with few labels and with many.

    The ways are `linear` (logistic regression by scikit-learn), `knn` (nearest neighbors),
    `layer` (a layer trained by gradient descent), `finetune` (the whole network with a new
    classifier) and `probe-finetune` (the same, with the regression as its first classifier). Each
    result is written into the run's folder at once: after a stop, or with more ways, shares or
    seeds, the same call continues.

    Args:
        path: the run's folder.
        changes: of its recipe's `probe`: `probe.shares=[0.01, 1.0]` and the like.
        data: as for `train`, where it was passed there.
        student: the same.
        teacher: the same.
        say: called with each line of text.

    Returns:
        All results so far.

    Raises:
        MenteeError: the run is not finished, or the labeled examples cannot be used.
        Interrupted: SIGINT or SIGTERM while a network is fine-tuned; everything is saved.

    Source: arXiv:2303.07599 (a trained layer), arXiv:2202.10054 (probe, then fine-tune).
    """
    init_processes()
    folder, say = Folder(Path(path)), say if rank() == 0 else lambda line: None
    recipe, config = read_probe_config(folder.path, changes)
    overrides = PythonOverrides(data, student, teacher)
    overrides.check(recipe.model_copy(update={"teacher": None}))
    probe_data = open_probe_data(recipe, config, data)
    sources = EmbeddingSources(folder.path, recipe, overrides, probe_data)
    with folder_lock(folder.path):
        results = ProbeResults.open(folder.path, probe_data, config)
        runner = ProbeRunner(
            config, probe_data, subsets(probe_data.train, config), sources, results, say
        )
        for network in config.who:
            runner.run(network)
        results.notes = list(dict.fromkeys(sources.notes))
        results.write()
        if rank() == 0:
            write_report(folder.path)
    return ProbeResult(folder.path, results.content)


def read_probe_config(path: Path, changes: Sequence[str]) -> tuple[Recipe, Probe]:
    """A finished run's recipe, and its `probe` with changes.

    Raises:
        RunError: there is no such run.
        RecipeError: something else than `probe` is to be changed.
    """
    recipe = finished_recipe(path)
    wrong = [change for change in changes if not change.startswith("probe.")]
    if wrong:
        raise RecipeError(
            f"--set {wrong[0]}: the run is finished; only its probe can be changed, probe.KEY=VALUE"
        )
    return recipe, read(recipe, changes).probe or Probe()


@dataclass
class ProbeResults:
    """The rows of `probe.json`, written as each is known.

    Attributes:
        path: of `probe.json`.
        settings: what all rows have in common; rows of other settings are dropped.
        rows: a mapping each: who, way, share, labels, seed, score, scores, strength.
        notes: sentences on what could not be probed.
    """

    path: Path
    settings: Mapping[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, run: Path, data: ProbeData, config: Probe) -> ProbeResults:
        """The results of the same probe in a run's folder, or none."""
        folder = Folder(run)
        settings = {
            "by": data.train.task.main_score,
            "student": hashlib.blake2b(folder.student.read_bytes(), digest_size=16).hexdigest(),
            "train": {"examples": len(data.train), "fingerprint": data.train.fingerprint()},
            "test": {"examples": len(data.test), "fingerprint": data.test.fingerprint()},
            "probe": config.model_dump(mode="json", exclude={"shares", "seeds", "ways", "who"}),
        }
        saved = folder.read_probe() or {}
        same = saved.get("settings") == settings
        return cls(folder.probe, settings, saved["rows"] if same else [])

    def stamp(self, *keys: str) -> str:
        """8 hexadecimal digits of the student, the examples and some keys of `probe`."""
        config = {key: self.settings["probe"][key] for key in keys}
        text = json.dumps(dict(self.settings) | {"probe": config}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def has(self, network: str, way: str, subset: Subset) -> bool:
        """Whether a row is there."""
        return any(_key(row) == (network, way, len(subset.rows), subset.seed) for row in self.rows)

    def scores(self, network: str, way: str, labels: int) -> list[float]:
        """The main scores so far, one for each draw of the labels."""
        key = (network, way, labels)
        return [row["score"] for row in self.rows if _key(row)[:3] == key]

    def add(
        self,
        network: str,
        way: str,
        subset: Subset,
        scores: Mapping[str, float],
        strength: float | None = None,
    ) -> None:
        """Add a row, and write the file."""
        row = {
            "who": network,
            "way": way,
            "share": subset.share,
            "labels": len(subset.rows),
            "seed": subset.seed,
            "score": scores[self.settings["by"]],
            "scores": dict(scores),
            "strength": strength,
        }
        self.rows.append(row)
        self.write()

    @property
    def content(self) -> dict[str, Any]:
        """Of the file."""
        results = {"settings": self.settings, "rows": self.rows, "notes": self.notes}
        return {"format": FORMAT, **results}

    def write(self) -> None:
        """Write the file; the first process only."""
        if rank() == 0:
            files.write_json(self.path, self.content)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["who"], row["way"], row["labels"], row["seed"]


@dataclass(frozen=True)
class ProbeRunner:
    """Runs every way with every subset whose result is not there yet.

    Attributes:
        config: the recipe's `probe`.
        data: the labeled examples.
        subsets: what is trained on.
        sources: whose embeddings are probed.
        results: the rows so far.
        say: called with each line of text.
    """

    config: Probe
    data: ProbeData
    subsets: Sequence[Subset]
    sources: EmbeddingSources
    results: ProbeResults
    say: Callable[[str], None]

    def run(self, network: str) -> None:
        """Probe the student, the untrained student or the teacher."""
        for source in self.sources.find(network):
            self._probe_embeddings(source)
        if network != "teacher":
            self._finetune(network)

    def _probe_embeddings(self, source: EmbeddingSource) -> None:
        ways = [way for way in self.config.ways if way not in FINETUNING]
        todo = [subset for subset in self.subsets if self._missing(source.name, ways, subset)]
        if not todo:
            return
        rows = np.unique(np.concatenate([subset.rows for subset in todo]))
        views = self.config.layer.views if "layer" in ways else 0
        embeddings = embed(source, self.data, rows, views)
        for way in ways:
            for subset in todo:
                if self._missing(source.name, [way], subset):
                    scores, strength = self._score(way, embeddings, subset)
                    self.results.add(source.name, way, subset, scores, strength)
            self._print(source.name, way, todo)

    def _score(
        self, way: str, embeddings: Embeddings, subset: Subset
    ) -> tuple[dict[str, float], float | None]:
        """(scores on the test examples, strength of the penalty) of a way with a subset."""
        if way == "knn":
            return knn_scores(embeddings, self.data, subset, self.config), None
        if way == "linear":
            layer = fit_regression(embeddings, self.data, subset)
        else:
            layer = fit_layer(embeddings, self.data, subset, self.config)
        return score_outputs(layer(embeddings.test), self.data), layer.strength

    def _finetune(self, network: str) -> None:
        ways = [way for way in self.config.ways if way in FINETUNING]
        if ways and self.sources.recipe.student.reuse is not None:
            self.sources.notes.append(
                "nothing is fine-tuned: the student ends in its teacher's classifier, which has "
                "the teacher's classes"
            )
            return
        stamp = self.results.stamp("finetune", *DATA_KEYS)
        for way in ways:
            todo = [subset for subset in self.subsets if self._missing(network, [way], subset)]
            for subset in todo:
                initial = self._regression(network, subset) if way == "probe-finetune" else None
                scores = finetune(
                    self.sources, self.config, subset, network=network, initial=initial, stamp=stamp
                )
                self.results.add(network, way, subset, scores)
            self._print(network, way, todo)

    def _regression(self, network: str, subset: Subset) -> LinearLayer:
        """The logistic regression on the embeddings of the network before it is fine-tuned."""
        (source,) = self.sources.find(network)
        return fit_regression(embed(source, self.data, subset.rows, 0), self.data, subset)

    def _missing(self, network: str, ways: Sequence[str], subset: Subset) -> bool:
        return any(not self.results.has(network, way, subset) for way in ways)

    def _print(self, network: str, way: str, subsets: Sequence[Subset]) -> None:
        name = self.results.settings["by"]
        for labels in dict.fromkeys(len(subset.rows) for subset in subsets):
            scores = spread(self.results.scores(network, way, labels))
            self.say(f"{network}  {way}  {labels:,} labels: {name} {scores}")
