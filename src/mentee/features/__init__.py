"""Read the features of any `nn.Module`, unwrapped and unchanged, at named layers."""

from mentee.features.hooks import Capture
from mentee.features.layer import Layer
from mentee.features.resolve import list_layers, resolve

__all__ = ["Capture", "Layer", "list_layers", "resolve"]
