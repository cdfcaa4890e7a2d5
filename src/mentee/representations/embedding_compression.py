r"""Embedding compression: a trained transformation of the teacher's vectors that the task teaches.

The transformation h and its probe P learn only from the task's loss; the student only follows.
After arXiv:2402.06761, whose code and numbers are not public: a reconstruction, every open choice a
number of the word.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.representations.adapter import STEPS, Adapter, PairInfo, Shape, TaskLoss
from mentee.representations.heads import StudentHead, channels, layers, student_side
from mentee.representations.pooled import PooledVectors, averaged, readers


def compress(
    student: Shape,
    teacher: Shape,
    *,
    pair_info: PairInfo,
    width: int = 64,
    depth: int = 1,
    hidden: int | None = None,
    activation: Literal["none", "relu"] = "none",
    dropout: float = 0.0,
    learn: Literal["joint", "first"] = "joint",
    steps: int | None = None,
    freeze: int | None = None,
    standardize: bool = True,
    student_head: StudentHead = "none",
    per_frame: bool = False,
) -> tuple[Adapter, Adapter]:
    r"""The teacher's vector, transformed to what the task needs of it.

    .. math:: c = h(e), \quad L_{own} = L_{task}(P c, y)

    Args:
        student: what is read in the student, without the batch.
        teacher: the same of the teacher: `(d,)`, `(t, d)` or `(c, h, w)`, which is averaged.
        pair_info: the number of classes, and the statistics of the teacher's vectors.
        width: entries of the compact vector.
        depth: 1: h is linear; n: n - 1 hidden layers with ReLU before.
        hidden: width of those; None: the larger of `width` and half the teacher's.
        activation: after h.
        dropout: share of the teacher's entries left out in h's own loss, in [0, 1); the student
            follows what h makes of all of them.
        learn: `joint`: beside the student, step by step; `first`: alone, for `steps` steps before
            the student's first, and then never again.
        steps: of `first`; None: 500.
        freeze: of `joint`: the step from which on h learns no more; None: never.
        standardize: divide by mean and deviation over the training examples first.
        student_head: `none`: the student's vector itself; `linear` or `mlp` to `width` entries,
            trained and dropped at export; agreements entry by entry need one.
        per_frame: a vector for each time frame, aligned as `frames` does, instead of one; the
            probe reads their mean.

    Returns:
        The student's side and the teacher's.

    Raises:
        MenteeError: a number is out of range, or would change nothing.
        PairError: there are no labels, or no statistics.

    Memory: O(b d), and h. Source: arXiv:2402.06761, reconstructed.
    """
    mine, theirs = readers(student, teacher, per_frame)
    ours = student_side(mine, student, width, student_head)
    scaling = PooledVectors(teacher, pair_info.measured("compress") if standardize else None)
    made = _layers("compress", teacher, width, depth, hidden, activation)
    h = Transformation(theirs, scaling, made, width, _share("compress", dropout))
    lesson = _lesson("compress", learn, steps, freeze)
    return ours, EmbeddingCompressor(h, pair_info.labels("compress"), *lesson)


def probe(
    student: Shape,
    teacher: Shape,
    *,
    pair_info: PairInfo,
    width: int | None = None,
    depth: int = 1,
    hidden: int | None = None,
    dropout: float = 0.0,
    learn: Literal["joint", "first"] = "first",
    steps: int | None = None,
    freeze: int | None = None,
    standardize: bool = True,
) -> tuple[Adapter, Adapter]:
    r"""The classes that a probe of the teacher's vector sees, as logits.

    .. math:: y^t = P h(e), \quad L_{own} = L_{task}(y^t, y)

    So a teacher of another task gives soft labels for this one (EAsT-KD).

    Args:
        student: what is read in the student: its logits.
        teacher: the teacher's vector.
        pair_info: the number of classes, and the statistics of the teacher's vectors.
        width: entries of a compact vector before the classes; None: none, P reads the vector.
        depth: as for `compress`.
        hidden: as for `compress`.
        dropout: as for `compress`.
        learn: as for `compress`.
        steps: as for `compress`.
        freeze: as for `compress`.
        standardize: as for `compress`.

    Returns:
        The student's side (its logits as they are) and the teacher's.

    Raises:
        MenteeError: a number is out of range, or would change nothing.
        PairError: there are no labels, or no statistics.

    Memory: O(b d). Source: arXiv:2306.17424 (logistic regression of the averaged embedding).
    """
    scaling = PooledVectors(teacher, pair_info.measured("probe") if standardize else None)
    made: nn.Module = nn.Identity()
    if width is not None:
        made = _layers("probe", teacher, width, depth, hidden, "relu")
    elif depth != 1 or hidden is not None:
        raise MenteeError(
            f"probe: depth is {depth} and hidden {hidden}, but without a width there are no layers "
            "before the classes; give probe.width, or leave both out"
        )
    share = _share("probe", dropout)
    h = Transformation(PooledVectors(teacher), scaling, made, width or channels(teacher), share)
    return Adapter(), ProbeCompressor(
        h, pair_info.labels("probe"), *_lesson("probe", learn, steps, freeze)
    )


class EmbeddingCompressor(Adapter):
    """The teacher's side of `compress`.

    Args:
        transformation: h.
        classes: of the probe.
        steps: how many steps it learns alone and first; 0: it learns beside the student.
        freeze: the step from which on it learns no more beside the student; None: never.
    """

    def __init__(
        self, transformation: Transformation, classes: int, steps: int, freeze: int | None
    ) -> None:
        super().__init__()
        self.h = transformation
        self.probe = nn.Linear(transformation.width, classes)
        self.steps, self.freeze = steps, freeze
        self.own_objective_only = steps == 0
        if steps:
            self.requires_grad_(False)

    @property
    def reduction(self) -> str | None:
        """The reader's."""
        return self.h.reader.reduction

    def precompute(self, features: Tensor) -> Tensor:
        """The teacher's vectors, `[b, d]`, or `[b, t, d]` for frames."""
        said: Tensor = self.h.reader.precompute(features)
        return said

    def forward(self, precomputed: Tensor) -> Tensor:
        """The compact vectors."""
        return self.says(self.h(precomputed))

    def aux_input(self, precomputed: Tensor, said: Tensor) -> Tensor:
        """The same of what dropout leaves of the teacher's vectors, in training."""
        return (
            self.says(self.h(precomputed, drop=True))
            if self.training and self.h.dropout.p
            else said
        )

    def says(self, compact: Tensor) -> Tensor:
        """What it says of compact vectors: themselves."""
        return compact

    def logits(self, said: Tensor) -> Float[Tensor, "b k"]:
        """What the probe makes of the compact vectors (of frames: of their mean)."""
        logits: Tensor = self.probe(averaged(said))
        return logits

    def aux_loss(self, said: Tensor, task: TaskLoss, step: int) -> Tensor | None:
        """The task's loss of the probe; None once nothing is to be learned any more."""
        if self.freeze is not None and step >= self.freeze:
            return None
        return task(self.logits(said)).mean()


