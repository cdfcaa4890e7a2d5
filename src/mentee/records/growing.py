"""Examples that have grown, in the order of a record's rows: ids decide which are there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mentee.data import Examples
from mentee.data.audio import FixedLength
from mentee.errors import DataError

ANEW = "Choose another folder, or say that it is to be overwritten (--overwrite)"


@dataclass(frozen=True)
class Ordered:
    """Examples as a record has them, or is going to.

    Attributes:
        examples: those that have a row in the order of the rows, then the new ones.
        held: how many have a row.
        data: what a manifest says of them.
    """

    examples: Examples
    held: int
    data: dict[str, Any]

    @property
    def new(self) -> int:
        """How many have no row yet."""
        return len(self.examples) - self.held


def ordered(
    ids: Sequence[str], data: Mapping[str, Any], examples: Examples, whole: Examples
) -> Ordered:
    """Put examples in the order of a record, and what it has not behind.

    Each time the record has grown, the new rows are a part with a fingerprint of its own; by these
    the contents of the examples that have a row are compared before it grows again.

    Args:
        ids: of the record's rows.
        data: what its manifest says of its examples.
        examples: those it is to have a row of.
        whole: all that may have one: since examples came, some of the rows may be of others, such
            as those that were cut off for validation.

    Raises:
        DataError: a row is of no example any more, or examples that have a row were changed.

    Memory: O(n).
    """
    place = {text: row for row, text in enumerate(whole.ids)}
    lost = [text for text in ids if text not in place]
    if lost:
        raise DataError(
            f"the record there cannot be extended: {len(lost):,} of its {len(ids):,} rows are of "
            f"no example of {whole.name} any more ({', '.join(map(repr, lost[:3]))}). {ANEW}"
        )
    held, wanted = set(ids), set(examples.ids)
    new = [text for text in examples.ids if text not in held]
    found = whole.take([place[text] for text in (*ids, *new)])
    taught = [row for row, text in enumerate(found.ids) if text in wanted]
    about: dict[str, Any] = about_data(found if len(taught) == len(found) else found.take(taught))
    parts = data.get("parts", [])
    if new:
        parts = parts or [{"rows": len(ids), "fingerprint": data["fingerprint"]}]
        _refuse_changed(found, parts)
        tail = found.take(np.arange(len(ids), len(found)))
        parts = [*parts, {"rows": len(new), "fingerprint": tail.fingerprint(labels=False)}]
    return Ordered(found, len(ids), about | ({"parts": parts} if parts else {}))


def _refuse_changed(found: Examples, parts: Sequence[Mapping[str, Any]]) -> None:
    start = 0
    for each in parts:
        stop = start + int(each["rows"])
        if found.take(np.arange(start, stop)).fingerprint(labels=False) != each["fingerprint"]:
            raise DataError(
                f"the record there cannot be extended: its rows {start:,} to {stop - 1:,} are of "
                f"examples of {found.name} whose contents were changed since. {ANEW}"
            )
        start = stop


def about_data(examples: Examples) -> dict[str, str | int | float]:
    """What a manifest says of the examples: labels play no part.

    Clips that were cut or padded to one length have the same fingerprint as the whole ones, so
    their `seconds` are said beside it.
    """
    said: dict[str, str | int | float] = {
        "name": examples.name,
        "fingerprint": examples.fingerprint(labels=False),
        "rows": len(examples),
    }
    contents = examples.contents
    if isinstance(contents, FixedLength) and contents.sample_rate is not None:
        said["seconds"] = contents.samples / contents.sample_rate
    return said


def refuse_other(pairs: Mapping[str, tuple[Any, Any]]) -> None:
    """Refuse to extend a record of something else.

    Args:
        pairs: by what it is: (what is there, what is to be).

    Raises:
        DataError: some of them differ.
    """
    other = differing(pairs)
    if other:
        raise DataError(
            f"the record there cannot be extended, it is of something else: {other}. {ANEW}"
        )


def differing(pairs: Mapping[str, tuple[Any, Any]]) -> str:
    """What differs between what is there and what is to be, in words; empty: nothing."""
    return "; ".join(
        f"{what}: {was} there, {now} here" for what, (was, now) in pairs.items() if was != now
    )
