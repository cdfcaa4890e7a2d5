"""Whether a record's rows are those of the examples: what differs, sentence by sentence."""

from __future__ import annotations

from collections.abc import Sequence

from mentee.data import Examples
from mentee.errors import DataError
from mentee.teachers.record.manifest import Manifest


def check_fits(manifest: Manifest, ids: Sequence[str], examples: Examples, *, name: str) -> None:
    """Refuse a record that was made of other examples than these.

    Args:
        manifest: of the record.
        ids: of its rows.
        examples: a whole split, before anything is cut from it or limited.
        name: what to call the record.

    Raises:
        DataError: says all that differs.

    Memory: O(n).
    """
    problems = differences(manifest, ids, examples)
    if problems:
        raise DataError(
            f"the record {name} does not fit {examples.name}: {'. '.join(problems)}. Give the "
            "record of this split, or record this one with `mentee record`"
        )


def differences(manifest: Manifest, ids: Sequence[str], examples: Examples) -> list[str]:
    """What differs between a record and examples, a sentence each, without full stops."""
    if manifest.kind != examples.kind:
        return [f"it is of {manifest.kind}, the examples are {examples.kind}"]
    held, wanted = set(ids), set(examples.ids)
    missing = [text for text in examples.ids if text not in held]
    extra = [text for text in ids if text not in wanted]
    problems = []
    if missing:
        problems.append(
            f"{len(missing):,} of {len(examples):,} examples have no row: {_few(missing)}"
        )
    if extra:
        problems.append(f"{len(extra):,} of its {len(ids):,} rows are of no example: {_few(extra)}")
    if problems:
        return problems
    if tuple(ids) != examples.ids:
        pairs = zip(ids, examples.ids, strict=True)
        row = next(i for i, (mine, theirs) in enumerate(pairs) if mine != theirs)
        return [
            f"its ids are in another order: row {row} is {ids[row]!r}, the example there "
            f"{examples.ids[row]!r}"
        ]
    if manifest.data["fingerprint"] != examples.fingerprint(labels=False):
        return [
            "the ids are the same and the contents differ: the files were changed after it was "
            "recorded (other labels would not matter)"
        ]
    return []


def _few(ids: Sequence[str]) -> str:
    return ", ".join(map(repr, ids[:3])) + (", ..." if len(ids) > 3 else "")
