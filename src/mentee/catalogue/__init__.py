"""Descriptions: the methods of the table, the layers of a network, the methods that fit a pair."""

from mentee.catalogue.equation import describe_term, formulas
from mentee.catalogue.listing import list_methods, show_layers, show_method, show_pair
from mentee.catalogue.needs import needs
from mentee.catalogue.pairs import CandidatePair

__all__ = [
    "CandidatePair",
    "describe_term",
    "formulas",
    "list_methods",
    "needs",
    "show_layers",
    "show_method",
    "show_pair",
]
