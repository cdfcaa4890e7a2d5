"""Read any `nn.Module`, unwrapped and unchanged, at named places."""

from mentee.features.hooks import Capture
from mentee.features.layer import Place
from mentee.features.resolve import list_places, resolve

__all__ = ["Capture", "Place", "list_places", "resolve"]
