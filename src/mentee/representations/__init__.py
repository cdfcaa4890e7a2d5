"""What is compared: each representation builds a student's side and a teacher's side for a pair."""

from __future__ import annotations

from collections.abc import Callable

from mentee.representations.adapter import Adapter, FeatureShape, PairInfo, Shape, TaskLoss, as_is
from mentee.representations.compose import Compose
from mentee.representations.compressed_logits import CompressedLogits, compressed_logits
from mentee.representations.embedding_compression import EmbeddingCompressor, compress, probe
from mentee.representations.feature_maps import attention, feature_maps
from mentee.representations.fsp import fsp
from mentee.representations.heads import to_teacher
from mentee.representations.margin_relu import margin_relu
from mentee.representations.paraphraser import paraphraser
from mentee.representations.pca import pca, random_projection
from mentee.representations.pooled import frames, pooled
from mentee.representations.project import project
from mentee.representations.regressor import gaussian, regressor
from mentee.representations.reviewkd import reviewkd
from mentee.representations.semckd import semckd
from mentee.representations.standardize import standardized
from mentee.representations.unit_norm import unit_norm

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
    "feature_maps",
    "frames",
    "fsp",
    "gaussian",
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
    "unit_norm",
]

REPRESENTATIONS: dict[str, Callable[..., tuple[Adapter, Adapter]]] = {
    "as_is": as_is,
    "standardized": standardized,
    "project": project,
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
"""Every representation by name: `(student shape, teacher shape, **numbers) -> (Adapter, Adapter)`.

One that needs more of a pair than its shapes takes `pair_info`. One that reads the adapter of
another term takes `other_adapters`, the teacher-side adapters of the method's other terms at the
same layer of the teacher, and is built after them.
"""

CROSSING = ("semckd",)
"""Those of which each place of the student meets each of the teacher: always read together."""

SEVERAL = ("fsp", "reviewkd", *CROSSING)
"""Those that read several places together: their shapes are tuples of shapes."""
