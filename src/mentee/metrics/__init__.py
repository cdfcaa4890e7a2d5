"""Arrays in, numbers out: how good a student is, and what is in its embedding."""

from mentee.metrics.embedding_similarity import explained, neighbors
from mentee.metrics.jackknife import gain, left_out
from mentee.metrics.knn import knn, leave_one_out
from mentee.metrics.linear_probe import Labeled, LinearClassifier, linear_probe, train_layer
from mentee.metrics.scores import main_score, scores
from mentee.metrics.similarity import similarity

__all__ = [
    "Labeled",
    "LinearClassifier",
    "explained",
    "gain",
    "knn",
    "leave_one_out",
    "left_out",
    "linear_probe",
    "main_score",
    "neighbors",
    "scores",
    "similarity",
    "train_layer",
]
