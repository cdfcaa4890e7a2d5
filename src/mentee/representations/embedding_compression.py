"""Embedding compression: a transformation h of the teacher's vectors, trained by the task.

h and its probe P learn only from the task's loss; the student follows them. Reconstructed from
arXiv:2402.06761, without its code or numbers: every open choice is a parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from mentee.errors import MenteeError, PairError
from mentee.representations.adapter import Adapter, PairInfo, Shape, TaskLoss
from mentee.representations.compressor_layers import (
    Transformation,
    scale_last,
    training_steps,
    transformation_layers,
)
from mentee.representations.heads import StudentHead, channels, student_adapter
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
    gain: float = 1.0,
    student_head: StudentHead = "none",
    per_frame: bool = False,
) -> tuple[Adapter, Adapter]:
    r"""The teacher's vector through a transformation that the task's loss trains.

    .. math:: c = h(e), \quad L_{own} = L_{task}(P c, y)

    Args:
        student: shape of the student's feature, without the batch.
        teacher: shape of the teacher's feature: `(d,)`, `(t, d)` or `(c, h, w)`, which is averaged.
        pair_info: the number of classes, and the statistics of the teacher's vectors.
        width: entries of the compact vector.
        depth: 1: h is linear; n: n - 1 hidden layers with ReLU before.
        hidden: width of those; None: the larger of `width` and half the teacher's.
        activation: after h.
        dropout: share of the teacher's entries left out in h's auxiliary loss, in [0, 1); the
            student follows h of all of them.
        learn: `joint`: along with the student, step by step; `first`: pretrained for `steps` steps
            before the student's first, then frozen.
        steps: of `first`; None: 500.
        freeze: of `joint`: the step at which h is frozen; None: never.
        standardize: by mean and deviation over the training examples first.
        gain: of the first weights of h's last layer. At 1 most of what h keeps is the random
            projection that it begins as, whatever the labels teach it; near 0 it keeps what they
            put there.
        student_head: `none`: the student's vector itself; `linear` or `mlp` to `width` entries,
            trained and dropped at export; elementwise losses need one.
        per_frame: a vector for each time frame, aligned as `frames` does, instead of one; the
            probe reads their mean.

    Returns:
        The student's adapter and the teacher's.

    Raises:
        MenteeError: a parameter is out of range, or would change nothing.
        PairError: there are no labels, or no statistics.

    Memory: O(b d), and h. Source: arXiv:2402.06761, reconstructed.
    """
    student_reader, teacher_reader = readers(student, teacher, per_frame)
    scaling = PooledVectors(teacher, pair_info.measured("compress") if standardize else None)
    student_side = student_adapter(student_reader, student, width, student_head)
    mlp = transformation_layers("compress", teacher, width, depth, hidden, activation)
    scale_last(mlp, gain)
    h = Transformation(teacher_reader, scaling, mlp, width, dropout)
    steps_and_freeze = training_steps("compress", dropout, learn, steps, freeze)
    return student_side, EmbeddingCompressor(h, pair_info.labels("compress"), *steps_and_freeze)


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
    r"""The logits of a probe of the teacher's vector: soft labels from another task (EAsT-KD).

    .. math:: y^t = P h(e), \quad L_{own} = L_{task}(y^t, y)

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
        The student's adapter (the identity) and the teacher's.

    Raises:
        MenteeError: a parameter is out of range, or would change nothing.
        PairError: there are no labels, or no statistics.

    Memory: O(b d). Source: arXiv:2306.17424 (logistic regression of the averaged embedding).
    """
    scaling = PooledVectors(teacher, pair_info.measured("probe") if standardize else None)
    mlp: nn.Module = nn.Identity()
    if width is not None:
        mlp = transformation_layers("probe", teacher, width, depth, hidden, "relu")
    elif depth != 1 or hidden is not None:
        raise MenteeError(
            f"probe: depth is {depth} and hidden {hidden}, but without a width there are no layers "
            "before the classes; give probe.width, or leave both out"
        )
    h = Transformation(PooledVectors(teacher), scaling, mlp, width or channels(teacher), dropout)
    steps_and_freeze = training_steps("probe", dropout, learn, steps, freeze)
    return Adapter(), ProbeCompressor(h, pair_info.labels("probe"), *steps_and_freeze)


def compressed_logits(
    student: Shape, teacher: Shape, *, other_adapters: Sequence[Adapter]
) -> tuple[Adapter, Adapter]:
    r"""The logits of the probe of the method's `compress` term, as soft labels.

    .. math:: y^t = P h(e)

    h and P are those of the `compress` term at the same layer of the teacher, which trains them;
    here nothing is trained.

    Args:
        student: what is read in the student: its logits.
        teacher: shape of the teacher's feature.
        other_adapters: the teacher's adapters of the method's other terms at this layer.

    Returns:
        The student's adapter (the identity) and the teacher's.

    Raises:
        PairError: there is no `compress` term at this layer, or more than one.

    Memory: O(b d). Source: EAsT-KD of arXiv:2306.17424 with the teacher of arXiv:2402.06761.
    """
    compressors = [
        adapter
        for adapter in other_adapters
        if isinstance(adapter, EmbeddingCompressor) and not isinstance(adapter, ProbeCompressor)
    ]
    if len(compressors) != 1:
        raise PairError(
            "compressed_logits are those of the probe of the method's compress term, and at this "
            f"layer of the teacher there are {len(compressors) or 'none'}; expected one, with a "
            "weight other than 0: ec-kd has it; without compress take probe (probe-kd)"
        )
    return Adapter(), CompressedLogits(compressors[0])


class EmbeddingCompressor(Adapter):
    """The teacher-side adapter of `compress`.

    Args:
        transformation: h.
        classes: of the probe.
        steps: of pretraining; 0: it learns along with the student.
        freeze: the step at which it is frozen; None: never.
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
        return self.h.reader.precompute(features)  # type: ignore[no-any-return]

    def forward(self, precomputed: Tensor) -> Tensor:
        """The compact vectors."""
        return self.output(self.h(precomputed))

    def aux_input(self, precomputed: Tensor, output: Tensor) -> Tensor:
        """The output with dropout on the teacher's vectors, in training."""
        if self.training and self.h.dropout.p:
            return self.output(self.h(precomputed, drop=True))
        return output

    def output(self, compact: Tensor) -> Tensor:
        """The output for compact vectors: themselves."""
        return compact

    def logits(self, output: Tensor) -> Float[Tensor, "b k"]:
        """The probe's logits of the compact vectors (of frames: of their mean)."""
        return self.probe(averaged(output))  # type: ignore[no-any-return]

    def aux_loss(self, aux_input: Tensor, task: TaskLoss, step: int) -> Tensor | None:
        """The task's loss of the probe; None once it is frozen."""
        if self.freeze is not None and step >= self.freeze:
            return None
        return task(self.logits(aux_input)).mean()


class ProbeCompressor(EmbeddingCompressor):
    """The teacher-side adapter of `probe`: its output are the probe's logits."""

    def output(self, compact: Tensor) -> Tensor:
        """The logits, `[b, k]`."""
        return super().logits(compact)

    def logits(self, output: Tensor) -> Float[Tensor, "b k"]:
        """The output: it is the logits already."""
        return output


class CompressedLogits(Adapter):
    """The teacher-side adapter of `compressed_logits`; reads the one of `compress`."""

    def __init__(self, compressor: EmbeddingCompressor) -> None:
        super().__init__()
        self._compressor = (compressor,)  # in a tuple: as a submodule it would be saved twice

    @property
    def compressor(self) -> EmbeddingCompressor:
        """The adapter of `compress`."""
        return self._compressor[0]

    @property
    def reduction(self) -> str | None:
        """That of `compress`."""
        return self.compressor.reduction

    def precompute(self, features: Tensor) -> Tensor:
        """The teacher's vectors, as `compress` reads them."""
        return self.compressor.precompute(features)

    def forward(self, precomputed: Tensor) -> Tensor:
        """The logits, `[b, k]`, detached: no gradient of the term reaches h or P."""
        return self.compressor.logits(self.compressor(precomputed)).detach()
