"""What the examples of a source hold, by row of the source: images, audio clips or texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor

Kind: TypeAlias = Literal["image", "audio", "text"]
KINDS: tuple[str, ...] = get_args(Kind)

ImageTensors: TypeAlias = Tensor | list[Tensor]
"""uint8 `[b, h, w, c]`, or a list of `[h, w, c]` where the sizes may differ."""

Read: TypeAlias = Tensor | list[Tensor] | list[str]
"""`ImageTensors`; or audio clips, float32 `[samples]` each; or texts."""

Rows = npt.NDArray[np.int64]

MEMORY = 2 << 30
"""Bytes that the decoded contents of a source may take before they stay on disk."""


@runtime_checkable
class Payload(Protocol):
    """The contents of a source, by row of the source.

    Attributes:
        kind: what they are.
        channels: of images 1 (gray) or 3 (RGB); else 1.
        sample_rate: samples a second of audio as it is read; else None.
    """

    kind: Kind
    channels: int
    sample_rate: int | None

    def ready(self, rows: Rows) -> bool:
        """True where `load` would change nothing for these rows."""
        ...

    def load(self, rows: Rows) -> bool:
        """Make reading these rows a mere copy from now on; false where that cannot be."""
        ...

    def read(self, rows: Rows) -> npt.NDArray[Any] | Sequence[npt.NDArray[Any]] | list[str]:
        """What `Examples.read` hands on, as NumPy arrays or texts."""
        ...

    def raw(self, row: int) -> bytes:
        """The row's bytes as they are stored, for a fingerprint."""
        ...
