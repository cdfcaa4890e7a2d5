"""Which columns of a source are read, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
class SourceOptions(ReadOptions):
    """Which columns of a source are read, and how: the arguments of `open_examples`.

    `kind` is the modality, `content` the column of the images, clips or texts, or of the names of
    their files; None: the usual names, or what the source has.

    Raises:
        DataError: a value is none of those that there are.
    """

    kind: str | None = None
    content: str | None = None
    label: LabelColumns = None
    id: str | None = None
    classes: Sequence[str] | None = None
    modalities: Mapping[str, Modality] = field(default_factory=lambda: MODALITIES)
    task: Task | None = None
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
        """The same for a source of this name."""
        return replace(self, name=name)
