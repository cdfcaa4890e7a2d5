"""What the examples of a source hold, by row of the source, and the encoded files behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from mentee.data.local_files import check_regular, leaves, read_bytes, refuse_outside
from mentee.errors import DataError

ImageTensors: TypeAlias = Tensor | list[Tensor]
"""uint8 `[b, h, w, c]`, or a list of `[h, w, c]` where the sizes may differ."""

Read: TypeAlias = Tensor | list[Tensor] | list[str]
"""`ImageTensors`; or audio clips, float32 `[samples]` each; or texts."""

Rows = npt.NDArray[np.int64]

LAYERS = 8
"""So many times its input is what the layers of any network give of it, at least."""

MEMORY = 2 << 30
"""Bytes that the decoded contents of a source may take before they stay on disk."""

_STAMPED = 64


@dataclass(frozen=True)
class ReadOptions:
    """How the contents of a source are read, as in `open_examples`; a modality takes what it needs.

    Attributes:
        name: what to call the source in messages.
        extra: what a mapping of arrays holds with the examples, such as `layout`.
    """

    name: str = ""
    channels: int | None = None
    sample_rate: int = 16_000
    extra: Mapping[str, Any] = field(default_factory=dict)
    bits: int | None = None
    background: str = "white"
    unreadable: str = "error"


@dataclass(frozen=True)
class ViewOptions:
    """What views are built from; each takes what it needs.

    Attributes:
        seed: another seed, other views.
        size: height and width of images, in pixels; None: as they are.
        pad: how far images are moved, in pixels.
        seconds: of each clip; None: as long as it is.
        sample_rate: samples a second.
        max_bytes: bytes of each text; None: of the longest of a batch.
        interpolation: by which images are resized: `bilinear` or `bicubic`, antialiased.
    """

    seed: int = 0
    size: int | None = None
    pad: int = 4
    seconds: float | None = None
    sample_rate: int = 16_000
    max_bytes: int | None = None
    interpolation: str = "bilinear"

    @property
    def samples(self) -> int | None:
        """Of each clip; None: as many as it has."""
        return None if self.seconds is None else round(self.seconds * self.sample_rate)

    def training_bytes(self, kind: str, channels: int) -> int:
        """That one input takes with its layers at least, where its size is given; else 0."""
        image, audio = 4 * channels * (self.size or 0) ** 2, 4 * (self.samples or 0)
        sizes = {"image": image, "audio": audio, "text": self.max_bytes or 0}
        return LAYERS * sizes.get(kind, 0)

    def check(self, name: str) -> None:
        """Refuse a number that is out of range for the views of this name."""
        if self.pad < 0 or (self.size is not None and self.size < 1):
            raise DataError(
                f"views {name!r} with size {self.size} and pad {self.pad}: "
                "expected size ≥ 1, pad ≥ 0"
            )
        if self.samples is not None and self.samples < 1:
            raise DataError(
                f"views {name!r} of {self.seconds} seconds at rate {self.sample_rate}: "
                "expected a sample"
            )
        if self.max_bytes is not None and self.max_bytes < 4:
            raise DataError(
                f"views {name!r} of length {self.max_bytes}: expected at least 4, a character"
            )


@runtime_checkable
class Payload(Protocol):
    """The contents of a source, by row of the source.

    Attributes:
        kind: the name of their modality.
        channels: of images 1 (gray) or 3 (RGB); else 1.
        sample_rate: samples a second of audio as it is read; else None.
    """

    kind: str
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


class InMemory:
    """Contents that are in memory already: one array `[n, ...]`, or a list of arrays or texts."""

    def __init__(
        self,
        kind: str,
        values: npt.NDArray[Any] | list[Any],
        *,
        channels: int = 1,
        sample_rate: int | None = None,
    ) -> None:
        self.kind, self.values, self.channels = kind, values, channels
        self.sample_rate = sample_rate

    def ready(self, rows: Rows) -> bool:
        """Always."""
        return True

    def load(self, rows: Rows) -> bool:
        """Nothing to do."""
        return True

    def read(self, rows: Rows) -> npt.NDArray[Any] | list[Any]:
        """A copy of some rows."""
        if isinstance(self.values, np.ndarray):
            return self.values[rows]
        return [self.values[row] for row in rows.tolist()]

    def raw(self, row: int) -> bytes:
        """The row's numbers, or its text in UTF-8."""
        value = self.values[row]
        return value.encode() if isinstance(value, str) else np.asarray(value).tobytes()


