"""Which row is of which example: ids decide; what differs is told, sentence by sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mentee.data import Examples, hash_ids, nfc
from mentee.data.audio import FixedLength
from mentee.errors import DataError, first_few

_SAMPLE, _DIGITS = 256, 8  # examples whose contents are compared, and digits of a digest
ADVICE = "Choose another folder, or replace the record (--overwrite)"


def check_fits(
    kind: str, data: Mapping[str, Any], ids: Sequence[str], examples: Examples, *, name: str
) -> None:
    """Refuse a record, of `kind`, `data` and `ids`, that was made of other examples than these.

    The examples are a whole split, before anything is cut from it or limited.

    Memory: O(n).
    """
    problems = _problems(kind, data, ids, examples)
    if problems:
        raise DataError(
            f"the record {name} does not fit {examples.name}: {'. '.join(problems)}. Give the "
            "record of this split, or record this one with `mentee record`"
        )


def fits(kind: str, data: Mapping[str, Any], ids: Sequence[str], examples: Examples) -> bool:
    """Whether a record was made of these examples; the arguments are those of `check_fits`."""
    return not _problems(kind, data, ids, examples)


def _problems(
    kind: str, data: Mapping[str, Any], ids: Sequence[str], examples: Examples
) -> list[str]:
    """What differs between a record and examples, a sentence each, without full stops.

    The order of the examples does not matter, and a record may have rows of more of them. Where it
    has, the contents of those are compared that it keeps a digest of.
    """
    if kind != examples.kind:
        return [f"it is of {kind}, the examples are {examples.kind}"]
    ids, own = nfc(ids), nfc(examples.ids)
    recorded, position = set(ids), {text: row for row, text in enumerate(own)}
    missing = [text for text in own if text not in recorded]
    extra = [text for text in ids if text not in position]
    problems = []
    if extra and not missing and "contents" in data:
        return _changed(data["contents"], ids, examples, position)
    if missing:
        problems.append(
            f"{len(missing):,} of {len(examples):,} examples have no row: {some_of(missing)}"
        )
    else:
        same = examples.take([position[text] for text in ids if text in position])
        if data["fingerprint"] == same.fingerprint(labels=False):
            return []
    if extra:
        count = f"{len(extra):,} of its {len(ids):,} rows"
        problems.append(f"{count} are of no example: {some_of(extra)}")
    return problems or [
        "the ids are the same and the contents differ: the files were changed after it was "
        "recorded (other labels would not matter)"
    ]


def _changed(
    digests: str, ids: Sequence[str], examples: Examples, position: Mapping[str, int]
) -> list[str]:
    """What differs in the contents of some examples that have a row, in at most one sentence."""
    other, compared = [], 0
    for number, row in enumerate(_compared(hash_ids(ids))):
        if ids[row] in position:
            here = _digest(examples, position[ids[row]])
            compared += 1
            if here != digests[number * _DIGITS : (number + 1) * _DIGITS]:
                other.append(ids[row])
    if not other:
        return []
    return [
        f"the contents of {len(other):,} of {compared:,} examples that were compared were changed "
        f"after it was recorded: {some_of(other)}"
    ]


def _compared(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows whose contents are compared: by their keys, so that any part has its share of them."""
    return np.argsort(keys, kind="stable")[:_SAMPLE]


def _contents(examples: Examples) -> str:
    return "".join(_digest(examples, row) for row in _compared(examples.keys).tolist())


def _digest(examples: Examples, row: int) -> str:
    raw = examples.contents.raw(int(examples.rows[row]))
    return hashlib.blake2b(raw, digest_size=_DIGITS // 2).hexdigest()


@dataclass(frozen=True)
class OrderedExamples:
    """Examples in the order of a record's rows, the new ones behind those that are `recorded`.

    `data` is what a manifest has of them.
    """

    examples: Examples
    recorded: int
    data: dict[str, Any]

    @property
    def new(self) -> int:
        """How many have no row yet."""
        return len(self.examples) - self.recorded


def order_examples(
    ids: Sequence[str], data: Mapping[str, Any], examples: Examples, whole: Examples
) -> OrderedExamples:
    """Put examples in the order of a record, and those that it has not behind.

    Each time the record has grown, the new rows are a part with a fingerprint of its own; by these
    the contents of the examples that have a row are compared before it grows again. Of `whole` are
    all that may have a row: since examples came, some of the rows may be of others, such as those
    that were cut off for validation.

    Raises:
        DataError: a row is of no example any more, or examples that have a row were changed.

    Memory: O(n).
    """
    ids, own = nfc(ids), nfc(examples.ids)
    position = {text: row for row, text in enumerate(nfc(whole.ids))}
    lost = [text for text in ids if text not in position]
    if lost:
        raise DataError(
            f"the record there cannot be extended: {len(lost):,} of its {len(ids):,} rows are of "
            f"no example of {whole.name} any more ({some_of(lost)}). {ADVICE}"
        )
    recorded, wanted = set(ids), set(own)
    new = [text for text in own if text not in recorded]
    ordered = whole.take([position[text] for text in (*ids, *new)])
    used = [row for row, text in enumerate(nfc(ordered.ids)) if text in wanted]
    about = describe_data(ordered if len(used) == len(ordered) else ordered.take(used))
    about |= {"contents": _contents(ordered)}
    parts = data.get("parts", [])
    if new:
        parts = parts or [{"rows": len(ids), "fingerprint": data["fingerprint"]}]
        _refuse_changed(ordered, parts)
        tail = ordered.take(np.arange(len(ids), len(ordered)))
        parts = [*parts, {"rows": len(new), "fingerprint": tail.fingerprint(labels=False)}]
    return OrderedExamples(ordered, len(ids), about | ({"parts": parts} if parts else {}))


def _refuse_changed(ordered: Examples, parts: Sequence[Mapping[str, Any]]) -> None:
    start = 0
    for each in parts:
        stop = start + int(each["rows"])
        part = ordered.take(np.arange(start, stop))
        if part.fingerprint(labels=False) != each["fingerprint"]:
            raise DataError(
                f"the record there cannot be extended: its rows {start:,} to {stop - 1:,} are of "
                f"examples of {ordered.name} whose contents were changed since. {ADVICE}"
            )
        start = stop


def describe_data(examples: Examples) -> dict[str, Any]:
    """What a manifest has of the examples: labels play no part.

    Clips that were cut or padded to one length have the same fingerprint as the whole ones, so
    their `seconds` are given too.
    """
    about: dict[str, Any] = {
        "name": examples.name,
        "fingerprint": examples.fingerprint(labels=False),
        "rows": len(examples),
        "contents": _contents(examples),
    }
    contents = examples.contents
    if isinstance(contents, FixedLength) and contents.sample_rate is not None:
        about["seconds"] = contents.samples / contents.sample_rate
    return about


def differences(pairs: Mapping[str, tuple[Any, Any]]) -> str:
    """What differs between what is there and what is to be, in words; empty: nothing."""
    return "; ".join(
        f"{what}: {there} there, {here} here"
        for what, (there, here) in pairs.items()
        if there != here
    )


def some_of(ids: Sequence[str]) -> str:
    """The first three ids, for a message."""
    return first_few([*map(repr, ids)], 3)
