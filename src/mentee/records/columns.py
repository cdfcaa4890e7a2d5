"""What is stored of a layer: which numbers, in which form, and in which type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from mentee.errors import DataError, suggest
from mentee.types import FeatureKey

Dtype: TypeAlias = Literal["float16", "float32", "bfloat16", "int8"]

INTEGERS: dict[Dtype, int] = {
    "float32": 1 << 24,
    "float16": 1 << 11,
    "bfloat16": 1 << 8,
    "int8": 128,
}
"""The whole numbers from 0 to below these are stored exactly (of int8 at the scale 1)."""


class Column(BaseModel):
    """What is stored of a layer: the fixed part of the representations that share a reduction.

    Attributes:
        layer: where the network was read; several that are read together are joined.
        reduction: what was computed from it; empty: nothing.
        shape: of what is read again, of one example.
        layer_shape: of the layer's output, of one example; of each of several read together.
        form: `whole`; `pca`: its first principal components; `top`: the largest logits.
        count: how many of them.
        digits: of `top`, how many numbers say which class it is,
        base: and to which base.
    """

    model_config = ConfigDict(frozen=True)

    layer: str
    reduction: str
    shape: tuple[int, ...]
    layer_shape: tuple[int, ...] | tuple[tuple[int, ...], ...]
    form: Literal["whole", "pca", "top"] = "whole"
    count: int = Field(default=0, ge=0)
    digits: int = Field(default=0, ge=0)
    base: int = Field(default=0, ge=0)

    @property
    def name(self) -> str:
        """Its key in `Features`."""
        return str(FeatureKey.parse(self.layer).reduced(self.reduction))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of the output of each of its layers."""
        names = FeatureKey.parse(self.layer).layers
        shapes = self.layer_shape if len(names) > 1 else (self.layer_shape,)
        return dict(zip(names, shapes, strict=True))  # type: ignore[arg-type]

    @property
    def size(self) -> int:
        """How many numbers of one example a method reads, d."""
        return math.prod(self.shape)

    @property
    def stored(self) -> int:
        """How many numbers of one example are stored."""
        if self.form == "top":  # the logits, their classes, and the rest where there is one
            return self.count * (1 + self.digits) + (self.count < self.size)
        return self.count if self.form == "pca" else self.size

    def __str__(self) -> str:
        """The form in words."""
        forms = {"pca": f"{self.count} principal components", "top": f"{self.count} largest logits"}
        return forms.get(self.form, "all numbers")


def with_components(columns: Sequence[Column], pca: int | Mapping[str, int]) -> tuple[Column, ...]:
    """Columns of which only the first `pca` principal components are stored.

    That is of every column but the logits that has more numbers, or by layer or column.

    Raises:
        DataError: there is no such layer, or nothing would be saved.
    """
    counts: dict[str, int] = {}
    if isinstance(pca, int):
        others = [each for each in columns if each.layer != "logits"]
        counts = {each.name: pca for each in others if pca < each.size}
        if pca < 1 or not counts:
            widths = ", ".join(f"{each.name} {each.size}" for each in others)
            raise DataError(
                f"--pca {pca}: nothing has more numbers ({widths or 'only logits are read'}), so "
                "nothing would be saved; choose from 1 to one less than the widest has"
            )
    else:
        for name, count in pca.items():
            matches = [each for each in columns if name in (each.name, each.layer)]
            if not matches:
                known = list(dict.fromkeys(x for c in columns for x in (c.layer, c.name)))
                raise DataError(
                    f"--pca {name}={count}: nothing is read at {name!r}; {suggest(name, known)}"
                )
            for each in matches:
                if not 1 <= count < each.size:
                    raise DataError(
                        f"--pca {name}={count}: {each.name} has {each.size} numbers, expected 1 to "
                        f"{each.size - 1}, or nothing would be saved"
                    )
                counts[each.name] = count
    return tuple(
        each.model_copy(update={"form": "pca", "count": counts[each.name]})
        if each.name in counts
        else each
        for each in columns
    )


def with_largest(columns: Sequence[Column], k: int, dtype: Dtype) -> tuple[Column, ...]:
    """Columns whose logits are stored as the k largest and the log-sum-exp of the rest.

    A class is stored as its digits to a base that `dtype` holds exactly.

    Raises:
        DataError: no logits are read as they are, or there are not so many classes.
    """
    logits = next((each for each in columns if each.name == "logits"), None)
    if logits is None:
        raise DataError(
            f"--top-k {k}: no method reads the logits as they are, only "
            f"{', '.join(each.name for each in columns)}; leave it out, or record a method that "
            "does (--methods kd)"
        )
    if len(logits.shape) != 1 or not 1 <= k <= logits.size:
        raise DataError(f"--top-k {k}: there are {logits.size} logits; expected 1 to {logits.size}")
    digits, base = 1, INTEGERS[dtype]
    while base**digits < logits.size:
        digits += 1
    update = {"form": "top", "count": k, "digits": digits, "base": base}
    top = logits.model_copy(update=update)
    return tuple(top if each is logits else each for each in columns)
