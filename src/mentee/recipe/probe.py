"""The `probe` of a recipe: how a trained embedding is measured with few and many labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mentee.recipe.parts import (
    MOST_EPOCHS,
    BatchSize,
    Count,
    Epochs,
    NotNegative,
    Part,
    Positive,
    Share,
)

Fraction = Annotated[float, Field(ge=1e-6, le=1)]
Way = Literal["linear", "knn", "layer", "finetune", "probe-finetune"]
ProbedNetwork = Literal["student", "untrained", "teacher"]


class SteppedLayer(Part):
    """A linear layer on a frozen network, trained by SGD; the schedule is CKTF's.

    Epoch e reads view e mod `views` of each example; 0: none is augmented.
    """

    epochs: Epochs = 240
    batch: BatchSize = 64
    lr: Positive = 0.05
    momentum: Share = 0.9
    weight_decay: NotNegative = 5e-4
    milestones: list[Count] = Field(default=[150, 180, 210])
    factor: Positive = 0.1
    views: int = Field(0, ge=0, le=MOST_EPOCHS)


class Tune(Part):
    """Fine-tuning of the whole network on labels, with keys of `train`.

    `optimizer`: None: AdamW for texts, else SGD. `lr`: None: 0.003 for texts by AdamW, else 0.01.

    With few labels an epoch is a few steps: then as many more epochs as `least` steps take.
    """

    epochs: Epochs = 50
    least: int = Field(500, ge=0, le=MOST_EPOCHS)
    batch: BatchSize = 32
    optimizer: Literal["sgd", "adamw"] | None = None
    lr: Positive | None = None
    weight_decay: NotNegative = 5e-4
    schedule: Literal["constant", "cosine", "one-cycle"] = "cosine"


class Probe(Part):
    """Labeled examples, and the probes that are fitted on them.

    The splits `train` and `test` (None: the run's) of `source` (None: the run's own), with the
    labels of the column `label`. Of the first, each of `shares` is taken: balanced over the
    classes, one of each at least, a smaller share a part of a larger one; `seeds` times, but once
    where nothing is drawn. `who`: the student, itself before its first step, its teacher.
    """

    source: str | None = None
    train: str | None = None
    test: str | None = None
    label: str | Annotated[list[str], Field(min_length=1)] | None = None
    shares: list[Fraction] = Field(default=[0.01, 0.05, 0.1, 1.0], min_length=1)
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    ways: list[Way] = Field(default=["linear", "knn"], min_length=1)
    who: list[ProbedNetwork] = Field(default=["student", "untrained", "teacher"], min_length=1)
    knn: Count = 20
    temperature: Positive | None = 0.07
    layer: SteppedLayer = SteppedLayer()
    finetune: Tune = Tune()
