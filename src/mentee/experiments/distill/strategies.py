"""The strategies that a search tries: what each trains, and the measurement that speaks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mentee.experiments.rows import SCRATCH
from mentee.recipe import MethodRecipe, Network, Recipe, Unlabeled


@dataclass(frozen=True)
class Strategy:
    """A way to train a student.

    Attributes:
        method: of the phase with labels.
        reason: why it is tried.
        measured: the result behind the reason, of this project's committed benchmarks.
        first: the method of a phase without labels that comes before; empty: there is none.
        unlabeled: whether the phase with labels reads unlabeled examples too.
    """

    method: str
    reason: str
    measured: str
    first: str = ""
    unlabeled: bool = False

    @property
    def name(self) -> str:
        """What it is called in tables.

        Example:
            >>> Strategy("kd", "", "", first="to-teacher").name
            'to-teacher first, then kd'
        """
        text = f"{self.first} first, then {self.method}" if self.first else self.method
        return f"{text}, unlabeled too" if self.unlabeled else text

    @property
    def has_teacher(self) -> bool:
        """Whether a teacher is read at all."""
        return bool(self.first) or self.method != SCRATCH

    @property
    def is_baseline(self) -> bool:
        """Whether it is scratch or `kd`, which come to the end whatever their scores."""
        return self.name in (SCRATCH, "kd")


FROM_SCRATCH = Strategy(SCRATCH, "the student on the same labels alone", "what all is judged by")

OF_NETWORKS = (
    Strategy(
        "cktf+kd",
        "contrast of every stage, and soft labels",
        "+22 points on 5,000 CIFAR-10 images, the most of 65 methods (results/methods.md)",
    ),
    Strategy("kd", "soft labels alone", "+5 points there (results/methods.md)"),
    Strategy("cktf", "contrast of every stage", "+20 points there (results/methods.md)"),
    Strategy("crd+kd", "contrast of the embedding alone", "crd: +12 points there"),
    Strategy("fitnet+kd", "feature maps compared entry by entry", "fitnet: +12 points there"),
    Strategy(
        SCRATCH,
        "the teacher's features on all examples first, then labels alone",
        "a cosine to the embedding without labels: +20 to +26 points of a probe "
        "(results/label-free.md)",
        first="cktf",
    ),
)
"""For a network as teacher; those that do not fit its outputs and layers are left out."""

OF_EMBEDDINGS = (
    Strategy(
        "probe-kd",
        "soft labels of a classifier on the embeddings",
        "+4.2 points with MiniLM and unlabeled texts (results/distill.md), +0.9 with GloVe, where "
        "methods that follow its vectors lost (results/embeddings.md)",
    ),
    Strategy(
        SCRATCH,
        "follow the embedding on all examples first, then labels alone",
        "a probe of such a student reached 78 % with a tenth of the labels, the student from "
        "scratch 70 % (results/label-free.md, results/embeddings.md)",
        first="to-teacher",
    ),
    Strategy("probe-kd", "both", "not measured together", first="to-teacher"),
    Strategy(
        "ec",
        "the embedding compressed to what the labels need",
        "not clearly worse than scratch on three tasks (results/embeddings.md)",
    ),
    Strategy(
        "ec-published+probe-kd",
        "compressed embedding at a larger weight, and soft labels",
        "+4.4 points in another domain with MiniLM (results/embeddings.md)",
    ),
    Strategy(
        "to-teacher",
        "the cosine to the embedding beside the labels",
        "never clearly worse than scratch with a weight of 0.3 (results/embeddings.md)",
    ),
)
"""For records of embeddings of another task."""

OF_SEVERAL = (
    Strategy(
        SCRATCH,
        "follow all embeddings on all examples first, then labels alone",
        "+16.6 points on a tenth of the labels (results/distill.md)",
        first="to-teacher",
    ),
    Strategy("to-teacher", "the same, and beside the labels too", "+7.2 there", "to-teacher"),
    Strategy("to-teacher", "all teachers, as they are", "no better than one, as above"),
    Strategy("phi-s", "all teachers, standardized", "no better than one, as above"),
)
"""For several teachers."""


def strategies(recipe: Recipe, *, spare: bool) -> list[Strategy]:
    """What may fit a recipe's teacher, the most promising first, from scratch before all.

    Args:
        recipe: with its teacher.
        spare: whether there are unlabeled examples: then those without a first phase are tried with
            these too.
    """
    kind = getattr(type(recipe.teacher), "tag", "")
    table: Sequence[Strategy] = {"a record": OF_EMBEDDINGS, "several": OF_SEVERAL}.get(
        kind, OF_NETWORKS if recipe.teacher is not None else ()
    )
    tried = [FROM_SCRATCH, *table]
    if spare:
        tried += [replace(s, unlabeled=True) for s in table if not s.first and s.method != SCRATCH]
    return tried


def supervised(recipe: Recipe, strategy: Strategy, student: Network) -> Recipe:
    """The recipe of the phase with labels."""
    unlabeled = (recipe.data.unlabeled or Unlabeled()) if strategy.unlabeled else None
    return recipe.model_copy(
        update={
            "student": student,
            "method": MethodRecipe(name=strategy.method),
            "data": recipe.data.model_copy(update={"unlabeled": unlabeled}),
        }
    )


def without_labels(recipe: Recipe, strategy: Strategy, student: Network, *, spare: bool) -> Recipe:
    """The recipe of the first phase: all examples but those held out, and no label in the loss.

    The task's weight is 0, so labels change nothing; the validation part stays held out.
    """
    unlabeled = (recipe.data.unlabeled or Unlabeled()) if spare else None
    return recipe.model_copy(
        update={
            "student": student,
            "method": MethodRecipe(name=strategy.first, weights={"task": 0.0}),
            "data": recipe.data.model_copy(update={"unlabeled": unlabeled, "test": None}),
            "select": recipe.select.model_copy(update={"keep": "last", "patience": None}),
        }
    )