class ProbeCompressor(EmbeddingCompressor):
    """The teacher's side of `probe`: the same, but it says the probe's logits."""

    def says(self, compact: Tensor) -> Tensor:
        """The logits, `[b, k]`."""
        return super().logits(compact)

    def logits(self, said: Tensor) -> Float[Tensor, "b k"]:
        """They are logits already."""
        return said


class Transformation(nn.Module):
    """h: standardize, leave out where it learns, then layers.

    Args:
        reader: gives one vector an example, or one a frame; aligns them.
        scaling: what standardizes the teacher's vectors.
        layers: what is trained; none: the vectors themselves.
        width: entries of what comes out.
        dropout: share of the entries left out.
    """

    def __init__(
        self, reader: Adapter, scaling: PooledVectors, layers: nn.Module, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.reader, self.scaling, self.layers, self.width = reader, scaling, layers, width
        self.dropout = nn.Dropout(dropout)

    def forward(self, precomputed: Tensor, *, drop: bool = False) -> Tensor:
        """What it makes of the reader's vectors, or of what dropout leaves of them."""
        x = self.reader(self.scaling.scaled(precomputed))
        said: Tensor = self.layers(self.dropout(x) if drop else x)
        return said


def _layers(
    word: str, teacher: Shape, width: int, depth: int, hidden: int | None, activation: str
) -> nn.Module:
    for name, number in (("width", width), ("depth", depth), ("hidden", hidden)):
        if number is not None and number < 1:
            raise MenteeError(f"{word}: {name} is {number}, expected at least 1")
    if hidden is not None and depth == 1:
        raise MenteeError(
            f"{word}: hidden is {hidden} and depth is 1, which has no hidden layer; set "
            f"{word}.depth to 2 or more, or leave hidden out"
        )
    inputs = channels(teacher)
    made = layers(inputs, width, depth, hidden or max(width, inputs // 2))
    return nn.Sequential(made, nn.ReLU()) if activation == "relu" else made


def _share(word: str, dropout: float) -> float:
    if not 0 <= dropout < 1:
        raise MenteeError(f"{word}: dropout is {dropout}, expected a share in [0, 1)")
    return dropout


def _lesson(word: str, learn: str, steps: int | None, freeze: int | None) -> tuple[int, int | None]:
    """Steps that it learns first (0: it learns beside the student), and when it ends there."""
    if learn == "first":
        if freeze is not None:
            raise MenteeError(
                f"{word}: freeze is {freeze} and learn is first, which learns nothing beside the "
                f"student; leave freeze out, or set {word}.learn to joint"
            )
        if steps is not None and steps < 1:
            raise MenteeError(f"{word}: steps is {steps}, expected at least 1")
        return STEPS if steps is None else steps, None
    if steps is not None:
        raise MenteeError(
            f"{word}: steps is {steps} and learn is joint, which learns as long as the student; "
            f"set {word}.learn to first, or {word}.freeze to the step where it is to end"
        )
    if freeze is not None and freeze < 0:
        raise MenteeError(f"{word}: freeze is {freeze}, expected a step, 0 or later")
    return 0, freeze
