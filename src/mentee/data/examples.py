"""One split of a source: which examples there are, what is known of them, how to read them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mentee.data.audio import FixedLength
from mentee.data.counter_rng import Int64Array, hash_ids
from mentee.data.modality import Modality
from mentee.data.payload import Files, Payload, Read, ReadOptions, Rows
from mentee.data.unreadable import (
    INSPECTED,
    SKIP,
    UnreadableError,
    find_unreadable,
    listing,
    refuse_unreadable,
)
from mentee.errors import DataError
from mentee.tasks import UNLABELED, Labels, Task, task_of

_SAMPLE = 1024


@dataclass(frozen=True, eq=False)
class Examples:
    """An immutable view of one split.

    Attributes:
        contents: what the whole source holds.
        modality: what the contents are: images, audio clips, texts.
        rows: `[n]` where the examples stand in the source.
        ids: the examples' own names.
        keys: `[n]` the ids' hashes, in [0, 2⁶³), the same in every process and for ever.
        labels: `[n]` int64 class numbers, or `[n, k]` float32, or None.
        mask: `[n, k]`, true where a label is known; None: all are.
        classes: the names of the `k` classes or targets in their order, or None.
        task: what the labels are for, and all that follows from it.
        labeled: `[n]`, true where an example has labels at all, else its label is −1 or masked;
            None: all have, or none.
        name: what to call the split in messages.
        notes: lines that tell how it was read, where that may surprise.
        left_out: lines on what of the source is not among them.
    """

    contents: Payload
    modality: Modality
    rows: Int64Array
    ids: tuple[str, ...]
    keys: Int64Array
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float32] | None = None
    mask: npt.NDArray[np.bool_] | None = None
    classes: tuple[str, ...] | None = None
    task: Task = UNLABELED
    labeled: npt.NDArray[np.bool_] | None = None
    name: str = "examples"
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.ids:
            raise DataError(f"{self.name} is empty: give it at least one example")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def kind(self) -> str:
        """The name of the modality: `image`, `audio` or `text`."""
        return self.modality.name

    @property
    def channels(self) -> int:
        """Of images 1 (gray) or 3 (RGB); else 1."""
        return self.contents.channels

    @property
    def bits(self) -> int | None:
        """Of which 16-bit images make use; None: there are none."""
        return getattr(self.contents, "bits", None)

    @property
    def known_labels(self) -> Labels:
        """The labels of those examples that have any."""
        rows = slice(None) if self.labeled is None else np.flatnonzero(self.labeled)
        values = None if self.labels is None else self.labels[rows]
        mask = None if self.mask is None else self.mask[rows]
        return Labels(values, mask, self.classes, self.task)

    def labeled_only(self) -> Examples:
        """The examples that have labels; all where all have, or none."""
        if self.labeled is None:
            return self
        return replace(self.take(np.flatnonzero(self.labeled)), labeled=None)

    def unlabeled(self) -> Examples:
        """The same examples without their labels."""
        return replace(
            self, labels=None, mask=None, classes=None, labeled=None, task=UNLABELED, notes=()
        )

    def spaced(self, count: int) -> Examples:
        """At most `count` of the examples, every n-th of them."""
        return self.take(range(0, len(self), -(-len(self) // count)))

    def refuse_unreadable(self, read: Callable[[Rows], Any]) -> Examples:
        """Read all examples, of many `INSPECTED` spaced ones, by a function; returns which.

        Raises:
            DataError: some cannot be read; all of them are named.
        """
        part = self.spaced(INSPECTED)
        ids = dict(zip(part.rows.tolist(), part.ids, strict=True))
        refuse_unreadable(find_unreadable(read, part.rows), ids, part.name)
        return part

    def take(self, rows: Sequence[int] | npt.NDArray[Any]) -> Examples:
        """Some of the examples, in the order given.

        Args:
            rows: row numbers in this view, each in [0, n).

        Returns:
            A view of the same contents; nothing is copied or decoded.

        Raises:
            DataError: there are no rows, or one is out of range.
        """
        index = np.asarray(rows, np.int64).reshape(-1)
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise DataError(
                f"rows {index.min()} to {index.max()} were asked of {self.name}, "
                f"which has rows 0 to {len(self) - 1}"
            )
        return replace(
            self,
            rows=self.rows[index],
            ids=tuple(self.ids[i] for i in index.tolist()),
            keys=self.keys[index],
            labels=None if self.labels is None else self.labels[index],
            mask=None if self.mask is None else self.mask[index],
            labeled=None if self.labeled is None else self.labeled[index],
        )

    def load(self) -> bool:
        """Decode everything into memory where it fits: images only where they are of one size.

        Returns:
            True where reading is only a copy from now on; false where every read decodes.

        Raises:
            DataError: images or clips are damaged; all of them are named.
        """
        with self._naming_all():
            return self.contents.load(self.rows)

    @contextmanager
    def _naming_all(self) -> Iterator[None]:
        """Where one example cannot be read, read all (of many a part), to name all at once."""
        try:
            yield
        except UnreadableError:
            self.refuse_unreadable(self.contents.read)
            raise

    def read(self, rows: npt.NDArray[np.int64]) -> Read:
        """What some examples hold.

        The first call decodes the whole view into memory where it fits.

        Args:
            rows: `[b]` row numbers in this view.

        Returns:
            Images: uint8 `[b, h, w, c]`; a list of `[h, w, c]` where the sizes may differ.
            Audio: a list of whole clips, float32 `[samples]` in [-1, 1] at `contents.sample_rate`.
            Text: a list of texts.

        Raises:
            DataError: images or clips are damaged; all of them are named.
        """
        source_rows = self.rows[rows]
        if not self.contents.ready(source_rows):
            self.load()
        with self._naming_all():
            contents = self.contents.read(source_rows)
        if isinstance(contents, np.ndarray):
            return torch.from_numpy(contents)
        return [item if isinstance(item, str) else torch.from_numpy(item) for item in contents]  # type: ignore[return-value]

    def fingerprint(self, labels: bool = True) -> str:
        """32 hexadecimal digits of the keys, labels, class names and contents, in this order.

        The same in every process while none of these changes. Of the contents, the stored bytes of
        1,024 evenly spaced examples count (all where there are fewer), so that a large source need
        not be read. The rate that audio is read at does not count, nor, without `labels`, they and
        the class names.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(self.keys.astype("<i8").tobytes())
        if labels and self.labels is not None:
            digest.update(self.labels.astype("<f8").tobytes())
        if labels and self.mask is not None:
            digest.update(self.mask.tobytes())
        digest.update(repr((len(self), self.classes if labels else None, self.channels)).encode())
        for row in np.linspace(0, len(self) - 1, min(len(self), _SAMPLE)).astype(np.int64):
            digest.update(hashlib.blake2b(self.contents.raw(int(self.rows[row]))).digest())
        return digest.hexdigest()


