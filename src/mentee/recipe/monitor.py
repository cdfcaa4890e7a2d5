"""Labeled examples by which a run without labels is watched."""

from __future__ import annotations

from pydantic import BaseModel

from mentee.recipe.parts import STRICT, Count, Positive


class Monitor(BaseModel):
    """Labeled examples that are looked at while a student trains; no loss reads them.

    At most `limit` of the examples of `split` (None: the training split) of `source` (None: the
    data's own), balanced over the classes. Each is told by the `knn` others nearest in the
    student's embedding; `temperature: null` has a plain majority. `probe` adds the accuracy of a
    linear probe by five-fold cross-validation.
    """

    model_config = STRICT

    source: str | None = None
    split: str | None = None
    label: str | list[str] | None = None
    limit: Count | None = 1000
    knn: Count = 20
    temperature: Positive | None = 0.07
    probe: bool = False
