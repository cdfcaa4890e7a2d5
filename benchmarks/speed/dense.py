"""What contrasts in the batch add to a step of the student, whose teacher's features are recorded.

ResNet-8 student, ResNet-20 teacher, batch 64, images of 32 × 32: forward, losses, backward, without
and with a method, in turn; of each the shortest. `dense` is InfoNCE at every position of the three
stages, 8 × 8 each.

    python benchmarks/speed/dense.py --threads 2
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from measure import environment

from mentee.catalogue.pairs import CandidatePair
from mentee.methods import Component, Method, Term, find


def in_batch(layers: str, representation: str) -> Term:
    """InfoNCE at some layers."""
    return Term(layers, Component("info_nce"), 1.0, Component(representation))


METHODS = {
    "embedding": Method("embedding", (in_batch("embedding", "project"),)),
    "dense": Method("dense", (in_batch("stages", "dense_project"),)),
    "crd": find("crd"),
}


def main() -> None:
    """Measure, print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    pair = CandidatePair("resnet8-cifar", "resnet20-cifar")
    content = {
        "what": "time of a step with a method over that of the student alone, batch 64",
        "times_alone": {
            name: round(1 + pair.slowdown(method), 3) for name, method in METHODS.items()
        },
        "environment": environment(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
