"""Every way to probe with every subset of the labels, each result kept at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mentee.experiments.embedding_sources import EmbeddingSource, EmbeddingSources
from mentee.experiments.probe_data import ProbeData, Subset
from mentee.experiments.probe_methods import (
    Embeddings,
    embed,
    finetune,
    fit_layer,
    fit_regression,
    knn_scores,
    score_outputs,
)
from mentee.experiments.probe_results import ProbeResults
from mentee.metrics import LinearLayer
from mentee.recipe import Probe
from mentee.report import spread

FINETUNING = ("finetune", "probe-finetune")
DATA_KEYS = ("source", "train", "test", "label")


@dataclass(frozen=True)
class ProbeRunner:
    """Runs every way with every subset whose result is not there yet."""

    config: Probe
    data: ProbeData
    subsets: Sequence[Subset]
    results: ProbeResults
    say: Callable[[str], None]

    def run(self, network: str, sources: EmbeddingSources) -> None:
        """Probe the student, the untrained student or the teacher."""
        for source in sources.find(network):
            self.probe_embeddings(source)
        if network != "teacher":
            self._finetune(network, sources)

    def probe_embeddings(self, source: EmbeddingSource) -> None:
        """Probe what is read of a network or a record, in all ways that train no network."""
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

    def _finetune(self, network: str, sources: EmbeddingSources) -> None:
        ways = [way for way in self.config.ways if way in FINETUNING]
        if ways and sources.recipe.student.reuse is not None:
            sources.notes.append(
                "nothing is fine-tuned: the student ends in its teacher's classifier, which has "
                "the teacher's classes"
            )
            return
        stamp = self.results.stamp("finetune", *DATA_KEYS)
        for way in ways:
            todo = [subset for subset in self.subsets if self._missing(network, [way], subset)]
            for subset in todo:
                first = way == "probe-finetune"
                initial = self._regression(network, subset, sources) if first else None
                scores = finetune(
                    sources, self.config, subset, network=network, initial=initial, stamp=stamp
                )
                self.results.add(network, way, subset, scores)
            self._print(network, way, todo)

    def _regression(self, network: str, subset: Subset, sources: EmbeddingSources) -> LinearLayer:
        """The logistic regression on the embeddings of the network before it is fine-tuned."""
        (source,) = sources.find(network)
        return fit_regression(embed(source, self.data, subset.rows, 0), self.data, subset)

    def _missing(self, network: str, ways: Sequence[str], subset: Subset) -> bool:
        return any(not self.results.has(network, way, subset) for way in ways)

    def _print(self, network: str, way: str, subsets: Sequence[Subset]) -> None:
        name = self.results.settings["by"]
        for labels in dict.fromkeys(len(subset.rows) for subset in subsets):
            scores = spread(self.results.scores(network, way, labels))
            self.say(f"{network}  {way}  {labels:,} labels: {name} {scores}")
