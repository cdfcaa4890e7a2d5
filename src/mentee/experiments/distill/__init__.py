"""The best student under a budget: what fits, what helps, and a file of the winner."""

from mentee.experiments.distill.advice import advise
from mentee.experiments.distill.search import Distilled, distill

__all__ = ["Distilled", "advise", "distill"]
