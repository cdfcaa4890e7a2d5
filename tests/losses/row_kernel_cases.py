"""The kernel in Triton's interpreter, on the CPU, beside torch's path and float64; prints errors.

TRITON_INTERPRET=1 python -m tests.losses.row_kernel_cases
"""

from __future__ import annotations

import json
from itertools import product
from types import ModuleType

import torch
from torch import Tensor

from mentee.losses import info_nce, row_contrast, row_kernels, shared_negatives, sigmoid_contrast
from mentee.losses.contrast import contrast
from mentee.losses.negatives import Draw, Negatives

SIZES = [(1, 33, 5), (3, 300, 64), (65, 70, 16), (20, 600, 128)]
DTYPES = {(20, "all"): torch.float16, (65, "all"): torch.bfloat16}


def negatives(
    b: int, m: int, d: int, rows: str, dtype: torch.dtype, device: str = "cpu"
) -> Negatives:
    """Unit rows; `rows`: `all`, `drawn` from twice as many, or `grouped`, where one has none."""
    make = torch.Generator().manual_seed(b + m + d)
    count = 2 * m if rows == "drawn" else m
    banks = [torch.randn(count, d, generator=make) for _ in range(2)]
    banks = [(each / each.norm(dim=1, keepdim=True)).to(device, dtype) for each in banks]
    numbers = torch.randperm(count, generator=make)[:m].to(device) if rows == "drawn" else None
    groups = torch.randint(0, 4, (m, 2), generator=make)[:, 0] if rows == "grouped" else None
    anchors = torch.randint(0, 4, (b,), generator=make)
    if groups is not None and b == 1:
        groups, anchors = torch.zeros_like(groups), torch.zeros_like(anchors)
    hand = torch.full((b,), float(m))
    if groups is not None:
        hand = (groups[None] != anchors[:, None]).sum(1).float()
        groups, anchors = groups.to(device), anchors.to(device)
    draw = Draw(numbers, hand.to(device), groups, None if groups is None else anchors, m, m / count)
    positives = [torch.randn(b, d, generator=make) for _ in range(2)]
    first, second = ((each / each.norm(dim=1, keepdim=True)).to(device) for each in positives)
    return Negatives((first, second), (banks[0], banks[1]), draw)


def values(name: str, known: Negatives, student: Tensor, teacher: Tensor) -> list[Tensor]:
    """The loss of each example, and the gradients of both sides."""
    sides = [each.detach().requires_grad_() for each in (student, teacher)]
    if name == "contrast":
        z = torch.tensor([1.0, 1.5])
        loss = contrast(*sides, negatives=known, log_z=z, temperature=0.1)
    elif name == "sigmoid_contrast":
        loss = sigmoid_contrast(*sides, negatives=known, bias=-3.0)
    else:
        loss = info_nce(*sides, negatives=known, decoupled=name == "decoupled")
    weights = torch.arange(1.0, len(loss) + 1, device=loss.device, dtype=loss.dtype)
    gradients = torch.autograd.grad((weights * loss).sum(), sides)
    return [loss.detach(), *gradients]


def use(kernels: ModuleType | None) -> None:
    """Take the kernel everywhere, or nowhere."""
    for module in (row_contrast, shared_negatives):
        module.row_kernels = lambda *_: kernels  # type: ignore[attr-defined]


def error(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference, relative to the largest entry."""
    pairs = zip(found, expected, strict=True)
    return max(float((f - e).abs().max() / e.abs().max().clamp(min=1)) for f, e in pairs)


def main() -> None:
    """Print the error of each case."""
    errors: dict[str, float] = {}
    methods = ("info_nce", "decoupled", "sigmoid_contrast", "contrast")
    for (b, m, d), rows, name in product(SIZES, ("all", "drawn", "grouped"), methods):
        dtype = DTYPES.get((b, rows), torch.float32)
        known = negatives(b, m, d, rows, dtype)
        student, teacher = known.positives[1].roll(1, 0), known.positives[0]
        use(row_kernels)
        found = values(name, known, student, teacher)
        use(None)
        wide = Negatives(
            (known.positives[0].double(), known.positives[1].double()),
            (known.banks[0].double(), known.banks[1].double()),
            known.draw,
        )
        expected = values(name, wide, student.double(), teacher.double())
        errors[f"{name}, {b} x {m} x {d}, {rows}, {dtype}"] = error(found, expected)
    anchors, one = torch.full((1, 5), torch.nan), torch.ones(1)
    draw = Draw(None, one, None, None, 1, 1.0)
    errors["a NaN that is lost"] = float(
        not row_kernels.ratio_sums(anchors, torch.ones(1, 5), draw, 0.0)[0].isnan()
    )
    print(json.dumps(errors))


if __name__ == "__main__":
    main()
