"""Which sums over the rows of a memory have a kernel, and where torch's path is taken."""

from __future__ import annotations

import importlib.util
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from mentee.losses.negatives import Draw


def row_kernels(anchors: Tensor, bank: Tensor, draw: Draw) -> ModuleType | None:
    """The module `row_kernels`, where it can be used; None: torch's path is.

    It takes float32 anchors on a CUDA device, rows of float32, bfloat16 or float16 that are shared
    by all anchors and not longer than 512, and Triton, which comes with torch there.
    """
    if anchors.device.type != "cuda" or anchors.dtype != torch.float32 or not _has_triton():
        return None
    from mentee.losses import row_kernels as kernels

    rows = draw.rows is None or draw.rows.ndim == 1
    halves = bank.dtype in (torch.float32, torch.bfloat16, torch.float16)
    fits = bank.shape[1] <= kernels.LONGEST_ROW and bank.stride(1) == 1
    return kernels if rows and halves and fits else None


@cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None
