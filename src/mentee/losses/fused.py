"""Which sums over the rows of a memory have a kernel, and where torch's path is taken."""

from __future__ import annotations

import importlib.util
import warnings
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from mentee.losses.negatives import Draw

SM = (8, 0)
"""The oldest GPU that Triton supports; the tiles do not fit into the memory of older ones."""


def row_kernels(anchors: Tensor, bank: Tensor, draw: Draw) -> ModuleType | None:
    """The module `row_kernels`, where it can be used; None: torch's path is.

    It takes float32 anchors on a CUDA device, rows of float32, bfloat16 or float16 that are shared
    by all anchors and not longer than 512, and Triton, which comes with torch there. Not float16
    where products of float32 are exact: compiled, that keeps 6 KB of a thread outside registers.
    """
    if anchors.device.type != "cuda" or anchors.dtype != torch.float32 or not runs_on(bank.device):
        return None
    from mentee.losses import row_kernels as kernels

    rows = draw.rows is None or draw.rows.ndim == 1
    exact = torch.get_float32_matmul_precision() == "highest"
    dtypes = (torch.float32, torch.bfloat16, *(() if exact else (torch.float16,)))
    fits = bank.shape[1] <= kernels.LONGEST_ROW and bank.stride(1) == 1
    return kernels if rows and bank.dtype in dtypes and fits else None


@cache
def runs_on(device: torch.device) -> bool:
    """Whether a first small sum is compiled and started there; tried once a process.

    Triton needs a C compiler and Python's headers when it runs, which many images have not: torch's
    path is then taken, and a warning says why.
    """
    if torch.version.cuda is None or importlib.util.find_spec("triton") is None:
        return False
    if torch.cuda.get_device_capability(device) < SM:
        return False
    try:
        from mentee.losses import row_kernels as kernels

        one = torch.ones(1, 1, device=device)
        kernels.ratio_sums(one, one, Draw(None, one[0], None, None, 1, 1.0), 0.0)
    except Exception as error:  # whatever a compiler, a linker or a driver may raise
        reason = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"the contrast's Triton kernel does not start on {device} ({reason[:300]}): torch's "
            "path is taken, with the same losses; a C compiler and Python's headers are needed",
            stacklevel=2,
        )
        return False
    return True
