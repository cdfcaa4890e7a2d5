"""Arrays in, numbers out: how good a student is."""

from mentee.evaluate.predict import predict
from mentee.evaluate.scores import main_score, scores

__all__ = ["main_score", "predict", "scores"]
