"""What there is, in words: the methods of the table, the places of a network."""

from mentee.catalogue.equation import formulas, sentence
from mentee.catalogue.layers import show_layers
from mentee.catalogue.listing import list_methods, show_method, show_pair
from mentee.catalogue.needs import needs
from mentee.catalogue.pairs import CandidatePair

__all__ = [
    "CandidatePair",
    "formulas",
    "list_methods",
    "needs",
    "sentence",
    "show_layers",
    "show_method",
    "show_pair",
]
