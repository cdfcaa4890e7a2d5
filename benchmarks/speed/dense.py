"""What contrasts without a bank add to a step of a student whose teacher is recorded.

ResNet-8 student, ResNet-20 teacher, batch 64, images of 32 × 32: forward, losses, backward, in turn
without and with each method. *stages* is InfoNCE at every position of the three stages, 8 × 8
each, as in `cktf`; *with heads* trains a head of both networks there. *record* takes the rows of
all 5,000 training examples as negatives. Floors: the step alone, and the matrix products that a
method needs, of matrices of these shapes in memory already.

    python benchmarks/speed/dense.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from measure import environment, in_turn, summary
from torch import Tensor

from mentee.catalogue.needs import statistics
from mentee.catalogue.pairs import CandidatePair
from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.methods import Component, Method, Term, find
from mentee.methods.derived import contrast
from mentee.tasks import find_task
from mentee.types import Features

EXAMPLES, BATCH, CELLS, CHANNELS, ROUNDS = 5_000, 64, 64, (16, 32, 64), 40
CONTRAST = Component("info_nce")


def against_record() -> Method:
    """InfoNCE of the embedding with rows of the record, through a head of the student."""
    representation = Component("unit", {}, Component("to_teacher"))
    return Method(
        "record", (Term("embedding", CONTRAST, 1.0, representation, Component("record")),)
    )


METHODS = {
    "crd": find("crd"),
    "stages": Method("stages", (contrast("stages"),)),
    "stages, with heads": Method(
        "heads", (Term("stages", CONTRAST, 1.0, Component("dense_project")),)
    ),
    "cktf": find("cktf"),
    "record": against_record(),
}


class Recorded(CandidatePair):
    """The pair, with random rows in place of a record's: their time is the same."""

    def bind(self, method: Method, examples: int) -> DistillationLoss:
        """The method bound to the pair."""
        shapes = self._shapes(self.teacher, required_layers(method)[1])

        def rows(examples: Tensor, columns: list[str]) -> Features:
            return {
                key: torch.randn(len(examples), *shapes[key]) for key in columns if key in shapes
            }

        return DistillationLoss(
            method,
            self._shapes(self.student, required_layers(method)[0]),
            shapes,
            groups=torch.arange(examples, dtype=torch.int32),
            examples=examples,
            classes=self.classes,
            task=find_task("single"),
            statistics=partial(statistics, shapes),
            clean_rows=rows,
        )


def products(shapes: list[tuple[int, int, int, int]]) -> Callable[[], None]:
    """Some products `[n, a, b] · [n, b, c]`, into memory that is there."""
    factors = [
        (torch.randn(n, a, b), torch.randn(n, b, c), torch.empty(n, a, c)) for n, a, b, c in shapes
    ]

    def call() -> None:
        for left, right, out in factors:
            torch.bmm(left, right, out=out)

    return call


def floors() -> dict[str, Callable[[], None]]:
    """Scores and the gradients of the anchors; where heads are trained, of the rows too."""
    b, p = BATCH, CELLS
    dense = [s for d in CHANNELS for s in ((b, p, d, p), (p, b, d, b), (b, p, p, d), (p, b, b, d))]
    heads = 3 * [(b, p, 64, p), (p, b, 64, b), *(2 * [(b, p, p, 64), (p, b, b, 64)])]
    record = [(1, b, 64, EXAMPLES), (1, b, EXAMPLES, 64)]
    return {
        "products of stages": products(dense),
        "products of stages, with heads": products(heads),
        "products of record": products(record),
    }


def main() -> None:
    """Measure, print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    pair = Recorded("resnet8-cifar", "resnet20-cifar", examples=EXAMPLES, batch=BATCH)
    content: dict[str, object] = {
        "what": "times of a step (forward, losses, backward) over that of the student alone, "
        f"batch {BATCH}; products: what is needed besides, and without which nothing can be faster",
    }
    for threads in options.threads:
        torch.set_num_threads(threads)
        steps = {"alone": pair.step(Method("none"))}
        steps |= {name: pair.step(method) for name, method in METHODS.items()}
        content[f"{threads} threads"] = summary(in_turn(steps | floors(), ROUNDS), "alone")
    content["environment"] = environment()
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
