"""Losses between two representations: pure functions, one loss per example where there is one.

In CKTF's words each is an agreement: the generalized agreement of two networks' representations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor

from mentee.losses.activation_boundary import ab, partial_l2
from mentee.losses.bounded_regression import bounded_regression
from mentee.losses.context import Context, Need
from mentee.losses.contrast import contrast
from mentee.losses.correlation import cka, distance_correlation
from mentee.losses.dcd import dcd
from mentee.losses.dist import dist
from mentee.losses.dkd import dkd, nkd
from mentee.losses.elementwise import cosine, hcl, l1, mse, smooth_l1, squared, vid
from mentee.losses.gram import ickd, nst, sp
from mentee.losses.in_batch_contrast import class_info_nce, info_nce, sigmoid_contrast
from mentee.losses.itrd import itrd_correlation, itrd_mutual
from mentee.losses.kd import binary_kd, hard_label, kl, ttm, wttm
from mentee.losses.mlkd import batch_level, class_level
from mentee.losses.rkd import rkd
from mentee.losses.similarity import cc, cosine_distance_difference, pkt, similarity_kl
from mentee.losses.soft_labels import soft_labels
from mentee.tasks import Outputs

__all__ = [
    "LOSSES",
    "Context",
    "LossSpec",
    "Need",
    "ab",
    "batch_level",
    "binary_kd",
    "bounded_regression",
    "cc",
    "cka",
    "class_info_nce",
    "class_level",
    "contrast",
    "cosine",
    "cosine_distance_difference",
    "dcd",
    "dist",
    "distance_correlation",
    "dkd",
    "hard_label",
    "hcl",
    "ickd",
    "info_nce",
    "itrd_correlation",
    "itrd_mutual",
    "kl",
    "l1",
    "mse",
    "nkd",
    "nst",
    "partial_l2",
    "pkt",
    "rkd",
    "sigmoid_contrast",
    "similarity_kl",
    "smooth_l1",
    "soft_labels",
    "sp",
    "squared",
    "ttm",
    "vid",
    "wttm",
]


@dataclass(frozen=True)
class LossSpec:
    """A loss with what it needs, so that binding a method can fail early.

    Attributes:
        function: `(student, teacher, *, params and needs) -> [b]`, or a scalar for the whole batch.
        needs: the entries of `Context` that it is called with, as keyword arguments.
        memory: whether it reads negatives: never, always, or where the term has a memory. One that
            does lists `negatives` among its needs.
        same_width: both representations must have as many entries; `with memory`: only then.
        outputs: what the two have to be the outputs for, where it compares outputs and makes sense
            for one kind of task only; None: any.
        whole_batch: without a memory it compares the examples of the batch with one another, so
            the parts of all processes are gathered first, with their labels and masks.
        trains_teacher: of a `whole_batch` loss: whether its gradient trains the teacher's adapter.
    """

    function: Callable[..., Tensor]
    needs: tuple[Need, ...] = ()
    memory: Literal["no", "must", "may"] = "no"
    same_width: bool | Literal["with memory"] = False
    outputs: Outputs | None = None
    whole_batch: bool = False
    trains_teacher: bool = False


# Contrasts within the batch: of the whole batch, and the teacher's head learns from them too.
_in_batch = partial(LossSpec, same_width=True, whole_batch=True, trains_teacher=True)

LOSSES: dict[str, LossSpec] = {
    "kl": LossSpec(kl, same_width=True, outputs="class logits"),
    "dkd": LossSpec(dkd, needs=("labels",), same_width=True, outputs="class logits"),
    "nkd": LossSpec(nkd, needs=("labels",), same_width=True, outputs="class logits"),
    "dist": LossSpec(dist, same_width=True, outputs="class logits", whole_batch=True),
    "ttm": LossSpec(ttm, same_width=True, outputs="class logits"),
    "wttm": LossSpec(wttm, same_width=True, outputs="class logits"),
    "hard_label": LossSpec(hard_label, same_width=True, outputs="class logits"),
    "batch_level": LossSpec(batch_level, same_width=True, outputs="class logits", whole_batch=True),
    "class_level": LossSpec(class_level, same_width=True, outputs="class logits", whole_batch=True),
    "binary_kd": LossSpec(binary_kd, needs=("mask",), same_width=True, outputs="label logits"),
    "soft_labels": LossSpec(soft_labels, needs=("outputs",), same_width=True),
    "bounded_regression": LossSpec(
        bounded_regression, needs=("labels", "mask"), same_width=True, outputs="values"
    ),
    "contrast": LossSpec(contrast, needs=("negatives", "log_z"), memory="must", same_width=True),
    "info_nce": _in_batch(info_nce, needs=("negatives",), memory="may"),
    "class_info_nce": _in_batch(class_info_nce, needs=("labels",)),
    "sigmoid_contrast": _in_batch(sigmoid_contrast, needs=("negatives",), memory="may"),
    "dcd": _in_batch(dcd),
    "similarity_kl": LossSpec(
        similarity_kl,
        needs=("negatives",),
        memory="may",
        same_width="with memory",
        whole_batch=True,
    ),
    "sp": LossSpec(sp, whole_batch=True),
    "rkd": LossSpec(rkd, whole_batch=True),
    "pkt": LossSpec(pkt, whole_batch=True),
    "cc": LossSpec(cc, same_width=True, whole_batch=True),
    "ickd": LossSpec(ickd),
    "itrd_correlation": LossSpec(itrd_correlation, same_width=True, whole_batch=True),
    "itrd_mutual": LossSpec(itrd_mutual, whole_batch=True),
    "distance_correlation": LossSpec(distance_correlation, whole_batch=True),
    "cosine_distance_difference": LossSpec(cosine_distance_difference, whole_batch=True),
    "cka": LossSpec(cka, whole_batch=True),
    "cosine": LossSpec(cosine, same_width=True),
    "mse": LossSpec(mse, same_width=True),
    "squared": LossSpec(squared, same_width=True),
    "l1": LossSpec(l1, same_width=True),
    "smooth_l1": LossSpec(smooth_l1, same_width=True),
    "nst": LossSpec(nst),
    "hcl": LossSpec(hcl, same_width=True),
    "ab": LossSpec(ab, same_width=True),
    "partial_l2": LossSpec(partial_l2, same_width=True),
    "vid": LossSpec(vid),
}
"""Every loss by name."""
