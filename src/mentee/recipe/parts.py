"""The base of all parts of a recipe, and the numbers that they share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LARGEST = 1e12
"""No number of a recipe is meant to be larger; beyond it training only gives inf and nan."""
MOST_EPOCHS = 10_000_000
MOST_EXAMPLES = 1_000_000
"""Of a batch."""
MOST_WORKERS = 256
LARGEST_IMAGE = 16_384
"""Height and width, in pixels."""
HIGHEST_RATE = 1_000_000
"""Samples a second."""
LONGEST_CLIP = 14_400
"""Seconds: four hours."""
LONGEST_TEXT = 1 << 24
"""Bytes: 16 MiB."""

Positive = Annotated[float, Field(gt=0, le=LARGEST)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Weight = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(ge=1, le=int(LARGEST))]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Epochs = Annotated[int, Field(ge=1, le=MOST_EPOCHS)]
BatchSize = Annotated[int, Field(ge=1, le=MOST_EXAMPLES)]
Pixels = Annotated[int, Field(ge=1, le=LARGEST_IMAGE)]
SampleRate = Annotated[int, Field(ge=1, le=HIGHEST_RATE)]
Seconds = Annotated[float, Field(gt=0, le=LONGEST_CLIP)]
TextBytes = Annotated[int, Field(ge=1, le=LONGEST_TEXT)]


class Part(BaseModel):
    """A mapping of a recipe: no other keys, no silent conversions."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        str_max_length=4096,
    )
