"""Arrays in, numbers out: how good a student is, and what its embedding holds."""

from mentee.metrics.calibration import reliability
from mentee.metrics.jackknife import (
    jackknife_interval,
    mean_interval,
    score_gain,
    scores_without_groups,
    wilson_interval,
)
from mentee.metrics.knn import knn, leave_one_out
from mentee.metrics.linear_probe import (
    Labeled,
    LinearLayer,
    linear_probe,
    logistic_regressions,
    ridge_regressions,
    softmax_regression,
    train_layer,
)
from mentee.metrics.scores import (
    class_scores,
    classification_scores,
    confusion,
    label_scores,
    multilabel_scores,
    regression_scores,
    target_scores,
)
from mentee.metrics.similarity import (
    debiased_cka,
    explained_variance,
    linear_cka,
    shared_neighbors,
)

__all__ = [
    "Labeled",
    "LinearLayer",
    "class_scores",
    "classification_scores",
    "confusion",
    "debiased_cka",
    "explained_variance",
    "jackknife_interval",
    "knn",
    "label_scores",
    "leave_one_out",
    "linear_cka",
    "linear_probe",
    "logistic_regressions",
    "mean_interval",
    "multilabel_scores",
    "regression_scores",
    "reliability",
    "ridge_regressions",
    "score_gain",
    "scores_without_groups",
    "shared_neighbors",
    "softmax_regression",
    "target_scores",
    "train_layer",
    "wilson_interval",
]
