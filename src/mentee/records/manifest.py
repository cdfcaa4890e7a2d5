"""The manifest of a record: what is stored of which teacher and examples, with checksums."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mentee import files
from mentee.data import MODALITIES
from mentee.errors import DataError
from mentee.records.columns import Column, Dtype
from mentee.records.consistency import contradiction
from mentee.types import CLEAN
from mentee.urls import Url

FORMAT = 3
MANIFEST, IDS, STATISTICS = "manifest.json", "ids.json", "statistics.safetensors"
TEACHER_CHECK = "teacher.json"
"""The scores of a recipe's network on the data's validation and test part: no part of the record
itself, and not covered by its checksums."""
OLD_MANIFEST = "places.json"  # of a network's record, formats 1 and 2
CHECKSUM = r"^[0-9a-f]{32}$"
OWN_NAMES = re.compile(
    r"(manifest|ids|places|teacher|plan)\.json|statistics\.safetensors|shard-\d{5}\.npy"
    r"|(clean|view-\d{3,})(\+\d+)?|basis(\+\d+)?\.safetensors"
)
"""The names of all that may lie in the folder of a record, of whatever format."""


class Shard(BaseModel):
    """One file of rows in the folder of its part, with BLAKE2b of its bytes."""

    model_config = ConfigDict(frozen=True)

    file: str = Field(pattern=r"^shard-\d{5}\.npy$")
    rows: int = Field(gt=0)
    bytes: int = Field(gt=0)
    checksum: str = Field(pattern=CHECKSUM)


class Part(BaseModel):
    """The rows of one view, or of `CLEAN`, of one group of columns: a subfolder."""

    model_config = ConfigDict(frozen=True)

    view: int = Field(ge=CLEAN)
    group: int = Field(ge=0)
    shards: tuple[Shard, ...] = ()

    @property
    def folder(self) -> str:
        """Its name in the folder of the record: `clean`, `view-003+1`."""
        view = "clean" if self.view == CLEAN else f"view-{self.view:03d}"
        return view + (f"+{self.group}" if self.group else "")

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(each.rows for each in self.shards)

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(each.bytes for each in self.shards)


class Group(BaseModel):
    """Columns that were recorded together: a row has their numbers, one behind the other.

    Attributes:
        columns: what is stored.
        scales: of int8: what each number of a row is multiplied by.
        basis: checksum of the file of principal directions; None: no column needs them.
        explained: the share of the variance that is kept, by such a column, on a sample.
    """

    model_config = ConfigDict(frozen=True)

    columns: tuple[Column, ...] = Field(min_length=1)
    scales: tuple[float, ...] | None = None
    basis: str | None = Field(default=None, pattern=CHECKSUM)
    explained: dict[str, float] = {}

    @property
    def projected(self) -> tuple[Column, ...]:
        """The columns that are stored in principal components."""
        return tuple(each for each in self.columns if each.form == "pca")


class Manifest(BaseModel):
    """All that is known of a record without reading its rows.

    Attributes:
        format: version of the layout of the folder.
        mentee: version that wrote it.
        name: of the teacher, for messages.
        kind: what the examples are.
        rows: how many examples.
        dtype: of the stored numbers.
        teacher: of an embedder `name`, `fingerprint`, `contract`, and `requested`: how it and the
            data were named; of a recipe's network `name`, `fingerprint`, `network` as a recipe has
            it, and how many `stages` it has; of imported vectors `name`, `source`, `checksum`.
        data: name of the examples, their fingerprint without labels, and how many there are.
        ids: checksum of the file of ids.
        views: how views are made of an example, as a recipe has it; empty: there are none.
        count: how many views there are beside the clean one.
        methods: whose columns they are; empty: a method can read any of them.
        groups: the columns; those that were added later are a group of their own.
        parts: the rows of each view of each group, the clean ones first.
        statistics: number of vectors, mean of all entries, root of their mean variance, and the
            checksum of the file of statistics. Empty: none were fitted.
    """

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    mentee: str
    name: str
    kind: str
    rows: int = Field(gt=0)
    dtype: Dtype
    teacher: dict[str, Any]
    data: dict[str, Any]
    ids: str = Field(pattern=CHECKSUM)
    views: dict[str, Any] = {}
    count: int = Field(default=0, ge=0)
    methods: tuple[str, ...] = ()
    groups: tuple[Group, ...] = Field(min_length=1)
    parts: tuple[Part, ...] = ()
    statistics: dict[str, int | float | str] = {}

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in MODALITIES:
            raise ValueError(f"{kind!r} is none of {', '.join(MODALITIES)}")
        return kind

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, those of the first group first."""
        return tuple(itertools.chain(*(each.columns for each in self.groups)))

    @property
    def network(self) -> dict[str, Any] | None:
        """The recipe's network that was recorded; None: an embedder, or imported vectors."""
        return self.teacher.get("network")

    def numbers(self, group: int) -> int:
        """How many numbers a row of a group has."""
        return sum(each.stored for each in self.groups[group].columns)

    def all_parts(self) -> list[Part]:
        """A part without shards for each view and group, the clean ones first."""
        groups = range(len(self.groups))
        return [Part(view=v, group=g) for v in range(CLEAN, self.count) for g in groups]


