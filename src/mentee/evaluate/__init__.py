"""Arrays in, numbers out: how good a student is."""

from mentee.evaluate.predict import predict, read_all
from mentee.evaluate.scores import main_score, scores
from mentee.evaluate.similarity import similarity

__all__ = ["main_score", "predict", "read_all", "scores", "similarity"]
