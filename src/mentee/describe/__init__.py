"""What there is, in words: the methods of the table, the places of a network."""

from mentee.describe.listing import list_methods, show_method, show_pair
from mentee.describe.needs import needs
from mentee.describe.pairs import Pair
from mentee.describe.places import show_places
from mentee.describe.sentence import formulas, sentence

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
