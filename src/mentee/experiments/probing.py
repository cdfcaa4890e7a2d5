"""One probe under way: who is asked, by which ways, with which labels, and what is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mentee.experiments.embeddings import EmbeddingSource, EmbeddingSources
from mentee.experiments.finetune import tuned
from mentee.experiments.labeled import Subset, TrainingSetup
from mentee.experiments.probe_results import ProbeResults
from mentee.experiments.ways import Read, by_neighbors, by_regression, by_steps, read, scored
from mentee.metrics import LinearLayer
from mentee.recipe import Probe
from mentee.report import spread

TUNED = ("finetune", "probe-finetune")
SOURCE = ("source", "train", "test", "label")


@dataclass(frozen=True)
class Probing:
    """What is still to be found out, and where it goes.

    Attributes:
        said: what is asked.
        parts: the labeled examples.
        subsets: those that are learned from.
        company: who is asked.
        ledger: what is known.
        say: what to do with a line of text.
    """

    said: Probe
    parts: TrainingSetup
    subsets: Sequence[Subset]
    company: EmbeddingSources
    ledger: ProbeResults
    say: Callable[[str], None]

    def ask(self, who: str) -> None:
        """Find out all that is not known yet of the student, the untrained one or the teacher."""
        for speaker in self.company.find(who):
            self._vectors_of(speaker)
        if who != "teacher":
            self._tune(who)

    def _vectors_of(self, speaker: EmbeddingSource) -> None:
        ways = [way for way in self.said.ways if way not in TUNED]
        todo = [each for each in self.subsets if self._unknown(speaker.name, ways, each)]
        if not todo:
            return
        rows = np.unique(np.concatenate([subset.rows for subset in todo]))
        views = self.said.layer.views if "layer" in ways else 0
        found = read(speaker, self.parts, rows, views)
        for way in ways:
            for subset in todo:
                if self._unknown(speaker.name, [way], subset):
                    scores, strength = self._one(way, found, subset)
                    self.ledger.add(speaker.name, way, subset, scores, strength)
            self._tell(speaker.name, way, todo)

    def _one(self, way: str, found: Read, subset: Subset) -> tuple[dict[str, float], float | None]:
        """(scores on the test part, strength of the penalty) of one way with one subset."""
        if way == "knn":
            return by_neighbors(found, self.parts, subset, self.said), None
        if way == "linear":
            layer = by_regression(found, self.parts, subset)
        else:
            layer = by_steps(found, self.parts, subset, self.said)
        return scored(layer(found.test), self.parts), layer.strength

    def _tune(self, who: str) -> None:
        ways = [way for way in self.said.ways if way in TUNED]
        if ways and self.company.recipe.student.reuse is not None:
            self.company.notes.append(
                "nothing is fine-tuned: the student ends in its teacher's classifier, which has "
                "the teacher's classes"
            )
            return
        for way in ways:
            todo = [each for each in self.subsets if self._unknown(who, [way], each)]
            for subset in todo:
                begin = self._first_layer(who, subset) if way == "probe-finetune" else None
                stamp = self.ledger.stamp("finetune", *SOURCE)
                scores = tuned(self.company, self.said, subset, who=who, begin=begin, stamp=stamp)
                self.ledger.add(who, way, subset, scores)
            self._tell(who, way, todo)

    def _first_layer(self, who: str, subset: Subset) -> LinearLayer:
        """What a regression makes of the vectors that a network begins with."""
        (speaker,) = self.company.find(who)
        return by_regression(read(speaker, self.parts, subset.rows, 0), self.parts, subset)

    def _unknown(self, who: str, ways: Sequence[str], subset: Subset) -> bool:
        return any(not self.ledger.has(who, way, subset) for way in ways)

    def _tell(self, who: str, way: str, subsets: Sequence[Subset]) -> None:
        for labels in dict.fromkeys(len(subset.rows) for subset in subsets):
            scores = self.ledger.scores(who, way, labels)
            self.say(f"{who}  {way}  {labels:,} labels: {self.ledger.asked['by']} {spread(scores)}")
