"""One contrast term against the published formula taken literally, and against the floor.

Batch 64, K 16,384, width 128, a bank of 50,000; forward and backward, both directions.

* `literal`: per anchor, gather K + 1 rows of each bank, [64, 16385, 128], and a batched product.
* `floor`: the four matrix products that no way of computing it avoids: scores and gradient of
  either side, by the quickest of torch's ways, on rows that lie in memory already.
* `shared`: this package's, with the draw, the gather and negatives of other classes only.

    python benchmarks/speed/contrast.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from measure import environment, in_turn, peak_growth, summary

from mentee.losses import contrast
from mentee.losses.matmul import product
from mentee.memory import Bank
from mentee.representations import unit_norm

B, K, WIDTH, N, TAU, EPS, CLASSES = 64, 16384, 128, 50_000, 0.1, 1e-7, 100
LOG_Z = torch.tensor([10.8, 10.8])


def anchors(b: int = B) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors of both sides that want a gradient."""
    student, teacher = unit_norm(torch.randn(2, b, WIDTH))
    return student.requires_grad_(), teacher.requires_grad_()


def bank(n: int = N, k: int = K) -> Bank:
    """A memory of unit vectors with 100 classes."""
    memory = Bank(["m"], torch.arange(n) % CLASSES, WIDTH, negatives=k)
    memory.stores["m"] = unit_norm(torch.randn(2, n, WIDTH))
    return memory


def shared(b: int = B, n: int = N, k: int = K) -> Callable[[], None]:
    """A step of this package's contrast: draw, loss, gradient."""
    memory, (student, teacher), rows = bank(n, k), anchors(b), torch.arange(b)
    step = 0

    def call() -> None:
        nonlocal step
        memory.begin(rows, step)
        negatives = memory.read("m", student, teacher)
        loss = contrast(student, teacher, negatives=negatives, log_z=LOG_Z, temperature=TAU)
        loss.mean().backward()
        memory._read.clear()
        step += 1

    return call


def literal(b: int = B, n: int = N, k: int = K) -> Callable[[], None]:
    """The published formula as it stands: K + 1 rows gathered for every anchor."""
    banks, (student, teacher) = bank(n, k).stores["m"], anchors(b)

    def call() -> None:
        drawn = torch.randint(n, (b, k + 1))
        loss = torch.zeros(())
        for anchor, rows, log_z in ((student, banks[1], LOG_Z[0]), (teacher, banks[0], LOG_Z[1])):
            gathered = rows[drawn.view(-1)].view(b, k + 1, WIDTH)
            scores = torch.bmm(gathered, anchor[:, :, None]).squeeze(2)
            p, c = (scores / TAU).exp() / log_z.exp(), k / n
            positive = (p[:, 0] / (p[:, 0] + c + EPS)).log().sum()
            negative = (c / (p[:, 1:] + c + EPS)).log().sum()
            loss = loss - (positive + negative) / b
        loss.backward()

    return call


def floor() -> Callable[[], None]:
    """Scores and gradients of both sides: four products, 1.07 GFLOP."""
    rows, (student, teacher) = bank().stores["m"][:, :K].contiguous(), anchors()
    pairs = ((student.detach(), rows[1]), (teacher.detach(), rows[0]))

    def call() -> None:
        for anchor, negatives in pairs:
            product(product(anchor, negatives.T), negatives)

    return call


def warm_then(make: Callable[..., Callable[[], None]]) -> Callable[[], None]:
    """Load the libraries' own buffers on a small problem before memory is measured."""
    make(b=4, n=200, k=100)()
    return make()


def main() -> None:
    """Measure, print and write the numbers."""
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options, but --help
    torch.manual_seed(0)
    own, product, published = shared(), floor(), literal()
    fast = in_turn({"floor": product, "shared": own}, rounds=40)
    slow = in_turn({"shared": own, "literal": published}, rounds=5)
    content = {
        "what": f"one contrast term, batch {B}, K {K}, width {WIDTH}, bank {N}, both directions, "
        "forward and backward",
        "against_floor": summary(fast, "floor"),
        "against_literal": summary(slow, "shared"),
        "extra_memory_mb": {
            name: round(peak_growth(partial(warm_then, make)), 1)
            for name, make in (("shared", shared), ("literal", literal))
        },
        "environment": environment(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
