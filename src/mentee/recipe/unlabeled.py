"""Examples without labels beside those with labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from mentee.recipe.parts import STRICT, Count


class Unlabeled(BaseModel):
    """Examples that the transfer reads and the task's loss does not.

    `split` of `source` (None: the data's own); where both are None, what `data.limit` leaves of
    the training split. Never those of validation. `share`: of each batch.
    """

    model_config = STRICT

    source: str | None = None
    split: str | None = None
    limit: Count | None = None
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
