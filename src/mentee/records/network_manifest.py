"""What a record of places says of itself, and how its parts are called."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mentee.errors import DataError
from mentee.records.columns import Column
from mentee.records.manifest import Dtype
from mentee.records.signed import check, read_signed
from mentee.types import CLEAN

PLACES = "places.json"
FORMAT = 2
READ = (1, FORMAT)  # format 1 kept all columns whole
SHEET = re.compile(r"(clean|view-\d{3,})(\+\d+)?|basis(\+\d+)?\.safetensors")
"""The names of the subfolders, and of the files of principal directions."""


class BasisFile(BaseModel):
    """The principal directions of a group's columns.

    Attributes:
        group: which.
        checksum: of the file.
        explained: the share of the variance that is kept, by column, on a sample.
    """

    model_config = ConfigDict(frozen=True)

    group: int
    checksum: str
    explained: dict[str, float]


class NetworkManifest(BaseModel):
    """All that is known of the whole folder.

    Attributes:
        format: version of its layout.
        name: of the teacher.
        kind: what the examples are.
        rows: how many examples.
        dtype: of the stored numbers.
        teacher: `network`, as a recipe names it, `fingerprint` of its weights and input, and how
            many `stages` it has.
        data: name of the examples, their fingerprint without labels, and how many there are.
        views: how views are made of an example, as a recipe says it.
        methods: whose columns they are.
        count: how many views there are beside the clean one.
        groups: the columns of the records `clean`, of `clean+1`, ...
        bases: of the groups with columns in principal components.
    """

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    name: str
    kind: str
    rows: int = Field(gt=0)
    dtype: Dtype
    teacher: dict[str, Any]
    data: dict[str, Any]
    views: dict[str, Any]
    methods: tuple[str, ...]
    count: int = Field(ge=0)
    groups: tuple[tuple[Column, ...], ...]
    bases: tuple[BasisFile, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, of the first group first."""
        return tuple(itertools.chain(*self.groups))

    @property
    def numbers(self) -> int:
        """How many numbers are kept of one view of one example."""
        return sum(each.stored for each in self.columns)


def folder_of(view: int, group: int) -> str:
    """The subfolder of a view's record.

    Example:
        >>> folder_of(CLEAN, 0), folder_of(3, 1)
        ('clean', 'view-003+1')
    """
    return ("clean" if view == CLEAN else f"view-{view:03d}") + (f"+{group}" if group else "")


def basis_of(group: int) -> str:
    """The file with the principal directions of a group's columns."""
    return "basis" + (f"+{group}" if group else "") + ".safetensors"


def read_network_manifest(folder: Path) -> NetworkManifest:
    """Read and check `places.json`.

    Raises:
        DataError: there is none, it is damaged, or another version of mentee wrote it.
    """
    path = folder / PLACES
    if not path.is_file():
        raise DataError(
            f"{folder} is no whole record of places: it has no {PLACES}; write one, or go on with "
            "one that was interrupted, with `mentee record RECIPE --out ...`"
        )
    try:
        said = read_signed(path)
        if said.get("format") in READ:
            return NetworkManifest.model_validate(check(path, said))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); record anew, or copy it again") from error
    raise DataError(
        f"{path} has format {said.get('format')}, this version of mentee reads formats 1 "
        f"and {FORMAT}; use the version that wrote it, or record anew"
    )
