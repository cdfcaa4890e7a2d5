"""Every row of the table over pairs of unlike networks: it trains a step, or says why not."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.distillation.loop import backward
from mentee.errors import PairError
from mentee.methods import METHODS
from mentee.recipe import read

N, CLASSES, OTHERS = 24, 5, 7


class Convolutions(nn.Module):
    """A network of maps: a stem, then stages of these widths, each half as fine as the last."""

    def __init__(self, classes: int, widths: tuple[int, ...], stride: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, widths[0], 3, stride, 1), nn.ReLU())
        pairs = zip((widths[0], *widths), widths, strict=False)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, 1 if i == 0 else 2, 1), nn.ReLU())
                for i, (a, b) in enumerate(pairs)
            )
        )
        self.fc = nn.Linear(widths[-1], classes)
        stages = tuple(f"stages.{i}" for i in range(len(widths)))
        self.feature_layers = {"stem": "stem", "stages": stages, "classifier": "fc"}

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.stages(self.stem(x)).mean((2, 3)))
        return logits


class Patches(nn.Module):
    """Patches of an image as tokens, a class token before them."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, patch, patch)
        self.first = nn.Parameter(torch.randn(1, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.conv(x).flatten(2).mT
        return torch.cat([self.first.expand(len(x), -1, -1), tokens], 1)


class Transformer(nn.Module):
    """A network of tokens: blocks of attention, a norm, the class token's vector classified."""

    def __init__(self, classes: int, width: int = 8, blocks: int = 2, patch: int = 2) -> None:
        super().__init__()
        self.stem = Patches(width, patch)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 16, dropout=0.0, batch_first=True)
            for _ in range(blocks)
        )
        self.norm, self.fc = nn.LayerNorm(width), nn.Linear(width, classes)
        stages = tuple(f"blocks.{i}" for i in range(blocks))
        self.feature_layers = {"stem": "stem", "stages": stages, "classifier": "fc"}

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.fc(self.norm(x)[:, 0])
        return logits


def convolutions(*widths: int, classes: int = CLASSES, stride: int = 1) -> nn.Module:
    return Convolutions(classes, widths, stride)


PAIRS: dict[str, Any] = {
    "wider": lambda: (convolutions(4, 6, 8), convolutions(8, 12, 20)),
    "narrower": lambda: (convolutions(8, 12, 20), convolutions(4, 6, 8)),
    "deeper": lambda: (convolutions(4, 6), convolutions(8, 10, 12, 14)),
    "shallower": lambda: (convolutions(8, 10, 12, 14), convolutions(4, 6)),
    "finer": lambda: (convolutions(4, 6, 8, stride=2), convolutions(8, 12, 20)),
    "coarser": lambda: (convolutions(4, 6, 8), convolutions(8, 12, 20, stride=2)),
    "tokens of maps": lambda: (Transformer(CLASSES), convolutions(4, 6, 8)),
    "maps of tokens": lambda: (convolutions(4, 6, 8), Transformer(CLASSES)),
    "tokens of tokens": lambda: (Transformer(CLASSES), Transformer(CLASSES, 12, 3, 4)),
    "other classes": lambda: (convolutions(4, 6, 8), convolutions(8, 12, 20, classes=OTHERS)),
}


SMALLER = {
    "bank": {"memory.negatives": 8},
    "queue": {"memory.negatives": 8},
    "project": {"project.width": 4},
    "pca": {"pca.width": 4},
}
"""So that 24 examples will do."""


def method_of(name: str) -> dict[str, Any]:
    """A row without the task's loss: what reaches the student comes from the teacher."""
    words = {
        word.name
        for term in METHODS[name].terms
        for word in (term.representation, term.memory)
        if word
    }
    numbers = {k: v for word in words & SMALLER.keys() for k, v in SMALLER[word].items()}
    return {"name": name, "params": numbers, "weights": {"task": 0.0}}


def examples(several: bool) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (N, CLASSES)) if several else np.arange(N) % CLASSES
    return {"image": rng.integers(0, 256, (N, 8, 8), dtype=np.uint8), "label": labels}


def parts_of(name: str, pair: str, *, several: bool) -> Any:
    torch.manual_seed(0)
    student, teacher = PAIRS[pair]()
    recipe = {
        "data": {"source": "mine", "views": "none", "validation": None, "test": None},
        "student": "mine",
        "teacher": {"network": "mine", "classes": OTHERS if pair == "other classes" else None},
        "method": method_of(name),
        "train": {"batch": 8},
    }
    return build(read(recipe), PythonOverrides(examples(several), student, teacher))


