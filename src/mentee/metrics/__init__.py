"""Arrays in, numbers out: how good a student is, and what its embedding holds."""

from mentee.metrics.jackknife import score_gain, scores_without_groups
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
from mentee.metrics.scores import classification_scores, multilabel_scores, regression_scores
from mentee.metrics.similarity import explained_variance, linear_cka, shared_neighbors

__all__ = [
    "Labeled",
    "LinearLayer",
    "classification_scores",
    "explained_variance",
    "knn",
    "leave_one_out",
    "linear_cka",
    "linear_probe",
    "logistic_regressions",
    "multilabel_scores",
    "regression_scores",
    "ridge_regressions",
    "score_gain",
    "scores_without_groups",
    "shared_neighbors",
    "softmax_regression",
    "train_layer",
]
