"""What is asked of a student's embedding once it is trained: probes with few and many labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from mentee.recipe.parts import STRICT, Count, Positive, Share

Part = Annotated[float, Field(gt=0, le=1)]
Way = Literal["linear", "knn", "layer", "finetune", "probe-finetune"]
Who = Literal["student", "untrained", "teacher"]


class SteppedLayer(BaseModel):
    """A layer on a network that stays as it is, trained by steps; the schedule is CKTF's.

    Epoch e reads view e mod `views` of each example; 0: none is augmented.
    """

    model_config = STRICT

    epochs: Count = 240
    batch: Count = 64
    lr: Positive = 0.05
    momentum: Share = 0.9
    weight_decay: float = Field(5e-4, ge=0)
    milestones: list[Count] = Field(default=[150, 180, 210])
    factor: Positive = 0.1
    views: int = Field(0, ge=0)


class Tune(BaseModel):
    """How the whole network is trained on labels, as by the keys of `train`.

    With few labels an epoch is a few steps: then as many more epochs as `least` steps take.
    """

    model_config = STRICT

    epochs: Count = 50
    least: int = Field(500, ge=0)
    batch: Count = 32
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 0.01
    weight_decay: float = Field(5e-4, ge=0)
    schedule: Literal["constant", "cosine", "one-cycle"] = "cosine"


class Probe(BaseModel):
    """Labeled examples, and what is to be made of them.

    The splits `train` and `test` (None: the run's) of `source` (None: the run's own), with the
    labels of the column `label`. Of the first, each of `shares` is taken: balanced over the
    classes, one of each at least, a smaller share a part of a larger one; `seeds` times, but once
    where nothing is drawn. `who`: the student, itself before its first step, its teacher.
    """

    model_config = STRICT

    source: str | None = None
    train: str | None = None
    test: str | None = None
    label: str | list[str] | None = None
    shares: list[Part] = Field(default=[0.01, 0.05, 0.1, 1.0], min_length=1)
    seeds: Count = 3
    ways: list[Way] = Field(default=["linear", "knn"], min_length=1)
    who: list[Who] = Field(default=["student", "untrained", "teacher"], min_length=1)
    knn: Count = 20
    temperature: Positive | None = 0.07
    layer: SteppedLayer = SteppedLayer()
    finetune: Tune = Tune()
