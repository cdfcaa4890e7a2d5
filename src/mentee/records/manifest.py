"""What a record says of itself: `manifest.json`, read before anything else is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from mentee.errors import DataError
from mentee.records.signed import check, read_signed

Dtype: TypeAlias = Literal["float16", "float32", "bfloat16", "int8"]
FORMAT = 2
MANIFEST, IDS, STATISTICS = "manifest.json", "ids.json", "statistics.safetensors"


class Shard(BaseModel):
    """One file of rows.

    Attributes:
        file: its name in the folder.
        rows: how many rows it holds.
        bytes: its size.
        checksum: BLAKE2b of its bytes, 32 hexadecimal digits.
    """

    model_config = ConfigDict(frozen=True)

    file: str = Field(pattern=r"^shard-\d{5}\.npy$")
    rows: int = Field(gt=0)
    bytes: int = Field(gt=0)
    checksum: str = Field(pattern=r"^[0-9a-f]{32}$")


class Manifest(BaseModel):
    """All that is known of a record without reading its rows.

    Attributes:
        format: version of the layout of the folder.
        name: what to call the record in messages.
        kind: what was embedded.
        width: entries of one vector.
        frames: vectors of one example; None: one, pooled over the example.
        rows: examples.
        dtype: of the stored numbers.
        scales: of int8: what an entry of each vector is multiplied by, d of them.
        view: how the examples were presented: `clean`, not augmented, or `view 0`, ...
        teacher: name, fingerprint and contract; of imported vectors name, source and checksum.
        data: name of the examples, their fingerprint without labels, and how many there are.
        ids: checksum of `ids.json`.
        shards: the files, in the order of the rows.
        statistics: number of vectors, mean of all entries, root of their mean variance; and the
            checksum of the file of statistics. Empty: none were fitted.
        created: when, ISO 8601 in UTC; None: a view of a record of places, whose bytes depend on
            nothing but what is recorded.
        mentee: version that wrote it.
    """

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    name: str
    kind: str
    width: int = Field(gt=0)
    frames: int | None = Field(default=None, gt=0)
    rows: int = Field(gt=0)
    dtype: Dtype
    scales: tuple[float, ...] | None = None
    view: str = Field(default="clean", pattern=r"^(clean|view \d+)$")
    teacher: dict[str, Any]
    data: dict[str, Any]
    ids: str
    shards: tuple[Shard, ...]
    statistics: dict[str, int | float | str]
    created: str | None = None
    mentee: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def shape(self) -> tuple[int, ...]:
        """`[n, d]` or `[n, t, d]`."""
        frames = () if self.frames is None else (self.frames,)
        return (self.rows, *frames, self.width)


def read_manifest(folder: Path) -> Manifest:
    """Read and check `manifest.json`.

    Args:
        folder: the record.

    Returns:
        What it says.

    Raises:
        DataError: there is none, it is damaged, or another version of mentee wrote it.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(
            f"{folder} is no record: it has no {MANIFEST}; write one with `mentee record`, or "
            "give the folder of one split"
        )
    anew = f"the record {folder} has to be written anew"
    try:
        content = read_signed(path)
        written = content.get("format")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); {anew}") from error
    if written != FORMAT:
        raise DataError(
            f"{path} has format {written}, this version of mentee reads format {FORMAT}; use the "
            "version that wrote it, or record anew"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path}: {where}: {first['msg']}; {anew}") from error
    held = sum(shard.rows for shard in manifest.shards)
    if held != manifest.rows:
        raise DataError(f"{path} says {manifest.rows} rows and its shards {held}; {anew}")
    try:
        check(path, content)
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}; {anew}") from error
    return manifest


def checksum(path: Path) -> str:
    """BLAKE2b of a file's bytes, 32 hexadecimal digits.

    Args:
        path: the file.

    Memory: O(1).
    """
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
