"""What is kept of a place: which numbers, and in which form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mentee.errors import DataError, suggest
from mentee.records.manifest import Dtype
from mentee.records.numeric import COUNTS
from mentee.types import FeatureKey


class Column(BaseModel):
    """What is kept of a place: the fixed part of the representations that share a reduction.

    Attributes:
        place: where the network was read.
        reduction: what was made of it; empty: nothing.
        shape: of what is read again, of one example.
        read: of what was read at the place, of one example; of each of several together.
        kept: `whole`; `pca`: its first principal components; `top`: the largest logits.
        count: how many of them.
        digits: of `top`, how many numbers say which class it is,
        base: and to which base.
    """

    model_config = ConfigDict(frozen=True)

    place: str
    reduction: str
    shape: tuple[int, ...]
    read: tuple[int, ...] | tuple[tuple[int, ...], ...]
    kept: Literal["whole", "pca", "top"] = "whole"
    count: int = Field(default=0, ge=0)
    digits: int = Field(default=0, ge=0)
    base: int = Field(default=0, ge=0)

    @property
    def name(self) -> str:
        """What it is called in `Features`."""
        return str(FeatureKey.parse(self.place).reduced(self.reduction))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What was read at each of its places."""
        names = FeatureKey.parse(self.place).layers
        read = self.read if len(names) > 1 else (self.read,)
        return dict(zip(names, read, strict=True))  # type: ignore[arg-type]

    @property
    def size(self) -> int:
        """How many numbers of one example a method reads, d."""
        return math.prod(self.shape)

    @property
    def stored(self) -> int:
        """How many numbers of one example are stored."""
        if self.kept == "top":  # the logits, their classes, and the rest where there is one
            return self.count * (1 + self.digits) + (self.count < self.size)
        return self.count if self.kept == "pca" else self.size

    @property
    def form(self) -> str:
        """How it is kept, in words."""
        named = {"pca": f"{self.count} principal components", "top": f"{self.count} largest logits"}
        return named.get(self.kept, "all numbers")

    def said(self) -> dict[str, Any]:
        """As a manifest says it."""
        return self.model_dump(mode="json", exclude_defaults=True)


def in_components(columns: Sequence[Column], pca: int | Mapping[str, int]) -> tuple[Column, ...]:
    """Columns of which only the first principal components are kept.

    Args:
        columns: all that are recorded.
        pca: how many: of every column but the logits that has more numbers, or by place or column.

    Raises:
        DataError: there is no such place, or nothing would be saved.
    """
    if isinstance(pca, int):
        taken = {c.name: pca for c in columns if c.place != "logits" and pca < c.size}
        if pca < 1 or not taken:
            widths = ", ".join(f"{c.name} {c.size}" for c in columns if c.place != "logits")
            raise DataError(
                f"--pca {pca}: nothing has more numbers ({widths or 'only logits are read'}), so "
                "nothing would be saved; choose from 1 to one less than the widest has"
            )
    else:
        taken = {}
        for name, count in pca.items():
            here = [c for c in columns if name in (c.name, c.place)]
            if not here:
                known = list(dict.fromkeys(x for c in columns for x in (c.place, c.name)))
                raise DataError(
                    f"--pca {name}={count}: nothing is read at {name!r}; {suggest(name, known)}"
                )
            for each in here:
                if not 1 <= count < each.size:
                    raise DataError(
                        f"--pca {name}={count}: {each.name} has {each.size} numbers, expected 1 to "
                        f"{each.size - 1}, or nothing would be saved"
                    )
                taken[each.name] = count
    return tuple(
        each.model_copy(update={"kept": "pca", "count": taken[each.name]})
        if each.name in taken
        else each
        for each in columns
    )


def with_largest(columns: Sequence[Column], k: int, dtype: Dtype) -> tuple[Column, ...]:
    """Columns whose logits are kept as the k largest and the log-sum-exp of the rest.

    A class is told by numbers that `dtype` holds exactly: its digits to the base `COUNTS[dtype]`.

    Raises:
        DataError: no logits are read as they are, or there are not so many classes.
    """
    found = next((c for c in columns if c.place == "logits" and not c.reduction), None)
    if found is None:
        raise DataError(
            f"--top-k {k}: no method reads the logits as they are, only "
            f"{', '.join(c.name for c in columns)}; leave it out, or record a method that does "
            "(--methods kd)"
        )
    if len(found.shape) != 1 or not 1 <= k <= found.size:
        raise DataError(f"--top-k {k}: there are {found.size} logits; expected 1 to {found.size}")
    digits, base = 1, COUNTS[dtype]
    while base**digits < found.size:
        digits += 1
    update = {"kept": "top", "count": k, "digits": digits, "base": base}
    top = found.model_copy(update=update)
    return tuple(top if each is found else each for each in columns)
