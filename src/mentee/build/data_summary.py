"""The first lines of a command: how many examples there are, and what was found on reading them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mentee.build.datasets import DatasetSplits
from mentee.data import Examples
from mentee.data.inspection import inspect


def data_summary(splits: DatasetSplits) -> list[str]:
    """How many classes and examples, and what was left out, changed, or holds nothing; a line each.

    All examples are read once, of large sources many: what cannot be read is found before any work.

    Raises:
        DataError: images or clips cannot be read; all of them are named.
    """
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    known = {name: part for name, part in parts.items() if part is not None}
    length = getattr(splits.views, "max_bytes", None)
    return [counts_line(known), *data_notes(known, splits.notes, length)]


def data_notes(
    parts: Mapping[str, Examples], notes: Sequence[str] = (), length: int | None = None
) -> list[str]:
    """What was left out of some examples, changed, or holds nothing; a line each, after `notes`.

    Args:
        parts: the examples.
        notes: lines that are known already.
        length: bytes at which texts are cut.

    Raises:
        DataError: as for `data_summary`.
    """
    lines = [line for part in parts.values() for line in inspect(part, length)]
    return list(dict.fromkeys([*notes, *lines]))


def counts_line(parts: Mapping[str, Examples]) -> str:
    """The classes, and the examples of each part: `6 classes, 1,350 / 150 / 600 examples`."""
    first = next(iter(parts.values()))
    line = f"{_labels(first)}, {counts(parts)}"
    if first.labeled is not None:
        line += f", of those of {next(iter(parts))} {int(first.labeled.sum()):,} with labels"
    return line


def counts(parts: Mapping[str, Examples]) -> str:
    """The examples of each part: `1,350 / 600 examples (train / test)`."""
    numbers = " / ".join(f"{len(part):,}" for part in parts.values())
    return f"{numbers} examples" + (f" ({' / '.join(parts)})" if len(parts) > 1 else "")


def _labels(examples: Examples) -> str:
    if examples.labels is None:
        return "no labels"
    count = len(examples.classes or ())
    what = ("target", "targets") if examples.task.outputs == "values" else ("class", "classes")
    several = " (several an example)" if examples.task.outputs == "label logits" else ""
    return f"{count:,} {what[count != 1]}{several}"
