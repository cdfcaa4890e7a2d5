"""What all parts of a recipe are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]

STRICT = ConfigDict(extra="forbid", strict=True, validate_default=True)
"""No other keys, no silent conversions."""
