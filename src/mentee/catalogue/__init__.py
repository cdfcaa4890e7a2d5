"""What there is, in words: the methods of the table, the places of a network."""

from mentee.catalogue.equation import formulas, sentence
from mentee.catalogue.layers import show_places
from mentee.catalogue.listing import list_methods, show_method, show_pair
from mentee.catalogue.needs import needs
from mentee.catalogue.pairs import Pair

__all__ = [
    "Pair",
    "formulas",
    "list_methods",
    "needs",
    "sentence",
    "show_method",
    "show_pair",
    "show_places",
]
