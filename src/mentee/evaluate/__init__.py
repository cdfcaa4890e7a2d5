"""Arrays in, numbers out: how good a student is, and what is in its embedding."""

from mentee.evaluate.jackknife import gain, left_out
from mentee.evaluate.kept import explained, neighbors
from mentee.evaluate.knn import knn, leave_one_out
from mentee.evaluate.predict import in_order, predict, read_all
from mentee.evaluate.probe import Labeled, Layer, linear_probe, train_layer
from mentee.evaluate.scores import main_score, scores
from mentee.evaluate.similarity import similarity

__all__ = [
    "Labeled",
    "Layer",
    "explained",
    "gain",
    "in_order",
    "knn",
    "leave_one_out",
    "left_out",
    "linear_probe",
    "main_score",
    "neighbors",
    "predict",
    "read_all",
    "scores",
    "similarity",
    "train_layer",
]
