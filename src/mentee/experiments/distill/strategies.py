"""The strategies that a search tries: what each trains, and the measurement that speaks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
        label_free: whether labels train the classifier alone, after the first phase.
        weights: of the phase with labels, where they are not the method's own.
    """

    method: str
    reason: str
    measured: str
    first: str = ""
    unlabeled: bool = False
    label_free: bool = False
    weights: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """What it is called in tables.

        Example:
            >>> Strategy("kd", "", "", first="to-teacher").name
            'to-teacher first, then kd'
            >>> Strategy("none", "", "", first="to-teacher", label_free=True).name
            'to-teacher'
        """
        if self.label_free:
            return self.first or SCRATCH
        weights = ", ".join(f"{key} {value:g}" for key, value in self.weights.items())
        method = f"{self.method} ({weights})" if weights else self.method
        text = f"{self.first} first, then {method}" if self.first else method
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
        "without labels the best of all: +23 to +31 points of a probe (results/label-free.md)",
        first="to-teacher+cktf",
    ),
)
"""For a network as teacher; those that do not fit its outputs and layers are left out."""

PROBE_MORE = {"task": 0.1, "logits": 0.8}

OF_EMBEDDINGS = (
    Strategy(
        "ec",
        "the embedding compressed to what the labels need, and soft labels of it",
        "with unlabeled examples 2 to 12 points above scratch on four tasks, never clearly below "
        "with the labels alone (results/embeddings.md)",
    ),
    Strategy(
        "ec",
        "follow the embedding on all examples first, then the same",
        "not measured together",
        first="to-teacher",
    ),
    Strategy(
        "ec",
        "the same with soft labels that weigh more than the labels",
        "+5.9 points with MiniLM and unlabeled texts (results/distill.md)",
        weights=PROBE_MORE,
    ),
    Strategy(
        "probe-kd",
        "soft labels of a classifier on the embeddings",
        "+4.2 points with MiniLM and unlabeled texts (results/distill.md)",
    ),
    Strategy(
        SCRATCH,
        "follow the embedding on all examples first, then labels alone",
        "a probe of such a student reached 78 % with a tenth of the labels, the student from "
        "scratch 70 % (results/label-free.md, results/embeddings.md)",
        first="to-teacher",
    ),
    Strategy(
        "to-teacher",
        "the cosine to the embedding beside the labels",
        "level with scratch on most tasks (results/embeddings.md)",
    ),
)
"""For records of embeddings of another task."""

OF_SEVERAL = (
    Strategy(
        "ec",
        "each embedding compressed, and soft labels of both",
        "+23.9 points on a tenth of the labels with unlabeled clips (results/distill.md)",
    ),
    Strategy(
        SCRATCH,
        "follow all embeddings on all examples first, then labels alone",
        "+16.6 points in another search there",
        first="to-teacher",
    ),
    Strategy("ec", "both", "+24.5 points there", first="to-teacher"),
    Strategy("ec", "soft labels weigh more", "with one: as above", weights=PROBE_MORE),
    Strategy("to-teacher", "beside the labels too", "+7.2 in the other one", first="to-teacher"),
    Strategy("probe-kd", "soft labels of a classifier on them all", "with one: as above"),
    Strategy("to-teacher", "all teachers, as they are", "no better than one, as above"),
)
"""For several teachers."""


def _label_free(first: str, reason: str, measured: str) -> Strategy:
    return Strategy(SCRATCH, reason, measured, first, label_free=True)


UNTRAINED = _label_free("", "the classifier of an untrained student", "what all is judged by")

NETWORK_ALONE = (
    _label_free(
        "to-teacher+cktf",
        "cosine to the embedding, and contrast of every stage",
        "with 10 and 100 % of the labels the best of a probe, +3 and +4 points to the cosine "
        "(results/label-free.md)",
    ),
    _label_free("to-teacher", "cosine to the embedding", "with 1 % as good (there)"),
    _label_free("cktf", "contrast of every stage", "between the two (there)"),
    _label_free("crd", "contrast of the embedding", "not measured of networks"),
)
"""Without labels, for a network as teacher."""

EMBEDDINGS_ALONE = (
    _label_free("to-teacher", "cosine to the embedding", "+21 to +31 (results/label-free.md)"),
    _label_free("crd", "contrast of the embedding", "level with the cosine (there)"),
    _label_free("to-teacher+crd", "both", "not measured"),
)
"""Without labels, for records of embeddings, one or several."""


ALONE = {"classifier_only": True, "optimizer": "adamw", "lr": 0.01, "weight_decay": 1e-4}
"""How a classifier is trained on a student that stays as it is, whatever the rate of the search."""


def strategies(recipe: Recipe, *, spare: bool, label_free: bool = False) -> list[Strategy]:
    """What may fit a recipe's teacher, the most promising first, from scratch before all.

    Args:
        recipe: with its teacher.
        spare: whether there are unlabeled examples: then all are tried with these too, and before
            the same with the labels alone.
        label_free: whether labels train the classifier alone.
    """
    kind = getattr(type(recipe.teacher), "tag", "")
    if label_free:
        online = recipe.online_teacher is not None
        return [UNTRAINED, *(NETWORK_ALONE if online else EMBEDDINGS_ALONE)]
    table: Sequence[Strategy] = {"a record": OF_EMBEDDINGS, "several": OF_SEVERAL}.get(
        kind, OF_NETWORKS if recipe.teacher is not None else ()
    )
    if not spare:
        return [FROM_SCRATCH, *table]
    more = [replace(s, unlabeled=s.method != SCRATCH) for s in table]
    return [FROM_SCRATCH, *more, *(s for s in table if not s.first and not s.weights)]


def supervised(recipe: Recipe, strategy: Strategy, student: Network) -> Recipe:
    """The recipe of the phase with labels."""
    unlabeled = (recipe.data.unlabeled or Unlabeled()) if strategy.unlabeled else None
    return recipe.model_copy(
        update={
            "student": student,
            "method": MethodRecipe(name=strategy.method, weights=dict(strategy.weights)),
            "data": recipe.data.model_copy(update={"unlabeled": unlabeled}),
            "train": recipe.train.model_copy(update=ALONE if strategy.label_free else {}),
        }
    )


def without_labels(recipe: Recipe, strategy: Strategy, student: Network, *, spare: bool) -> Recipe:
    """The recipe of the first phase: all examples but those held out, and no label is used."""
    unlabeled = (recipe.data.unlabeled or Unlabeled()) if spare else None
    return recipe.model_copy(
        update={
            "student": student,
            "method": MethodRecipe(name=strategy.first, labels=False),
            "data": recipe.data.model_copy(update={"unlabeled": unlabeled, "test": None}),
            "select": recipe.select.model_copy(update={"keep": "last", "patience": None}),
        }
    )