ROWS = [name for name, row in METHODS.items() if row.terms]
CASES = [
    *((pair, False) for pair in PAIRS),
    *((pair, True) for pair in ("wider", "tokens of maps", "other classes")),
]
"""Each pair, and whether an example may have several classes."""

ADVICE = r"\b(use|take|set|give|read|name|choose|leave)\b"
"""Every refusal says what to do instead."""

SOFT = ("kd", "hard-label", "lskd", "dkd", "nkd", "dist", "ttm", "wttm", "mlkd")
SOFT += ("cktf+kd", "cktf-bank+kd")
BINARY = ("binary-kd", "east-kd", "ec-binary-kd", "probe-binary-kd")
OF_CLASSES = "soft targets need the same classes in the same order. Use a method without kd"
OF_WIDTH = "needs equal resolution and no more student channels; leave batch_axis off"
OF_VALUES = (
    r"compares outputs for real values \(regression\) .* are for the task (single|multi); use"
)
REFUSED: dict[str, dict[str, str]] = {
    "one class an example": {
        **dict.fromkeys(BINARY, "has exactly one; use kl in its place: kd, probe"),
        "bounded-regression": OF_VALUES,
    },
    "several classes": {
        **dict.fromkeys(SOFT, "may have several; use binary_kd in its place: binary-kd, or a meth"),
        **dict.fromkeys(
            ("ec-kd", "probe-kd"), "may have several; use binary_kd in its place: probe"
        ),
        "bounded-regression": OF_VALUES,
    },
    "narrower": {"cktf-exact": OF_WIDTH},
    "deeper": {"cktf-exact": OF_WIDTH},
    "shallower": {"cktf-exact": OF_WIDTH},
    "finer": {"cktf-exact": OF_WIDTH},
    "coarser": {"cktf-exact": OF_WIDTH},
    "tokens of maps": {"simkd": "a projector maps feature maps to maps and .*; use simkd-pooled"},
    "maps of tokens": {"cktf-exact": OF_WIDTH, "simkd": "expected maps .*; use simkd-pooled"},
    "tokens of tokens": {
        "simkd": "expected maps whose mean its classifier reads; use simkd-pooled"
    },
    "other classes": {
        **dict.fromkeys((*SOFT, "binary-kd", "output-mse"), OF_CLASSES),
        **dict.fromkeys(
            ("simkd", "simkd-pooled"), "has 7 classes, .* use a teacher of these class"
        ),
    },
}
"""Why a row does not fit, by what it meets; every other row trains on every pair."""


def expected(name: str, pair: str, several: bool) -> str | None:
    """What the refusal says; None: the row trains."""
    labels = REFUSED["several classes" if several else "one class an example"]
    return labels.get(name, REFUSED.get(pair, {}).get(name))


def refusal(name: str, pair: str, several: bool) -> str | None:
    """Why a row is refused for a pair; None: it has trained a step."""
    try:
        parts = parts_of(name, pair, several=several)
    except PairError as error:
        return str(error)
    model = parts.module.train()
    batch = parts.splits.first(8)
    _, (loss, *_) = backward(model, model, parts.teacher, [batch], 0, parts.accelerator)
    assert math.isfinite(loss)
    slopes = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(slope).all() for slope in slopes)
    reached = [p for p in model.student.parameters() if p.grad is not None and p.grad.any()]
    assert len(reached) > 2, "no gradient of the terms reaches the student"
    return None


@pytest.mark.parametrize(("pair", "several"), CASES)
@pytest.mark.parametrize("name", ROWS)
def test_a_row_trains_a_step_on_a_pair_or_says_why_not(name: str, pair: str, several: bool) -> None:
    text, said = expected(name, pair, several), refusal(name, pair, several)
    if text is None:
        assert said is None
    else:
        assert said is not None, "it trains: take it out of REFUSED"
        assert re.search(text, said)
        assert re.search(ADVICE, said, re.IGNORECASE)


def test_the_table_of_refusals_is_of_rows_and_pairs_there_are() -> None:
    assert {*REFUSED} - {"one class an example", "several classes"} <= {*PAIRS}
    assert {name for rows in REFUSED.values() for name in rows} <= {*ROWS}
