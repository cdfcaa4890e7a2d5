"""What is compared: each representation builds a student's side and a teacher's side for a pair."""

from __future__ import annotations

from collections.abc import Callable

from mentee.represent.project import project
from mentee.represent.side import Shape, Side, as_is
from mentee.represent.unit import unit

__all__ = ["REPRESENTATIONS", "Shape", "Side", "as_is", "project", "unit"]

REPRESENTATIONS: dict[str, Callable[..., tuple[Side, Side]]] = {
    "as_is": as_is,
    "project": project,
}
"""Every representation by name: `(student shape, teacher shape, **numbers) -> (Side, Side)`."""
