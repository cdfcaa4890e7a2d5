"""Whether a record's rows are those of the examples: what differs, sentence by sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mentee.data import Examples
from mentee.errors import DataError


def check_fits(
    kind: str, data: Mapping[str, Any], ids: Sequence[str], examples: Examples, *, name: str
) -> None:
    """Refuse a record that was made of other examples than these.

    Args:
        kind: what the record is of.
        data: what its manifest says of its examples.
        ids: of its rows.
        examples: a whole split, before anything is cut from it or limited.
        name: what to call the record.

    Raises:
        DataError: says all that differs.

    Memory: O(n).
    """
    problems = differences(kind, data, ids, examples)
    if problems:
        raise DataError(
            f"the record {name} does not fit {examples.name}: {'. '.join(problems)}. Give the "
            "record of this split, or record this one with `mentee record`"
        )


def differences(
    kind: str, data: Mapping[str, Any], ids: Sequence[str], examples: Examples
) -> list[str]:
    """What differs between a record and examples, a sentence each, without full stops.

    Ids decide, the order of the examples does not matter. A record that has grown may have rows of
    examples that it is not for any more; its fingerprint says which it is for.
    """
    if kind != examples.kind:
        return [f"it is of {kind}, the examples are {examples.kind}"]
    held, place = set(ids), {text: row for row, text in enumerate(examples.ids)}
    missing = [text for text in examples.ids if text not in held]
    extra = [text for text in ids if text not in place]
    problems = []
    if missing:
        problems.append(
            f"{len(missing):,} of {len(examples):,} examples have no row: {_few(missing)}"
        )
    else:
        same = examples.take([place[text] for text in ids if text in place])
        if data["fingerprint"] == same.fingerprint(labels=False):
            return []
    if extra:
        problems.append(f"{len(extra):,} of its {len(ids):,} rows are of no example: {_few(extra)}")
    return problems or [
        "the ids are the same and the contents differ: the files were changed after it was "
        "recorded (other labels would not matter)"
    ]


def _few(ids: Sequence[str]) -> str:
    return ", ".join(map(repr, ids[:3])) + (", ..." if len(ids) > 3 else "")
