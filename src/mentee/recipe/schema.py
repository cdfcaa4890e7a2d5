"""A whole recipe, with its parts `data`, `train`, `monitor`, `select` and `save`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from mentee.recipe.method import AMethod, MethodRecipe, named
from mentee.recipe.networks import Network, by_name, by_network
from mentee.recipe.parts import (
    LARGEST_IMAGE,
    MOST_EPOCHS,
    MOST_WORKERS,
    BatchSize,
    Count,
    Epochs,
    NotNegative,
    Part,
    Pixels,
    Positive,
    SampleRate,
    Seconds,
    Seed,
    Share,
    TextBytes,
)
from mentee.recipe.probe import Probe
from mentee.recipe.teachers import ATeacher, OnlineRecipe
from mentee.tasks import Task, find_task

Labels = Annotated[list[str], Field(min_length=1)]
"""Several columns of labels."""


class Domain(Part):
    """A named test set of another domain: another split or source, or the test part corrupted.

    `corruption: all` stands for every kind, at every severity where none is named. `record` is
    a record of a teacher's embeddings of it; None: the teacher's own record.
    """

    source: str | None = None
    split: str | None = None
    corruption: str | None = None
    severity: Annotated[int, Field(ge=1, le=5)] | None = None
    limit: Count | None = None
    record: str | dict[str, str] | None = None

    @field_validator("severity")
    @classmethod
    def _of_a_corruption(cls, value: int | None, info: Any) -> int | None:
        if value is not None and info.data.get("corruption") is None:
            raise PydanticCustomError(
                "no_corruption", "should be null without a corruption (all: every kind)"
            )
        return value

    @property
    def record_folders(self) -> dict[str, str]:
        """The folders of `record` by name; a single one has the empty name."""
        return by_name(self.record) if self.record else {}


class Unlabeled(Part):
    """Unlabeled examples, which the distillation terms read and the task's loss does not.

    `split` of `source` (None: the data's own); where both are None, what `data.limit` leaves of
    the training split. Never those of validation. `share`: of each batch.
    """

    source: str | None = None
    split: str | None = None
    limit: Count | None = None
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5


class TaskRecipe(Part):
    """What the labels are for, by name, with the parameters that are not the defaults."""

    name: str
    params: dict[str, Any] = {}

    def task(self, own: Task | None = None) -> Task:
        """The task; `own`, passed from Python, stands for one of its name."""
        task = own if own is not None and own.name == self.name else find_task(self.name)
        return task.configured(self.params)


class Data(Part):
    """The examples. `validation` is a split's name, or the share to cut off the training part.

    `label: false`: no label of any part is read; the task's loss is off, and no validation part is
    cut off.

    `task`: what the labels are for: `single`, `multi`, `regression`; None: by the labels.

    `interpolation`: by which images are resized to `size`, antialiased; None: as a network whose
    `input` is left open was trained, teachers first, else bilinear.

    Epoch e trains on view e, or e mod `cycle`; views follow `view_seed`, or train.seed.
    """

    source: str
    kind: str | None = None
    train: str = "train"
    validation: str | Annotated[float, Field(ge=1e-6, lt=1)] | None = 0.1
    test: str | None = "test"
    out_of_domain: dict[str, Domain] = {}
    limit: Count | None = None
    unlabeled: Unlabeled | None = None
    image: str | None = None
    audio: str | None = None
    text: str | None = None
    label: str | Labels | Literal[False] | None = None
    id: str | None = None
    classes: list[str] | None = None
    task: Annotated[TaskRecipe | None, BeforeValidator(named)] = None
    channels: Literal[1, 3] | None = None
    bits: int | None = Field(None, ge=8, le=16)
    background: Literal["white", "black"] = "white"
    unreadable: Literal["error", "skip"] = "error"
    outside: bool = False
    views: str | None = None
    pad: int = Field(4, ge=0, le=LARGEST_IMAGE)
    size: Pixels | None = None
    interpolation: Literal["bilinear", "bicubic"] | None = None
    sample_rate: SampleRate = 16000
    seconds: Seconds | None = None
    max_bytes: TextBytes = 256
    seed: Seed = 0
    view_seed: Seed | None = None
    cycle: Count | None = None

    @field_validator("out_of_domain")
    @classmethod
    def _of_something(cls, value: dict[str, Domain]) -> dict[str, Domain]:
        if any(not (each.source or each.split or each.corruption) for each in value.values()):
            raise PydanticCustomError("nothing", "should each name a source, split or corruption")
        return value


class Train(Part):
    """How the student is trained. `batch` counts over all processes and accumulated parts.

    `optimizer`: None: AdamW for texts, else SGD. `lr`: None: 0.003 for texts by AdamW, else 0.05.

    `precision`: None: bfloat16 on a GPU that has it, else float32. Named `float32`, it is exact on
    a GPU too, without TF32.

    `classifier_only`: all other weights, and the statistics of batch norm, stay as they are.

    `auto` of `channels_last` and `compile` is settled by a measurement before the first step.

    `shard`: the student's parameters, gradients and optimizer state are split over the processes.

    `class_weights`: of the task's loss, by name of the class, 1 of all others; `balanced`: the
    rarer a class, the more. `sampling: balanced`: every class is equally frequent in an epoch, and
    examples of rare ones are read several times.
    """

    epochs: Epochs = 30
    batch: BatchSize = 64
    gradient_accumulation: Count = 1
    optimizer: Literal["sgd", "adamw"] | None = None
    lr: Positive | None = None
    momentum: Share = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 5e-4
    weight_decay_all: bool = True
    schedule: Literal["constant", "cosine", "one-cycle", "steps"] = "one-cycle"
    milestones: list[Count] = []
    factor: Positive = 0.1
    warmup: int = Field(0, ge=0, le=MOST_EPOCHS)
    max_grad_norm: Positive | None = None
    ema: Share | None = None
    label_smoothing: Share = 0.0
    classifier_only: bool = False
    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(ge=0)]] | None = None
    sampling: Literal["balanced"] | None = None
    mixup: Positive | None = None
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    channels_last: bool | Literal["auto"] = True
    compile: bool | Literal["auto"] = False
    shard: bool = False
    num_workers: int = Field(0, ge=0, le=MOST_WORKERS)
    seed: Seed = 0

    @model_validator(mode="after")
    def _has_milestones(self) -> Train:
        if self.schedule == "steps" and not self.milestones:
            raise PydanticCustomError("steps", "should name milestones for the schedule steps")
        return self


class Monitor(Part):
    """Labeled examples on which the embedding is measured while a student trains; in no loss.

    At most `limit` of the examples of `split` (None: the training split) of `source` (None: the
    data's own), balanced over the classes. Each is classified by the `knn` others nearest in the
    student's embedding; `temperature: null` takes a plain majority. `probe` adds the accuracy of
    a linear probe by five-fold cross-validation.
    """

    source: str | None = None
    split: str | None = None
    label: str | Labels | None = None
    limit: Count | None = 1000
    knn: Count = 20
    temperature: Positive | None = 0.07
    probe: bool = False


class Select(Part):
    """Which weights are kept, the best on validation or the last, and when to stop early.

    `by`: a score of the task, such as `accuracy`, `balanced_accuracy`, `map`, `r2` or `mae`, of
    errors the least; or of one class, `recall/NAME`; None: its main one. `knn`: the best by the
    nearest neighbors of the monitor examples. `patience`: so many evaluations that were no better;
    by `knn`, not better by more than the noise of the difference. None counts while the rate still
    rises. `cooldown`: the part of the steps done over which the rate then falls to zero before the
    run stops; 0: it stops at once.

    Of several classes an example, a probability above `threshold` is a positive in `f1`.
    """

    keep: Literal["best", "last"] = "best"
    by: str | None = None
    every: Count = 1
    patience: Count | None = None
    cooldown: Share = 0.0
    threshold: float = Field(0.5, gt=0, lt=1)


class Save(Part):
    """When a checkpoint is written: after so many steps or minutes, whichever comes first."""

    steps: Count | None = None
    minutes: Positive | None = 5.0


class Recipe(Part):
    """A whole run. `trackers`: where its numbers go beside `metrics.jsonl`: `[wandb]`, or more."""

    data: Data
    student: Annotated[Network, BeforeValidator(by_network)]
    teacher: ATeacher | None = None
    method: AMethod = MethodRecipe()
    train: Train = Train()
    monitor: Monitor | None = None
    probe: Probe | None = None
    select: Select = Select()
    save: Save = Save()
    trackers: list[str] = []

    @property
    def online_teacher(self) -> OnlineRecipe | None:
        """The teacher if it is a network or an ensemble, run while the student trains; or None."""
        return None if self.teacher is None else self.teacher.online
