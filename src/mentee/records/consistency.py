"""Whether the entries of a manifest go together, as they do in one that mentee wrote."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from mentee.records.codecs import STORED, header
from mentee.records.columns import Column

if TYPE_CHECKING:
    from mentee.records.manifest import Group, Manifest


def contradiction(manifest: Manifest) -> str | None:
    """The first thing in a manifest that cannot be so; None: nothing."""
    problems = chain(_described(manifest), _grouped(manifest), _written(manifest))
    return next(problems, None)


def _described(manifest: Manifest) -> Iterator[str]:
    data = manifest.data
    parts = data.get("parts", [])
    expected: list[tuple[str, Any, type | tuple[type, ...]]] = [
        ("teacher.name", manifest.teacher.get("name"), str),
        ("teacher.network", manifest.teacher.get("network", {}), dict),
        ("teacher.requested", manifest.teacher.get("requested", {}), dict),
        ("teacher.stages", manifest.teacher.get("stages", 0), int),
        ("data.fingerprint", data.get("fingerprint"), str),
        ("data.contents", data.get("contents", ""), str),
        ("data.seconds", data.get("seconds", 0), (int, float)),
        ("data.parts", parts, list),
    ]
    for name, value, kind in expected:
        if not isinstance(value, kind):
            yield f"{name} is {value!r}"
    if isinstance(parts, list) and parts:
        rows: list[Any] = [each.get("rows") if isinstance(each, dict) else 0 for each in parts]
        prints = [each.get("fingerprint") if isinstance(each, dict) else None for each in parts]
        if not all(type(n) is int and n > 0 for n in rows) or sum(rows) != manifest.rows:
            yield f"data.parts have {rows} rows of {manifest.rows}"
        if not all(isinstance(text, str) for text in prints):
            yield f"data.parts have the fingerprints {prints}"


def _grouped(manifest: Manifest) -> Iterator[str]:
    names = [each.name for each in manifest.columns]
    if len(set(names)) < len(names):
        yield f"a column is there twice: {', '.join(names)}"
    for number, group in enumerate(manifest.groups):
        yield from chain.from_iterable(_column(each) for each in group.columns)
        yield from _scaled(manifest, number, group)
        if (group.basis is not None) != bool(group.projected):
            yield "principal components and their directions are not both there"


def _column(column: Column) -> Iterator[str]:
    try:
        shapes = list(column.shapes.values())
    except (TypeError, ValueError):
        shapes = [()]
    if not all(shape and all(n > 0 for n in shape) for shape in [column.shape, *shapes]):
        yield f"{column.name} has the shapes {column.shape} and {column.layer_shape}"
    elif not column.reduction and len(shapes) == 1 and shapes[0] != column.shape:
        yield f"{column.name} is stored as it is and has the shapes {shapes[0]}, {column.shape}"
    counts = {
        "whole": not column.count,
        "pca": 0 < column.count < column.size,
        "top": 0 < column.count <= column.size
        and column.base > 1
        and column.base**column.digits >= column.size,
    }
    if not counts[column.form]:
        yield f"{column.name} has {column.count} of {column.size} numbers, {column.form}"


def _scaled(manifest: Manifest, number: int, group: Group) -> Iterator[str]:
    scales, expected = group.scales, manifest.numbers(number)
    if (scales is not None) != (manifest.dtype == "int8"):
        yield f"dtype is {manifest.dtype}, {'without' if scales is None else 'with'} scales"
    elif scales is not None and (
        len(scales) != expected or not all(math.isfinite(x) and x > 0 for x in scales)
    ):
        yield f"the {len(scales)} scales are not {expected} positive numbers"


def _written(manifest: Manifest) -> Iterator[str]:
    """The size of each file follows from its rows, the columns and the type."""
    for part in manifest.parts:
        numbers = manifest.numbers(part.group)
        for i, shard in enumerate(part.shards):
            shape = (shard.rows, numbers)
            head = len(header(shape, manifest.dtype))
            expected = head + math.prod(shape) * STORED[manifest.dtype].itemsize
            if shard.file != f"shard-{i:05d}.npy" or shard.bytes != expected:
                yield (
                    f"{part.folder}/{shard.file} has {shard.bytes:,} bytes, and {shard.rows:,} "
                    f"rows of {numbers:,} numbers as {manifest.dtype} have {expected:,}"
                )
