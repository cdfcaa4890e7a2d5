"""How a GPU computes where a recipe leaves it open; on a CPU nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mentee.distillation.reading import EVERY
from mentee.recipe import Train
from mentee.teachers import RecordedTeacher
from mentee.teachers.recorded import IN_MEMORY


def resolve_precision(train: Train) -> Train:
    """The same with a precision: that of the recipe, else bfloat16 on a GPU that has it."""
    halves = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    default = "bfloat16" if halves else "float32"
    return train.model_copy(update={"precision": train.precision or default})


def set_gpu_defaults(given: Train, train: Train, device: torch.device) -> list[str]:
    """Switch on what makes a GPU faster, unless the recipe asks for float32.

    Args:
        given: as the recipe has it.
        train: with its precision.
        device: of the run.

    Returns:
        The lines for `environment.json`; none where the device is no GPU.
    """
    if device.type != "cuda":
        return []
    exact, cudnn = given.precision == "float32", torch.backends.cudnn
    torch.set_float32_matmul_precision("highest" if exact else "high")
    cudnn.allow_tf32 = not exact
    cudnn.benchmark = not cudnn.deterministic
    chosen = "train.precision" if given.precision else "the default of this GPU"
    return [
        f"precision: {train.precision} ({chosen}); TF32 for what stays float32: "
        f"{'no, train.precision is float32' if exact else 'yes'}",
        f"cuDNN: the fastest convolution of each size is measured: {yes(cudnn.benchmark)}",
        "optimizer: fused, one kernel for all parameters",
        f"losses: read from the GPU every {EVERY} steps",
    ]


def record_notes(teachers: Sequence[RecordedTeacher], device: torch.device) -> list[str]:
    """Where the features of recorded teachers are read from, a line each; none without a GPU."""
    if device.type != "cuda":
        return []
    return [
        f"record {each.record.folder.name}: {each.table_bytes / 1e6:,.0f} MB on the GPU"
        if each.table_bytes
        else f"record {each.record.folder.name}: read from disk for each batch, and copied from "
        f"pinned memory (views, or more than {IN_MEMORY / 1e6:,.0f} MB)"
        for each in teachers
    ]


def yes(value: bool) -> str:
    """In a word."""
    return "yes" if value else "no"
