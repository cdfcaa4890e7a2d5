"""The kinds of outputs that a network may have."""

from __future__ import annotations

from typing import Literal, TypeAlias

Outputs: TypeAlias = Literal["class logits", "label logits", "values"]
"""What a network's outputs are: logits of classes of which one is right, logits of labels of which
each may be right, or real values."""

OUTPUTS: dict[Outputs, str] = {
    "class logits": "one class an example",
    "label logits": "several classes an example",
    "values": "real values (regression)",
}
"""The labels that such outputs are for, in words."""
