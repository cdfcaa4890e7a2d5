"""The base of all parts of a recipe, and the numbers that they share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Part(BaseModel):
    """A mapping of a recipe: no other keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_default=True)