class ChangedPayload:
    """Contents that are changed when they are read; subclasses say how in `read`."""

    def __init__(self, contents: Payload) -> None:
        self.contents = contents
        self.kind: str = contents.kind
        self.channels: int = contents.channels
        self.sample_rate: int | None = contents.sample_rate
        self.bits: int | None = getattr(contents, "bits", None)

    def ready(self, rows: Rows) -> bool:
        """As the stored ones."""
        return self.contents.ready(rows)

    def load(self, rows: Rows) -> bool:
        """Load the stored ones."""
        return self.contents.load(rows)

    def raw(self, row: int) -> bytes:
        """The stored bytes."""
        return self.contents.raw(row)


@runtime_checkable
class Files(Protocol):
    """Encoded files (JPEG, PNG, WAV, MP3, ...), by row of the source."""

    def fetch(self, rows: Rows) -> list[bytes]:
        """The undecoded bytes of each row."""
        ...

    def take(self, rows: Rows) -> Files:
        """Some of them."""
        ...

    def stamp(self) -> bytes:
        """A digest that changes where a file does: names what was decoded from the files."""
        ...


class FolderFiles:
    """Files below one folder."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root = root
        self.names = names

    def fetch(self, rows: Rows) -> list[bytes]:
        """The undecoded bytes of each row."""
        return [read_bytes(self.root / self.names[row]) for row in rows]

    def take(self, rows: Rows) -> FolderFiles:
        """Some of them."""
        return FolderFiles(self.root, [self.names[row] for row in rows])

    def stamp(self) -> bytes:
        """Of names, sizes and times of all files, and the bytes of 64 evenly spaced ones."""
        digest = hashlib.blake2b()
        for name in self.names:
            file = check_regular(self.root / name)
            digest.update(repr((name, file.st_size, file.st_mtime_ns)).encode())
        some = np.linspace(0, len(self.names) - 1, min(len(self.names), _STAMPED))
        for data in self.fetch(some.astype(np.int64)):
            digest.update(hashlib.blake2b(data).digest())
        return digest.digest()


class ColumnFiles:
    """Files inside a column of a `datasets.Dataset`, as bytes or paths.

    The files that paths name are in `roots`, relative ones in the first, unless `outside`.
    """

    def __init__(
        self, dataset: Any, column: str, roots: Sequence[Path] = (), *, outside: bool = True
    ) -> None:
        self.dataset = dataset
        self.column = column
        self.roots = tuple(roots)
        self.outside = outside

    def fetch(self, rows: Rows) -> list[bytes]:
        """The undecoded bytes of each row."""
        return [self._bytes(cell) for cell in self.dataset[rows][self.column].to_pylist()]

    def take(self, rows: Rows) -> ColumnFiles:
        """Some of them."""
        dataset = self.dataset.select(rows)
        return ColumnFiles(dataset, self.column, self.roots, outside=self.outside)

    def stamp(self) -> bytes:
        """Of the bytes of all rows."""
        digest, rows = hashlib.blake2b(), np.arange(len(self.dataset))
        for some in np.array_split(rows, max(1, -(-len(rows) // 256))):
            for data in self.fetch(some):
                digest.update(hashlib.blake2b(data).digest())
        return digest.digest()

    def _bytes(self, cell: Any) -> bytes:
        content = (cell.get("bytes") or cell.get("path")) if isinstance(cell, dict) else cell
        if not isinstance(content, str):
            return bytes(content or b"")
        path = Path(*self.roots[:1], content)
        if not self.outside and all(leaves(path, root) for root in self.roots):
            refuse_outside(self.roots[0], [path], named_by=f"column {self.column!r}")
        return read_bytes(path)