def basis_file(group: int) -> str:
    """The file with the principal directions of a group's columns."""
    return "basis" + (f"+{group}" if group else "") + ".safetensors"


def has_manifest(folder: Path | Url) -> bool:
    """Whether a folder is a record, of whatever format."""
    return any((folder / name).is_file() for name in (MANIFEST, OLD_MANIFEST))


def read_manifest(folder: Path | Url) -> Manifest:
    """Read and check the manifest of a record.

    Raises:
        DataError: there is none, it is damaged, or another version of mentee wrote it.
    """
    path = folder / MANIFEST
    again = f"the record {folder} has to be written again"
    if not has_manifest(folder):
        raise DataError(
            f"{folder} is no record: it has no {MANIFEST}; write one, or resume one that was "
            "interrupted, with `mentee record`, or give the folder of one split"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"format": 2}
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); {again}") from error
    if content.get("format") in (1, 2):
        raise DataError(
            f"{folder} was recorded by mentee 0.1 in a format that this version does not read; "
            f"record it again: {_command(folder, content.get('teacher', {}))}"
        )
    if content.get("format") != FORMAT:
        raise DataError(
            f"{path} has format {content.get('format')}, this version of mentee reads format "
            f"{FORMAT}; use the version that wrote it, or record again"
        )
    unsigned = {key: value for key, value in content.items() if key != "checksum"}
    try:
        manifest = Manifest.model_validate_json(json.dumps(unsigned), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(each) for each in first["loc"])
        raise DataError(f"{path}: {where}: {first['msg']}; {again}") from error
    text = json.dumps(content, indent=2) + "\n"
    if content.get("checksum") != _digest(unsigned) or path.read_text(encoding="utf-8") != text:
        raise DataError(f"{path} is damaged: its checksum is another one; {again}")
    if [each.folder for each in manifest.parts] != [each.folder for each in manifest.all_parts()]:
        raise DataError(f"{path} has other parts than views and groups of columns; {again}")
    for part in manifest.parts:
        if part.rows != manifest.rows:
            held = f"{part.folder} has {part.rows}"
            raise DataError(f"{path} says {manifest.rows} rows and {held}; {again}")
    if problem := contradiction(manifest):
        raise DataError(f"{path} contradicts itself: {problem}; {again}")
    return manifest


def write_manifest(folder: Path | Url, manifest: Manifest) -> None:
    """Write the manifest of a record with its own checksum, atomically."""
    content = manifest.model_dump(mode="json")
    files.write_json(folder / MANIFEST, {**content, "checksum": _digest(content)})


def ids_text(ids: tuple[str, ...]) -> str:
    """The content of the file of ids."""
    return json.dumps(list(ids)) + "\n"


def checksum(content: Path | Url | str) -> str:
    """BLAKE2b of a file's bytes, or of a text, 32 hexadecimal digits.

    Memory: O(1) of a file.
    """
    digest = hashlib.blake2b(digest_size=16)
    if isinstance(content, str):
        digest.update(content.encode())
        return digest.hexdigest()
    with content.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _digest(content: Mapping[str, Any]) -> str:
    return checksum(json.dumps(content, sort_keys=True))


def _command(folder: Path | Url, teacher: Mapping[str, Any]) -> str:
    """The command that makes a record of an old format again."""
    source, named = teacher.get("source"), teacher.get("asked") or {}
    if source:
        return f"mentee record import {source} DATA --out {folder.parent} --overwrite"
    if "columns" in teacher or not teacher:
        return f"mentee record RECIPE --out {folder.parent} --overwrite"
    data, name = named.get("data", "DATA"), named.get("teacher", teacher.get("name", "NAME"))
    return f"mentee record {data} --teacher {name} --out {folder.parent} --overwrite"
