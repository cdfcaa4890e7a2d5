"""What a shipped student reads and gives; stands as JSON in the metadata of its file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mentee.errors import RunError, shortened

KEY = "mentee"
"""The key of the signature in a file's metadata."""


@dataclass(frozen=True)
class Signature:
    """What a shipped student reads and gives.

    Attributes:
        kind: of the input: `image`, `audio`, `text` or another modality.
        shape: of one input, without the batch; null: any length.
        dtype: of the input, `uint8` or `float32`.
        output: `logits`, `values` (in the units of the labels) or `embedding`.
        task: its name.
        outputs: what the outputs are, a value of `mentee.tasks.Outputs`.
        names: of the outputs: classes or targets; of an embedding none.
        threshold: of several classes an example: a probability above it counts as yes.
        prepare: numbers of what is done before the file reads an input, by kind. Images:
            `channels`, `bits`, `background`, `size`, `interpolation` and `margin` (the shorter
            side is resized to margin times size, then the center is cut out). Audio:
            `sample_rate`. Text: `max_bytes`.
        inside: what the file does itself: `mean`, `std`, and the like.
        about: the run, checksum of its weights, network, score, versions.
    """

    kind: str
    shape: tuple[int | None, ...]
    dtype: str
    output: str
    task: str
    outputs: str | None
    names: tuple[str, ...] = ()
    threshold: float = 0.5
    prepare: Mapping[str, Any] = field(default_factory=dict)
    inside: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


def read_signature(text: str | bytes | None, source: object) -> Signature:
    """The signature that `Signature.dump` wrote.

    Args:
        text: of the file's metadata; None: there is none.
        source: the file, for messages.

    Raises:
        RunError: the file was not written by `mentee export`.
    """
    try:
        content = json.loads(text or "null")
        lists = {name: tuple(content[name]) for name in ("shape", "names")}
        return Signature(**{**content, **lists})
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{source} does not say what it reads and gives ({shortened(str(error))}); expected a "
            "file that mentee export wrote"
        ) from error
