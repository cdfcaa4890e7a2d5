"""Read any `nn.Module`, unwrapped and unchanged, at named places."""

from mentee.capture.hooks import Capture
from mentee.capture.place import Place
from mentee.capture.resolve import list_places, resolve

__all__ = ["Capture", "Place", "list_places", "resolve"]