def make_examples(
    contents: Payload, ids: Sequence[str], labels: Labels, *, modality: Modality, name: str
) -> Examples:
    """All examples of a source, with no labels where none is known.

    Raises:
        DataError: there are none, an id stands there twice, or there are not `n` labels.
    """
    if labels.values is not None and len(labels.values) != len(ids):
        raise DataError(f"{name} has {len(ids)} examples and {len(labels.values)} labels")
    labeled = labels.known
    if labeled is not None and not labeled.any():
        labels, labeled = Labels(), None
    return Examples(
        contents=contents,
        modality=modality,
        rows=np.arange(len(ids)),
        ids=tuple(ids),
        keys=hash_ids(ids),
        labels=labels.values,
        mask=labels.mask,
        classes=labels.classes,
        task=labels.task or task_of(labels.values),
        labeled=labeled,
        name=name,
        notes=labels.notes,
    )


def read_files(
    modality: Modality,
    files: Files,
    ids: Sequence[str],
    labels: Labels,
    options: ReadOptions,
    *,
    left_out: Sequence[str] = (),
) -> Examples:
    """All examples of a source of encoded files, or all that can be read.

    Raises:
        DataError: as for `make_examples`; or none of them can be read.
    """
    contents = modality.read_files(files, ids, options)
    examples = make_examples(contents, ids, labels, modality=modality, name=options.name)
    examples = replace(examples, left_out=tuple(left_out))
    if options.unreadable != SKIP:
        return examples
    errors = find_unreadable(contents.read, examples.rows)
    if not errors:
        return examples
    examples = examples.take([row for row in range(len(ids)) if row not in errors])
    line = (
        f"left out of {options.name}: {len(errors):,} of {len(ids):,} {modality.files} that cannot "
        f"be read: {listing(errors, ids)}"
    )
    return replace(
        examples,
        contents=modality.read_files(files.take(examples.rows), examples.ids, options),
        rows=np.arange(len(examples)),
        left_out=(*left_out, line),
    )


def row_ids(name: str, n: int) -> list[str]:
    """The ids of a source that names none: `name/0`, `name/1`, ..."""
    return [f"{name}/{row}" for row in range(n)]


def with_seconds(examples: Examples, seconds: float) -> Examples:
    """The same clips, each cut or padded to one length, as the view `none` does.

    They are the same examples: ids, keys and fingerprint do not change.

    Raises:
        DataError: they are not audio, or the length has no sample.
    """
    sample_rate = examples.contents.sample_rate
    if sample_rate is None:
        raise DataError(f"{examples.name} is {examples.kind}, which has no seconds to cut at")
    samples = round(sample_rate * seconds)
    if samples < 1:
        raise DataError(f"{seconds} seconds have no sample at {sample_rate} a second")
    return replace(examples, contents=FixedLength(examples.contents, samples))
