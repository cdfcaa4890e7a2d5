"""The places of a network as plain text."""

from __future__ import annotations

import torch

from mentee import models
from mentee.features import Layer, list_layers


def show_layers(
    network: str, *, size: int = 32, channels: int = 3, classes: int = 10, every: bool = False
) -> str:
    """Where a network can be read, a line each: name, shape, module.

    Args:
        network: a name for `mentee.models.build`.
        size: height and width of the image.
        channels: of the image.
        classes: outputs of the classifier.
        every: all modules; else the short names alone.

    Returns:
        A table of plain text.
    """
    built = models.build(network, classes=classes, channels=channels, seed=0)
    found = list_layers(built, torch.zeros(2, channels, size, size))
    shown = [place for place in found if every or place.name != place.path]
    rows = [(place.name, " × ".join(map(str, place.shape)), read_at(place)) for place in shown]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}" for a, b, c in rows]
    count = models.count_parameters(built)
    return "\n".join([f"{network}: {count:,} parameters, {channels} × {size} × {size}", *lines])


def read_at(place: Layer) -> str:
    """Where in the network a place is."""
    if place.is_result:
        return "what the network returns"
    return f"{place.io} of {place.path}"
