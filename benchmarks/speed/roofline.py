"""How far the contrast with rows of a memory is from what a GPU could do.

Loss and gradient of a batch against K rows of a bank (`SoftmaxOfRows`), by the Triton kernel and by
torch. The roofline is the longer of two times: reading the rows once, at the bandwidth of a copy
that is measured there, and 4 b K d operations, at the rate of a large product in the rows' dtype.

    python benchmarks/speed/roofline.py            # needs CUDA; writes roofline.json
    python benchmarks/speed/roofline.py --dry-run  # small sizes on a CPU; with TRITON_INTERPRET=1
                                                   # the kernel too
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import torch
from measure import environment
from torch import Tensor

from mentee.losses import row_contrast
from mentee.losses.fused import runs_on
from mentee.losses.negatives import Draw

WIDTH, REPEATS = 128, 50
WHOLE = ((64, 256, 1024), (4_096, 16_384, 65_536))
DRY = ((16,), (512,))
DTYPES = (torch.float32, torch.bfloat16)


def milliseconds(work: Callable[[], object], device: str, repeats: int = REPEATS) -> float:
    """The median of some repetitions, after five."""
    seconds = []
    for _ in range(5 + repeats):
        if device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return 1e3 * sorted(seconds[5:])[repeats // 2]


def loss_and_gradient(b: int, k: int, dtype: torch.dtype, device: str) -> Callable[[], Tensor]:
    """One contrast of unit vectors, forward and backward."""
    anchors, positives = (torch.randn(b, WIDTH, device=device) for _ in range(2))
    anchors, positives = (x / x.norm(dim=1, keepdim=True) for x in (anchors, positives))
    bank = torch.randn(k, WIDTH, device=device)
    bank = (bank / bank.norm(dim=1, keepdim=True)).to(dtype)
    draw = Draw(None, torch.full((b,), float(k), device=device), None, None, k, 1.0)
    anchors.requires_grad_()

    def work() -> Tensor:
        loss = row_contrast.SoftmaxOfRows.apply(anchors, positives, bank, draw, 0.1, False)
        return torch.autograd.grad(loss.mean(), anchors)[0]

    return work


def peaks(device: str, size: int) -> tuple[float, dict[torch.dtype, float]]:
    """Bytes a second of a copy, and operations a second of a product in each dtype."""
    source = torch.ones(size * size * 16, device=device)
    target = torch.empty_like(source)
    copied = milliseconds(lambda: target.copy_(source), device, 10)
    rates = {}
    for dtype in DTYPES:
        x = torch.ones(size, size, device=device, dtype=dtype)
        rates[dtype] = 2e3 * size**3 / milliseconds(lambda x=x: x @ x, device, 10)
    return 2e3 * source.nbytes / copied, rates


def main() -> None:
    """Measure, print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="small sizes, on a CPU too")
    parser.add_argument("--out", type=Path, help="the file of the numbers (roofline.json)")
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if not asked.dry_run and device == "cpu":
        parser.error("there is no GPU here; --dry-run shows that it would run")
    torch.set_float32_matmul_precision("high")  # TF32, as in a run
    bandwidth, rates = peaks(device, 256 if asked.dry_run else 4096)
    sizes = DRY if asked.dry_run else WHOLE
    found, chosen = {}, row_contrast.row_kernels
    if device == "cpu" and os.environ.get("TRITON_INTERPRET"):
        from mentee.losses import row_kernels

        chosen = lambda *_: row_kernels  # noqa: E731
    has_kernel = chosen is not row_contrast.row_kernels or (
        device == "cuda" and runs_on(torch.device("cuda", torch.cuda.current_device()))
    )
    repeats = 2 if asked.dry_run else REPEATS
    for b, k, dtype in product(*sizes, DTYPES[:1] if device == "cpu" else DTYPES):
        work = loss_and_gradient(b, k, dtype, device)
        row = {}
        row_contrast.row_kernels = lambda *_: None
        row["torch"] = milliseconds(work, device, repeats)
        read = 1e3 * k * WIDTH * dtype.itemsize / bandwidth
        row["roofline"] = max(read, 4e3 * b * k * WIDTH / rates[dtype])
        if has_kernel:
            row_contrast.row_kernels = chosen
            row["kernel"] = milliseconds(work, device, repeats)
            row["kernel to roofline"] = row["kernel"] / row["roofline"]
        found[f"{b} anchors, {k} rows, {dtype}"] = {n: round(v, 4) for n, v in row.items()}
        print(b, k, dtype, found[f"{b} anchors, {k} rows, {dtype}"], flush=True)
    content = {
        "what": f"ms of a contrast, forward and backward, rows of {WIDTH}; median of {repeats}",
        "bytes_per_second": bandwidth,
        "operations_per_second": {str(dtype): rate for dtype, rate in rates.items()},
        "contrast": found,
        "environment": environment()
        | {"gpu": torch.cuda.get_device_name() if device == "cuda" else None},
    }
    name = "roofline-dry-run.json" if asked.dry_run else "roofline.json"
    out = asked.out or Path(__file__).with_name(name)
    out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
