"""What is known of examples once they were read: which are damaged, changed, or hold nothing."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

from mentee.data.examples import Examples
from mentee.data.payload import Rows

_BLANK = {"image": "images are of one color", "text": "texts are empty"}


def inspect(examples: Examples, max_bytes: int | None = None) -> list[str]:
    """Read examples once, and tell in lines what was left out, was changed, or holds nothing.

    What fits into memory is decoded for good; of the rest at most `INSPECTED` are read.

    Args:
        examples: of a source, or of a part of it.
        max_bytes: after which networks do not read on in a text; None: they read all.

    Raises:
        DataError: images or clips cannot be read; all of them are named.
    """
    with warnings.catch_warnings(record=True) as caught:  # of clips that were changed
        warnings.simplefilter("always")
        examples.load()
    blank: list[int] = []
    long: list[int] = []

    def look(rows: Rows) -> None:
        contents = examples.contents.read(rows)
        for row, one in zip(rows.tolist(), contents, strict=True):
            if is_blank(one):
                blank.append(row)
            if max_bytes and isinstance(one, str) and len(one.encode()) > max_bytes:
                long.append(row)

    part = examples.refuse_unreadable(look)
    ids = dict(zip(part.rows.tolist(), part.ids, strict=True))
    lines = [*examples.left_out, *examples.notes]
    lines += dict.fromkeys(f"{warning.message}" for warning in caught)
    lines += [f"{examples.name}: {line}" for line in _changes(examples)]
    if blank and examples.kind in _BLANK:
        share = f"{len(blank):,} of {len(part):,} {_BLANK[examples.kind]}"
        lines.append(f"{examples.name}: {share}, such as {ids[min(blank)]!r}")
    if long:
        share = f"{len(long):,} of {len(part):,} texts are longer than {max_bytes} bytes"
        lines.append(
            f"{examples.name}: {share}, data.max_bytes, and are cut, such as {ids[min(long)]!r}"
        )
    return lines


def _changes(examples: Examples) -> list[str]:
    """A line for each way in which images were changed when they were decoded."""
    by_row: dict[int, tuple[str, ...]] = getattr(examples.contents, "changes", {})
    counts = Counter(change for row in examples.rows.tolist() for change in by_row.get(row, ()))
    return [f"{count:,} images {how}" for how, count in counts.most_common()]


def is_blank(one: Any) -> bool:
    """Whether all pixels of an image are equal, or a text is empty."""
    if isinstance(one, str):
        return not one.strip()
    if getattr(one, "ndim", 0) != 3 or one[..., 0].size <= 1:
        return False
    # Few pixels first: most photographs need no more, and all of them take a quarter of decoding.
    return all(bool((part == one[0, 0]).all()) for part in (one[::16, ::16], one))
