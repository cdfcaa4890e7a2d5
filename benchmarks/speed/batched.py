"""Whether several students of one architecture are faster trained as one: seeds of a sweep.

Their parameters are stacked (`torch.func.stack_module_state`), one `vmap` computes all, one fused
optimizer steps all; beside it the same students one after the other. Each has its own images. Both
give the same weights, which is checked.

    python benchmarks/speed/batched.py            # where there is CUDA there; writes batched.json
    python benchmarks/speed/batched.py --dry-run  # few and small steps, nothing written
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import environment
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from mentee import models

STUDENTS, BATCH, STEPS, ROUNDS = (2, 4, 8), 64, 8, 5
LR, MOMENTUM = 0.05, 0.9


def one_by_one(networks: list[nn.Module], images: Tensor, labels: Tensor) -> Callable[[], None]:
    """A step of each student, in turn; images `[n, b, ...]`."""
    optimizers = [torch.optim.SGD(n.parameters(), LR, MOMENTUM) for n in networks]

    def step() -> None:
        for network, optimizer, x, y in zip(networks, optimizers, images, labels, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(network(x), y).backward()
            optimizer.step()

    return step


def together(networks: list[nn.Module], images: Tensor, labels: Tensor) -> Callable[[], None]:
    """The same steps as one; the stacked parameters are `step.parameters`."""
    parameters, buffers = stack_module_state(networks)  # type: ignore[arg-type]
    skeleton = copy.deepcopy(networks[0]).to("meta")
    optimizer = torch.optim.SGD(parameters.values(), LR, MOMENTUM)

    def forward(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(skeleton, (parameters, buffers), (x,))  # type: ignore[no-any-return]

    def step() -> None:
        optimizer.zero_grad()
        logits = vmap(forward)(parameters, buffers, images)
        losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses.view(labels.shape).mean(1).sum().backward()
        optimizer.step()

    step.parameters = parameters  # type: ignore[attr-defined]
    return step


def seconds(step: Callable[[], None], steps: int, device: str) -> float:
    """Of a step, after two that are not counted."""
    for _ in range(2):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps


def measure(network: str, count: int, batch: int, steps: int, device: str) -> dict[str, float]:
    """Milliseconds of a step of all students, both ways, the least of some rounds in turn."""
    torch.manual_seed(0)
    networks = [models.build(network, classes=10, seed=s).to(device) for s in range(count)]
    images = torch.randn(count, batch, 3, 32, 32, device=device)
    labels = torch.randint(0, 10, (count, batch), device=device)
    apart = [copy.deepcopy(each) for each in networks]
    ways = {
        "one by one": one_by_one(apart, images, labels),
        "together": together(networks, images, labels),
    }
    for step in ways.values():
        step()
    stacked = ways["together"].parameters  # type: ignore[attr-defined]
    for number, each in enumerate(apart):
        for name, value in each.named_parameters():
            torch.testing.assert_close(stacked[name][number], value, rtol=1e-3, atol=1e-4)
    times = {name: [] for name in ways}
    for _ in range(ROUNDS if steps > 1 else 1):
        for name, step in ways.items():
            times[name].append(1e3 * seconds(step, steps, device))
    least = {name: round(min(each), 2) for name, each in times.items()}
    return least | {"together / one by one": round(least["together"] / least["one by one"], 3)}


def main() -> None:
    """Measure, print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="few and small steps")
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = {}
    for network in ("resnet8-cifar", "wrn-16-2") if device == "cuda" else ("resnet8-cifar",):
        for count in STUDENTS[: 1 if asked.dry_run else 3]:
            batch, steps = (8, 1) if asked.dry_run else (BATCH, STEPS)
            name = f"{network}, {count} students"
            found[name] = measure(network, count, batch, steps, device)
            print(name, found[name], flush=True)
    if asked.dry_run:
        return
    content = {
        "what": f"ms of a step of all students, {BATCH} images each, cross-entropy, SGD; the least "
        f"of {ROUNDS} rounds of {STEPS} steps, in turn",
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "steps": found,
        "environment": environment(),
    }
    out = Path(__file__).with_name("batched.json" if device == "cpu" else "batched-gpu.json")
    out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
