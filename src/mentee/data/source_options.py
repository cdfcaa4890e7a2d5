"""Which columns of a source are read, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mentee.data.image_files import BACKGROUNDS
from mentee.data.modality import MODALITIES, Modality
from mentee.data.payload import ReadOptions
from mentee.data.unreadable import ERROR, SKIP
from mentee.errors import DataError, shown, suggest
from mentee.tasks import Task

LabelColumns: TypeAlias = str | Sequence[str] | Literal[False] | None
"""A column of labels, several of 0/1, none that are read (False), or the usual names (None)."""


@dataclass(frozen=True)
class SourceOptions:
    """Which columns of a source are read, and how; None: the usual names, or what the source has.

    Attributes:
        kind: the modality of the examples.
        content: the column of the images, clips or texts, or of the names of their files.
        label: one column of labels, or several of numbers; False: no labels are read.
        id: the column of the examples' own names; None: the row numbers, or what the source has.
        classes: the class names in the order wanted.
        channels: 1 (gray) or 3 (RGB); None: as the first image has them.
        sample_rate: samples a second to read audio at.
        modalities: the kinds of input that there are, by name.
        task: what the labels are for; None: told by them.
        bits: of which 16-bit images make use; None: as a sample of them does.
        background: `white` or `black`, behind transparent images.
        unreadable: `error`, or `skip` to leave out what cannot be read.
        outside: files outside of the source's folder may be read.

    Raises:
        DataError: a value is none of those that there are.
    """

    kind: str | None = None
    content: str | None = None
    label: LabelColumns = None
    id: str | None = None
    classes: Sequence[str] | None = None
    channels: int | None = None
    sample_rate: int = 16_000
    modalities: Mapping[str, Modality] = field(default_factory=lambda: MODALITIES)
    task: Task | None = None
    bits: int | None = None
    background: str = "white"
    unreadable: str = "error"
    outside: bool = False

    def __post_init__(self) -> None:
        if self.channels not in (None, 1, 3):
            raise DataError(f"channels {self.channels}: expected 1 (gray) or 3 (RGB)")
        if self.bits is not None and not 8 <= self.bits <= 16:
            raise DataError(f"bits {self.bits}: expected 8 to 16")
        if self.background not in BACKGROUNDS:
            hint = suggest(self.background, BACKGROUNDS)
            raise DataError(f"background {self.background!r}: {hint}")
        if self.unreadable not in (ERROR, SKIP):
            hint = suggest(self.unreadable, (ERROR, SKIP))
            raise DataError(f"unreadable {self.unreadable!r}: {hint}")
        if self.label not in (None, False) and not isinstance(self.label, (str, Sequence)):
            raise DataError(f"label is {shown(self.label)}; expected a column, several, or False")
        if not 1000 <= self.sample_rate <= 1_000_000:
            raise DataError(f"rate {self.sample_rate}: expected samples a second, such as 16000")

    @property
    def names_columns(self) -> bool:
        """Whether a column is named."""
        return bool(self.content or self.label or self.id)

    def reading(self, name: str) -> ReadOptions:
        """How the contents of a source of this name are read."""
        return ReadOptions(
            name,
            self.channels,
            self.sample_rate,
            bits=self.bits,
            background=self.background,
            unreadable=self.unreadable,
        )
