"""Representations: each builds a student's adapter and a teacher's for a pair of networks."""

from __future__ import annotations

from collections.abc import Callable

from mentee.representations.adapter import (
    Adapter,
    Compose,
    FeatureShape,
    PairInfo,
    Shape,
    TaskLoss,
    as_is,
)
from mentee.representations.dense_project import dense_project
from mentee.representations.dense_to_teacher import dense_to_teacher
from mentee.representations.embedding_compression import (
    CompressedLogits,
    EmbeddingCompressor,
    compress,
    compressed_logits,
    probe,
)
from mentee.representations.feature_maps import attention, feature_maps
from mentee.representations.fsp import fsp
from mentee.representations.heads import to_teacher
from mentee.representations.logit_scale import logit_scale
from mentee.representations.margin_relu import margin_relu
from mentee.representations.normalization import standardized, unit, unit_norm
from mentee.representations.paraphraser import paraphraser
from mentee.representations.pca import pca, random_projection
from mentee.representations.pooled import frames, pooled
from mentee.representations.project import project
from mentee.representations.regressor import gaussian, regressor
from mentee.representations.reviewkd import reviewkd
from mentee.representations.semckd import semckd

__all__ = [
    "CROSSING",
    "REPRESENTATIONS",
    "SEVERAL",
    "Adapter",
    "Compose",
    "CompressedLogits",
    "EmbeddingCompressor",
    "FeatureShape",
    "PairInfo",
    "Shape",
    "TaskLoss",
    "as_is",
    "attention",
    "compress",
    "compressed_logits",
    "dense_project",
    "dense_to_teacher",
    "feature_maps",
    "frames",
    "fsp",
    "gaussian",
    "logit_scale",
    "margin_relu",
    "paraphraser",
    "pca",
    "pooled",
    "probe",
    "project",
    "random_projection",
    "regressor",
    "reviewkd",
    "semckd",
    "standardized",
    "to_teacher",
    "unit",
    "unit_norm",
]

REPRESENTATIONS: dict[str, Callable[..., tuple[Adapter, Adapter]]] = {
    "as_is": as_is,
    "standardized": standardized,
    "unit": unit,
    "logit_scale": logit_scale,
    "project": project,
    "dense_project": dense_project,
    "dense_to_teacher": dense_to_teacher,
    "pooled": pooled,
    "frames": frames,
    "to_teacher": to_teacher,
    "feature_maps": feature_maps,
    "attention": attention,
    "regressor": regressor,
    "gaussian": gaussian,
    "margin_relu": margin_relu,
    "paraphraser": paraphraser,
    "fsp": fsp,
    "reviewkd": reviewkd,
    "semckd": semckd,
    "compress": compress,
    "compressed_logits": compressed_logits,
    "probe": probe,
    "pca": pca,
    "random": random_projection,
}
"""Every representation by name: `(student shape, teacher shape, **params) -> (Adapter, Adapter)`.

One that depends on more than the shapes has a parameter `pair_info`, which the engine passes. One
that reads another term's adapter has `other_adapters`, the teacher's adapters of the method's other
terms at the same layer of the teacher, and is built after them.
"""

CROSSING = ("semckd",)
"""Those that compare each layer of the student with each of the teacher: always read together."""

SEVERAL = ("fsp", "reviewkd", *CROSSING)
"""Those that read several layers together: their shapes are tuples of shapes."""
