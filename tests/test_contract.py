"""One contract, run over every agreement and every representation of the tables.

A new word without a case here fails `test_every_word_has_a_case`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from mentee.distillation.terms import takes
from mentee.losses import LOSSES
from mentee.memory import Bank
from mentee.representations import REPRESENTATIONS, SEVERAL, Adapter, PairInfo, unit_norm
from mentee.types import Statistics
from tests.losses import formulas as agreements
from tests.processes import ended, start
from tests.representations import formulas as representations

WIDTH, EXAMPLES, NEGATIVES, LOG_Z, TEMPERATURE = 6, 24, 12, 3.0, 0.1
ROWS = torch.tensor([3, 8, 0, 13])
GROUPS = torch.arange(EXAMPLES) % 4
KNOWN = torch.arange(EXAMPLES * WIDTH).view(EXAMPLES, WIDTH) % 5 != 0
TARGETS = torch.randn(EXAMPLES, WIDTH, generator=torch.Generator().manual_seed(7))


def rows(b: int) -> Tensor:
    return ROWS[:b]


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)


# Agreements


@dataclass(frozen=True)
class AgreementCase:
    """What a word needs to be tried.

    Attributes:
        loops: `(student, teacher, rows) -> [b]` in NumPy, or the batch's one number.
        steepest: the largest entry of the summed loss's gradient, at any input (or: at this).
        before: what its inputs have to have gone through (`unit` for unit vectors).
        given: what the engine passes beside the numbers, for these rows.
        trains_teacher_side: a gradient goes to the head over the teacher's features.
        whole: one number for the batch, not one for each example.
        shape: of one example, the student's and the teacher's.
        student_before: what the student's input alone has to have gone through.
        ordered: it depends on the order of the examples; needs a reason where it is set.
    """

    loops: Callable[[np.ndarray, np.ndarray, list[int]], np.ndarray | float]
    steepest: float | Callable[[Tensor, Tensor], float]
    before: Callable[[Tensor], Tensor] = lambda x: x
    given: Callable[[Tensor, Tensor, Tensor], dict[str, Any]] = lambda s, t, rows: {}
    trains_teacher_side: bool = False
    whole: bool = False
    shape: tuple[int, ...] = (WIDTH,)
    student_before: Callable[[Tensor], Tensor] = lambda x: x
    ordered: bool = False

    def bound(self, student: Tensor, teacher: Tensor) -> float:
        return self.steepest(student, teacher) if callable(self.steepest) else self.steepest


def small_bank() -> Bank:
    return Bank(["m"], GROUPS, WIDTH, negatives=NEGATIVES, seed=1)


def from_a_bank(student: Tensor, teacher: Tensor, rows: Tensor) -> dict[str, Any]:
    bank = small_bank()
    bank.begin(rows, 0)
    kind = torch.float64 if student.dtype == torch.float64 else torch.float32
    return {
        "negatives": bank.read("m", student, teacher),
        "log_z": torch.tensor([LOG_Z, LOG_Z], dtype=kind),
    }


def contrast_in_loops(student: np.ndarray, teacher: np.ndarray, rows: list[int]) -> np.ndarray:
    bank = small_bank()
    bank.begin(torch.tensor(rows), 0)
    drawn = bank.read("m", torch.zeros(1, WIDTH), torch.zeros(1, WIDTH)).draw.rows.tolist()
    stores = bank.stores["m"].double().numpy()
    total = np.zeros(len(rows))
    for anchors, store in ((student, stores[1]), (teacher, stores[0])):
        for i, row in enumerate(rows):
            others = [store[other] for other in drawn if GROUPS[other] != GROUPS[row]]
            anchor = representations.unit(anchors[i])
            total[i] += agreements.nce(
                anchor, store[row], others, TEMPERATURE, math.exp(LOG_Z), NEGATIVES, EXAMPLES
            )
    return total


def similarity_over_a_bank(student: np.ndarray, teacher: np.ndarray, rows: list[int]) -> np.ndarray:
    bank = small_bank()
    bank.begin(torch.tensor(rows), 0)
    drawn = bank.read("m", torch.zeros(1, WIDTH), torch.zeros(1, WIDTH)).draw.rows.tolist()
    read = [bank.stores["m"][1].double().numpy()[row] for row in drawn]
    return agreements.similarity_kl_with_rows(student, teacher, read, 0.07)


def rows_of_others(rows: list[int]) -> list[list[np.ndarray]]:
    """For each anchor the drawn rows of other groups, of the bank's teacher's side."""
    bank = small_bank()
    bank.begin(torch.tensor(rows), 0)
    store, drawn = bank.stores["m"][1].double().numpy(), bank._draw.rows.tolist()
    return [[store[k] for k in drawn if GROUPS[k] != GROUPS[row]] for row in rows]


def others_of_the_batch(teacher: np.ndarray) -> list[list[np.ndarray]]:
    return [[t for j, t in enumerate(teacher) if j != i] for i in range(len(teacher))]


def negatives_alone(student: Tensor, teacher: Tensor, rows: Tensor) -> dict[str, Any]:
    return {"negatives": from_a_bank(student, teacher, rows)["negatives"]}


def known_labels(student: Tensor, teacher: Tensor, rows: Tensor) -> dict[str, Any]:
    return {"mask": KNOWN[rows]}


def classes(student: Tensor, teacher: Tensor, rows: Tensor) -> dict[str, Any]:
    return {"labels": GROUPS[rows]}


def targets(student: Tensor, teacher: Tensor, rows: Tensor) -> dict[str, Any]:
    return {"labels": TARGETS[rows].to(student.dtype), "mask": KNOWN[rows]}


def bounded_in_loops(student: np.ndarray, teacher: np.ndarray, rows: list[int]) -> np.ndarray:
    found = []
    for s, t, row in zip(student, teacher, rows, strict=True):
        known = [c for c in range(WIDTH) if KNOWN[row, c]]
        own, bound = (
            sum((x[c] - float(TARGETS[row, c])) ** 2 for c in known) / max(len(known), 1)
            for x in (s, t)
        )
        found.append(own if own > bound else 0.0)
    return np.array(found)


def with_variances(means: Tensor) -> Tensor:
    return torch.cat([means, nn.functional.softplus(means) + 1e-5], 1)


def variances(means: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(means)) + 1e-5


def unit_positions(x: Tensor) -> Tensor:
    return unit_norm(x.movedim(1, -1)).movedim(-1, 1)


def units(x: np.ndarray) -> np.ndarray:
    """Of length 1 along the second axis."""
    moved = np.moveaxis(x, 1, -1)
    flat = np.array([representations.unit(row) for row in moved.reshape(-1, x.shape[1])])
    return np.moveaxis(flat.reshape(moved.shape), -1, 1)


AGREED = {
    "kl": AgreementCase(
        loops=lambda s, t, rows: agreements.kl(s.tolist(), t.tolist(), 4.0),
        steepest=4.0,  # T (q - p)
    ),
    "dkd": AgreementCase(
        loops=lambda s, t, rows: agreements.dkd(s, t, GROUPS[rows].tolist(), 4.0, 1.0, 8.0),
        steepest=4.0 * (1 + 8),  # T (q - p) of either part
        given=classes,
    ),
    "nkd": AgreementCase(
        loops=lambda s, t, rows: agreements.nkd(s, t, GROUPS[rows].tolist(), 1.0, 1.5),
        steepest=1 + 1.5,
        given=classes,
    ),
    "dist": AgreementCase(
        loops=lambda s, t, rows: agreements.dist(s, t, 4.0, 1.0, 1.0),
        # T² / T times the correlation's slope of at most 1e3 k, of b rows' and k columns' means,
        # times a probability's slope of at most 1 / 4
        steepest=4.0 * 1e3 * (WIDTH + 1) / 4,
        whole=True,
    ),
    "ttm": AgreementCase(
        loops=lambda s, t, rows: agreements.ttm(s, t, 0.1),
        steepest=1.0,  # q - p
    ),
    "wttm": AgreementCase(
        loops=lambda s, t, rows: agreements.ttm(s, t, 0.2, weighted=True),
        steepest=WIDTH**0.8,  # the largest U, of equal logits
    ),
    "hard_label": AgreementCase(loops=lambda s, t, rows: agreements.hard_label(s, t), steepest=1.0),
    "batch_level": AgreementCase(
        loops=lambda s, t, rows: agreements.level(s, t, 4.0, of_classes=False),
        steepest=1.0,  # 4 / T
        whole=True,
    ),
    "class_level": AgreementCase(
        loops=lambda s, t, rows: agreements.level(s, t, 4.0, of_classes=True),
        steepest=4 * len(ROWS) / WIDTH / 4.0,  # 4 b / k T
        whole=True,
    ),
    # Examples 1e-3 long: 1e3, of a row of G 1e-3 short: 1e3, with √b; 4 / b² of b rows.
    "sp": AgreementCase(
        loops=lambda s, t, rows: agreements.sp(s, t), steepest=1e6 * 4 * 2 / 4, whole=True
    ),
    "ickd": AgreementCase(
        loops=lambda s, t, rows: agreements.ickd(s, t), steepest=1e6 * 4, shape=(3, 2, 4)
    ),
    "rkd": AgreementCase(
        loops=lambda s, t, rows: agreements.rkd(s, t, 25.0, 50.0),
        # 1e3 of a distance or an angle, in which an example has up to three parts
        steepest=1e3 * (2 * 25.0 + 6 * 50.0),
        whole=True,
    ),
    # unit's slope, and 1 / (2 √1e-7) of the logarithm next to a cosine of -1
    "pkt": AgreementCase(
        loops=lambda s, t, rows: agreements.pkt(s, t), steepest=1e3 * 1.6e3, whole=True
    ),
    "cc": AgreementCase(
        loops=lambda s, t, rows: agreements.cc(s, t),
        steepest=lambda s, t: 2 * (s - t).abs().max().item(),
        whole=True,
        ordered=True,  # as published: neighbors in the batch
    ),
    "contrast": AgreementCase(
        loops=contrast_in_loops,
        steepest=1e3 * 2 * (NEGATIVES + 1) / TEMPERATURE,  # unit's slope, K + 1 rows, both ways
        before=unit_norm,
        given=from_a_bank,
        trains_teacher_side=True,
    ),
    # unit's slope; an anchor's weights and those of the b + p it is a row for, of the mean
    "info_nce": AgreementCase(
        loops=lambda s, t, rows: agreements.info_nce(units(s), units(t), 0.1),
        steepest=1e3 * (2 + len(ROWS) + 1) / 0.1 / len(ROWS) * 4,
        before=unit_norm,
        trains_teacher_side=True,
        whole=True,
    ),
    "info_nce of maps": AgreementCase(
        loops=lambda s, t, rows: agreements.info_nce(units(s), units(t), 0.1),
        steepest=1e3 * (2 + len(ROWS) + 6) / 0.1,
        before=unit_positions,
        trains_teacher_side=True,
        whole=True,
        shape=(3, 2, 3),
    ),
    "class_info_nce": AgreementCase(
        loops=lambda s, t, rows: agreements.info_nce(
            units(s), units(t), 0.1, GROUPS[rows].tolist()
        ),
        steepest=1e3 * (2 + len(ROWS) + 1) / 0.1 / len(ROWS) * 4,
        before=unit_norm,
        given=classes,
        trains_teacher_side=True,
        whole=True,
    ),
    "info_nce decoupled": AgreementCase(
        loops=lambda s, t, rows: agreements.info_nce(units(s), units(t), 0.1, decoupled=True),
        steepest=1e3 * (2 + len(ROWS) + 1) / 0.1,
        before=unit_norm,
        given=lambda s, t, rows: {"decoupled": True},
        trains_teacher_side=True,
        whole=True,
    ),
    # unit's slope; of two directions, each the anchor's two weights of 1
    "info_nce memory": AgreementCase(
        loops=lambda s, t, rows: agreements.info_nce_with_rows(
            units(s), units(t), rows_of_others(rows), 0.1
        ),
        steepest=1e3 * 2 * 3**0.5 / 0.1,  # of rows √3 long at most
        before=unit_norm,
        given=negatives_alone,
        trains_teacher_side=True,
    ),
    "info_nce decoupled memory": AgreementCase(
        loops=lambda s, t, rows: agreements.info_nce_with_rows(
            units(s), units(t), rows_of_others(rows), 0.1, decoupled=True
        ),
        steepest=1e3 * 2 * 3**0.5 / 0.1,
        before=unit_norm,
        given=lambda s, t, rows: negatives_alone(s, t, rows) | {"decoupled": True},
        trains_teacher_side=True,
    ),
    # of each pair a slope of at most 1 / tau
    "sigmoid_contrast": AgreementCase(
        loops=lambda s, t, rows: agreements.sigmoid_contrast(
            units(s), units(t), others_of_the_batch(units(t)), 0.1, -10.0
        ),
        steepest=1e3 * 2 * len(ROWS) / 0.1,
        before=unit_norm,
        trains_teacher_side=True,
    ),
    "sigmoid_contrast memory": AgreementCase(
        loops=lambda s, t, rows: agreements.sigmoid_contrast(
            units(s), units(t), rows_of_others(rows), 0.1, -3.0
        ),
        steepest=1e3 * (1 + NEGATIVES * 3**0.5) / 0.1,
        before=unit_norm,
        given=lambda s, t, rows: negatives_alone(s, t, rows) | {"bias": -3.0},
        trains_teacher_side=True,
    ),
    "binary_kd": AgreementCase(
        loops=lambda s, t, rows: agreements.binary_kd(s, t, KNOWN[rows].numpy(), 2.0),
        steepest=2.0,  # T (q - p) b / n, and there are more than b labels
        given=known_labels,
    ),
    "soft_labels": AgreementCase(
        loops=lambda s, t, rows: agreements.kl(s.tolist(), t.tolist(), 2.0),
        steepest=2.0,
        given=lambda s, t, rows: {"outputs": "class logits"},
    ),
    "soft_labels of several": AgreementCase(
        loops=lambda s, t, rows: agreements.binary_kd(s, t, np.ones_like(s, bool), 2.0),
        steepest=2.0,
        given=lambda s, t, rows: {"outputs": "label logits"},
    ),
    "soft_labels of values": AgreementCase(
        loops=lambda s, t, rows: ((s - t) ** 2).mean(1),
        steepest=lambda s, t: 2 * (s.abs().max() + t.abs().max()).item(),
        given=lambda s, t, rows: {"outputs": "values"},
    ),
    "bounded_regression": AgreementCase(
        loops=bounded_in_loops,
        steepest=lambda s, t: 2 * (s.abs().max() + TARGETS.abs().max()).item(),
        given=targets,
    ),
    # A vector is an anchor, whose |q - p| add up to 2, and one of the others' references.
    "similarity_kl": AgreementCase(
        loops=lambda s, t, rows: agreements.similarity_kl(s, t, 0.07),
        steepest=1e3 * (2 + len(ROWS)) / 0.07,
    ),
    "similarity_kl of two temperatures": AgreementCase(
        loops=lambda s, t, rows: agreements.similarity_kl(s, t, 0.02, 0.1),
        steepest=1e3 * (2 + len(ROWS)) / 0.02,
        given=lambda s, t, rows: {"temperature": 0.02, "teacher_temperature": 0.1},
    ),
    # unit's slope; of a distribution over b scores at most 1, of the other's logarithms 2 / tau
    "dcd": AgreementCase(
        loops=lambda s, t, rows: agreements.dcd(units(s), units(t), 0.1, 0.5),
        steepest=1e3 * (1 + len(ROWS)) * (2 + 0.5 * 2 * 2 / 0.1) / 0.1,
        before=unit_norm,
        trains_teacher_side=True,
    ),
    # 1e3 of a deviation, √3 of a standardized entry, and of the logarithm 1 / √1e-3
    "itrd_correlation": AgreementCase(
        loops=lambda s, t, rows: agreements.itrd_correlation(s, t, 1.01),
        steepest=1e3 * 3**0.5 * 1e3**0.5 * 2.02 / math.log(2) / 4 * 2,
        whole=True,
    ),
    # unit's slope, and of each of b pairs, both ways round, 2 / b of either logarithm
    "itrd_mutual": AgreementCase(
        loops=lambda s, t, rows: agreements.itrd_mutual(s, t),
        steepest=1e3 * 2 * 4 / math.log(2),
        whole=True,
    ),
    "similarity_kl memory": AgreementCase(
        loops=similarity_over_a_bank, steepest=1e3 * 2 / 0.07, given=negatives_alone
    ),
    "distance_correlation": AgreementCase(
        loops=lambda s, t, rows: agreements.distance_correlation(s, t),
        steepest=2e3,  # / sqrt(b): tests/losses/test_distance_correlation.py
        whole=True,
    ),
    "cosine_distance_difference": AgreementCase(
        loops=lambda s, t, rows: agreements.cosine_distance_difference(s, t),
        steepest=1e3 * 2,  # unit's slope, 2 / b² for each of b pairs
        whole=True,
    ),
    "cka": AgreementCase(
        loops=lambda s, t, rows: agreements.cka(s, t),
        steepest=6.4e4,  # / sqrt(b), where all rows are within 3e-5: tests/losses/test_cka.py
        whole=True,
    ),
    "cosine": AgreementCase(
        loops=lambda s, t, rows: agreements.cosine(s, t),
        steepest=1e3,  # unit's slope
    ),
    "mse": AgreementCase(
        loops=lambda s, t, rows: agreements.mse(s, t),
        steepest=lambda s, t: 2 * (s - t).abs().max().item() / WIDTH,
    ),
    "squared": AgreementCase(
        loops=lambda s, t, rows: WIDTH * agreements.mse(s, t),
        steepest=lambda s, t: 2 * gap(s, t),
    ),
    "l1": AgreementCase(loops=lambda s, t, rows: np.abs(s - t).sum(1) / WIDTH, steepest=1 / WIDTH),
    # unit's slope of 2 (k' of s, s) + 2 (of s, t), each a square of cosines over the channels
    "nst": AgreementCase(
        loops=lambda s, t, rows: agreements.nst(s, t), steepest=1e3 * 8, shape=(3, 2, 4)
    ),
    "nst of few places": AgreementCase(
        loops=lambda s, t, rows: agreements.nst(s, t), steepest=1e3 * 8, shape=(5, 2, 1)
    ),
    "hcl": AgreementCase(
        loops=lambda s, t, rows: agreements.hcl(s, t),
        steepest=lambda s, t: 2 * gap(s, t) / s[0].numel(),
        shape=(2, 6, 5),
    ),
    "ab": AgreementCase(
        loops=lambda s, t, rows: agreements.ab(s, t, 1.0),
        steepest=lambda s, t: 6e-3 * (s.abs().max().item() + 1),
    ),
    "partial_l2": AgreementCase(
        loops=lambda s, t, rows: agreements.partial_l2(s, t),
        steepest=lambda s, t: 2e-3 * gap(s, t),
    ),
    # Of the means gap / variance, of the variances gap² / variance² times their own slope, which is
    # at most themselves
    "vid": AgreementCase(
        loops=lambda s, t, rows: agreements.vid(s, variances(s), t),
        steepest=lambda s, t: (gap(s, t) + gap(s, t) ** 2 + 1) / 1e-5 / WIDTH,
        student_before=with_variances,
    ),
    "smooth_l1": AgreementCase(
        loops=lambda s, t, rows: agreements.smooth_l1(s, t, 1.0), steepest=1 / WIDTH
    ),
}


def gap(student: Tensor, teacher: Tensor) -> float:
    return (student - teacher).abs().max().item()


def function_of(name: str) -> Callable[..., Tensor]:
    return LOSSES[name.partition(" ")[0]].function


def agree(name: str, student: Tensor, teacher: Tensor, rows: Tensor) -> Tensor:
    case = AGREED[name]
    s, t = case.student_before(case.before(student)), case.before(teacher)
    return function_of(name)(s, t, **case.given(s, t, rows))


# Representations


@dataclass(frozen=True)
class RepresentationCase:
    """What a word needs to be tried.

    Attributes:
        loops: `(one example, side) -> [d]` in NumPy.
        numbers: of the word.
        bounded: its slope is bounded everywhere; False needs a reason where it is set.
        steepest: its largest slope, where that is not unit's times its layers'.
        kinds: what it can read.
    """

    loops: Callable[[np.ndarray, Adapter], np.ndarray] | None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    bounded: bool = True
    steepest: float | None = None
    kinds: tuple[str, ...] = ("vector", "tokens", "map")


def whole(side: Adapter) -> Adapter:
    """The side itself, or the one of another term that it reads."""
    return getattr(side, "compressor", side)


def layers(side: Adapter) -> list[tuple[np.ndarray, np.ndarray]]:
    linear = [each for each in whole(side).modules() if isinstance(each, nn.Linear)]
    return [(each.weight.detach().numpy(), each.bias.detach().numpy()) for each in linear]


def headed(x: np.ndarray, side: Adapter) -> np.ndarray:
    """Average, standardize where the side does, then its layers or its matrix."""
    side = whole(side)
    scale = [m for m in side.modules() if getattr(m, "shifted", False)]
    x = representations.averaged(x)
    if scale:
        x = (x - scale[0].mean.numpy()) / scale[0].scale.numpy()
    if hasattr(side, "matrix"):
        return representations.linear(x, side.matrix.numpy(), np.zeros(len(side.matrix)))
    return representations.mlp(x, layers(getattr(side, "h", side)))


def probed(x: np.ndarray, side: Adapter) -> np.ndarray:
    """The teacher's side of a probe; the student's is what it reads."""
    return representations.mlp(headed(x, side), layers(side)[-1:]) if layers(side) else x


def convolutions(side: Adapter) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of the side's encoder or head; none on the teacher's side of a regression."""
    inside = getattr(side, "encoder", getattr(side, "head", nn.Identity()))
    found = [m for m in inside.modules() if isinstance(m, nn.Conv2d)]
    zeros = [np.zeros(m.out_channels) for m in found]
    return [
        (m.weight.detach().numpy(), zero if m.bias is None else m.bias.detach().numpy())
        for m, zero in zip(found, zeros, strict=True)
    ]


def regressed(x: np.ndarray, side: Adapter) -> np.ndarray:
    x = representations.as_map(x)
    for number, each in enumerate(convolutions(side)):
        x = representations.convolved(np.maximum(x, 0) if number else x, *each)
    return x


def distributed(x: np.ndarray, side: Adapter) -> np.ndarray:
    means = regressed(x, side)
    if not hasattr(side, "log_scale"):
        return means
    each = np.log1p(np.exp(side.log_scale.detach().numpy())) + 1e-5
    return np.concatenate([means, np.ones_like(means) * each[:, None, None]])


def factored(x: np.ndarray, side: Adapter) -> np.ndarray:
    x = representations.as_map(x)
    for each in convolutions(side):
        x = representations.convolved(x, *each)
        x = np.where(x > 0, x, 0.1 * x)
    return representations.attention(x)


def positions(x: np.ndarray, side: Adapter) -> np.ndarray:
    """Averaged to 8 cells a side where it is larger, convolved, unit at each position."""
    x = representations.as_map(x)
    if x.shape[1] > 8:
        x = x.reshape(x.shape[0], 8, x.shape[1] // 8, x.shape[2]).mean(2)
    return units(representations.convolved(x, *convolutions(side)[0])[None])[0]


def lengthened(x: np.ndarray, side: Adapter) -> np.ndarray:
    """The student's vectors ten times as long; -2 behind them, and 1 behind the teacher's."""
    axis, student = 0 if x.ndim == 3 else -1, hasattr(side, "log_scale")
    behind = [] if not (side.bias is not None if student else side.append) else [-2.0, 1.0]
    ones = np.ones_like(np.take(x, [0], axis))
    x = math.exp(side.log_scale.item()) * x if student else x
    return np.concatenate([x, ones * behind[0 if student else 1]], axis) if behind else x


MAPS = ("tokens", "map")
REPRESENTED = {
    # unit's slope times the convolution's norm, which is below 2
    "dense_project": RepresentationCase(positions, {"width": 5}, steepest=2e3, kinds=MAPS),
    # Its numbers are those of all batches: tests/representations/test_dense_to_teacher.py.
    "dense_to_teacher": RepresentationCase(None, bounded=False),
    "feature_maps": RepresentationCase(lambda x, side: representations.as_map(x), kinds=MAPS),
    # 2 |f| / c over a norm of at least 1e-3, at |f|² / c of that size
    "attention": RepresentationCase(
        lambda x, side: representations.attention(representations.as_map(x)),
        steepest=2e3 * 1e-3**0.5,
        kinds=MAPS,
    ),
    # The convolutions' norms are below 2.
    "regressor": RepresentationCase(regressed, steepest=2, kinds=MAPS),
    "regressor as it is": RepresentationCase(regressed, {"resize": False}, steepest=2, kinds=MAPS),
    "gaussian": RepresentationCase(distributed, steepest=8, kinds=MAPS),
    # Its margin is that of the batch: tests/representations/test_margin_relu.py.
    "margin_relu": RepresentationCase(None, steepest=2, kinds=MAPS),
    "paraphraser": RepresentationCase(
        factored, {"learn": "joint"}, steepest=2e3 * 1e-3**0.5 * 8, kinds=MAPS
    ),
    "as_is": RepresentationCase(lambda x, side: x),
    "unit": RepresentationCase(
        lambda x, side: (
            units(x[None])[0] if x.ndim == 3 else units(np.atleast_2d(x)).reshape(x.shape)
        ),
        steepest=1e3,
    ),
    "logit_scale": RepresentationCase(lengthened, steepest=10),
    "logit_scale biased": RepresentationCase(lengthened, {"bias": -2.0}, steepest=10),
    "standardized": RepresentationCase(
        lambda x, side: representations.standardized(x), steepest=1e3, kinds=("vector",)
    ),
    "project": RepresentationCase(
        lambda x, side: representations.project(x, layers(side)), {"width": 5}
    ),
    "project mlp": RepresentationCase(
        lambda x, side: representations.project(x, layers(side)), {"width": 5, "head": "mlp"}
    ),
    # Its quotient over the batch is kept as published, whose slope is 1e12 near zero; the numbers
    # of the published code stand in for loops (tests/representations/test_project.py).
    "project batch_axis": RepresentationCase(None, {"width": 5, "batch_axis": True}, bounded=False),
    "pooled": RepresentationCase(headed),
    "pooled standard": RepresentationCase(headed, {"scale": "standard"}),
    "pooled center": RepresentationCase(headed, {"scale": "center"}),
    "frames": RepresentationCase(
        lambda x, side: x if x.ndim == 2 else x.mean(1).T, kinds=("tokens", "map")
    ),
    "to_teacher": RepresentationCase(headed),
    "to_teacher mlp": RepresentationCase(headed, {"head": "mlp", "hidden": 5, "scale": "none"}),
    # A matrix of the teacher's side, whose vectors vary by more than 1e-4 of the most.
    "to_teacher whitened": RepresentationCase(headed, {"scale": "whiten"}, steepest=1e4),
    "to_teacher turned": RepresentationCase(headed, {"scale": "phi-s"}, steepest=1e4),
    "compress": RepresentationCase(headed, {"width": 2}),
    "compress deep": RepresentationCase(
        headed, {"width": 2, "depth": 2, "hidden": 5, "student_head": "mlp"}
    ),
    "compress plain": RepresentationCase(headed, {"width": 2, "standardize": False}),
    "compressed_logits": RepresentationCase(probed),
    "probe": RepresentationCase(probed, {"learn": "joint"}),
    "pca": RepresentationCase(headed, {"width": 2}),
    "pca white": RepresentationCase(headed, {"width": 2, "whiten": True, "student_head": "linear"}),
    "random": RepresentationCase(headed, {"width": 4}),
}
SHAPES = {"vector": (6,), "tokens": (4, 6), "map": (3, 16, 8)}


def statistics(kind: str) -> Statistics:
    """Of made-up vectors; an entry that never changes among them."""
    d = 3 if kind == "map" else 6
    x = normal(20, d, seed=9).float() * torch.arange(1, d + 1) + 2
    x[:, 1] = 0.5
    spread = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    return Statistics(x.mean(0), x.std(0, correction=0), spread.Vh, spread.S**2 / 20)


def sides(name: str, kind: str) -> tuple[Adapter, Adapter]:
    word = name.partition(" ")[0]
    with torch.random.fork_rng():
        torch.manual_seed(2)
        numbers, build = dict(REPRESENTED[name].numbers), REPRESENTATIONS[word]
        if takes(build, "pair_info"):
            numbers["pair_info"] = PairInfo(3, lambda: statistics(kind), seed=1)
        if takes(build, "other_adapters"):
            numbers["other_adapters"] = [sides("compress", kind)[1]]
        built = build(SHAPES[kind], SHAPES[kind], **numbers)
    return built[0].double(), built[1].double()


def represent(side: Adapter, x: Tensor) -> Tensor:
    return side(side.precompute(x))


def slope_bound(side: Adapter) -> float:
    """Unit's 1000 times the norms of the linear layers; 1 where there are none."""
    norms = [float(np.linalg.norm(weight, 2)) for weight, _ in layers(side)]
    return 1e3 * math.prod(norms) if norms else 1.0


# The contract


def test_every_word_has_a_case():
    assert {name.partition(" ")[0] for name in AGREED} == LOSSES.keys()
    alone = {name.partition(" ")[0] for name in REPRESENTED}
    assert alone == REPRESENTATIONS.keys() - {*SEVERAL}  # in files of their own


every_agreement = pytest.mark.parametrize("name", AGREED)
every_representation = pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, case in REPRESENTED.items() for kind in case.kinds]
)


def corners(shape: tuple[int, ...], dtype: torch.dtype) -> dict[str, tuple[Tensor, Tensor]]:
    """Convention 5: what must stay finite, student's and teacher's side."""
    x, y = (normal(4, *shape, seed=seed, dtype=dtype) for seed in (1, 2))
    same = x[:1].expand(4, *shape)
    return {
        "batch of one": (x[:1], y[:1]),
        "equal rows": (same, same),
        "both alike": (x, x),
        "zero rows": (torch.zeros_like(x), y),
        "all zero": (torch.zeros_like(x), torch.zeros_like(x)),
        "large": (1e4 * x, -1e4 * y),
        "small": (1e-6 * x, y),
    }


def every_corner(shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """All of them in single and half precision, with what to call each in a message."""
    for dtype in (torch.float32, torch.bfloat16):
        for corner, pair in corners(shape, dtype).items():
            yield f"{corner}, {dtype}", pair


@every_agreement
@pytest.mark.parametrize("b", [1, 3])
def test_an_agreement_equals_its_formula_in_loops(name, b):
    student, teacher = (normal(b, *AGREED[name].shape, seed=seed) for seed in (1, 2))
    got = agree(name, student, teacher, rows(b))
    assert got.shape == (() if AGREED[name].whole else (b,))
    expected = AGREED[name].loops(student.numpy(), teacher.numpy(), rows(b).tolist())
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12)


@every_agreement
def test_an_agreement_says_whether_it_compares_the_batch_as_a_whole(name):
    """Another third example changes the first one's loss, or it does not."""
    student, teacher = (normal(4, *AGREED[name].shape, seed=seed) for seed in (1, 2))
    others = student.clone(), teacher.clone()
    others[0][2] = 2 * student[2].flip(-1)
    others[1][2] = -teacher[2]
    first, again = agree(name, student, teacher, ROWS), agree(name, *others, ROWS)
    if not AGREED[name].whole:
        first, again = first[0], again[0]
    depends = LOSSES[name.partition(" ")[0]].whole_batch and not name.endswith(" memory")
    assert (first.item() != again.item()) is depends


@every_agreement
def test_an_agreement_has_the_gradient_it_says(name):
    shape = AGREED[name].shape
    student, teacher = (normal(3, *shape, seed=seed).requires_grad_() for seed in (1, 2))
    assert gradcheck(lambda s: agree(name, s, teacher.detach(), rows(3)), (student,))
    if AGREED[name].trains_teacher_side:
        assert gradcheck(lambda t: agree(name, student.detach(), t, rows(3)), (teacher,))


@every_agreement
def test_an_agreement_sends_the_teachers_network_nothing(name):
    """It detaches the teacher's side itself, or the engine does and only a head learns."""
    shape, width = AGREED[name].shape, math.prod(AGREED[name].shape)
    network, head = nn.Linear(3, width).double(), nn.Linear(width, width).double()
    student, features = normal(4, *shape, seed=1).requires_grad_(), network(normal(4, 3))
    if AGREED[name].trains_teacher_side:
        features = features.detach()
    agree(name, student, head(features).view(4, *shape), rows(4)).sum().backward()
    assert all(p.grad is None for p in network.parameters())
    assert student.grad.flatten(1).abs().amax(1).min() > 0
    reached = all(p.grad is not None for p in head.parameters())
    assert reached is AGREED[name].trains_teacher_side


@every_agreement
def test_an_agreement_does_not_depend_on_the_order_of_examples(name):
    student, teacher = (normal(4, *AGREED[name].shape, seed=seed) for seed in (1, 2))
    order = torch.tensor([2, 0, 3, 1])
    plain = agree(name, student, teacher, ROWS)
    turned = agree(name, student[order], teacher[order], ROWS[order])
    if AGREED[name].ordered:
        assert turned.item() != plain.item()
        return
    torch.testing.assert_close(turned, plain if AGREED[name].whole else plain[order])


@every_agreement
def test_an_agreement_is_finite_at_the_corners(name):
    for where, pair in every_corner(AGREED[name].shape):
        student, teacher = (x.clone().requires_grad_() for x in pair)
        loss = agree(name, student, teacher, rows(len(student)))
        loss.sum().backward()
        assert torch.isfinite(loss).all(), where
        for grad in [x.grad for x in (student, teacher) if x.grad is not None]:
            assert torch.isfinite(grad).all(), where
            assert grad.abs().max() <= AGREED[name].bound(student, teacher) * 1.02, where


@every_agreement
def test_an_agreement_leaves_its_inputs_alone(name):
    student, teacher = (normal(3, *AGREED[name].shape, seed=seed) for seed in (1, 2))
    before = student.clone(), teacher.clone()
    agree(name, student, teacher, rows(3))
    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])


@every_representation
def test_a_representation_equals_its_formula_in_loops(name, kind):
    loops = REPRESENTED[name].loops
    if loops is None:
        pytest.skip("it depends on the batch; it has a test of its own")
    x = normal(3, *SHAPES[kind])
    for side in sides(name, kind):
        expected = np.stack([loops(example, side) for example in x.numpy()])
        got = represent(side, x).detach().numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@every_representation
def test_a_representation_has_the_gradient_it_says(name, kind):
    x = normal(2, *SHAPES[kind]).requires_grad_()
    assert gradcheck(lambda z: represent(sides(name, kind)[0], z), (x,), fast_mode=True)


@every_representation
def test_a_representation_trains_its_heads_and_not_the_teachers_network(name, kind):
    """The fixed part has no parameters; what it gave is a constant to the part that is trained."""
    _, side = sides(name, kind)
    network = nn.Linear(SHAPES[kind][-1], SHAPES[kind][-1]).double()
    trained = list(side.parameters())
    fixed = side.precompute(network(normal(3, *SHAPES[kind])))
    said = side(fixed.detach())
    assert len(fixed) == len(said) == 3
    if trained:
        slopes = torch.autograd.grad(fixed.sum(), trained, allow_unused=True, retain_graph=True)
        assert not any(slope is not None for slope in slopes)
        own = side.aux_loss(
            side.aux_input(fixed.detach(), said), lambda logits: logits.square().sum(1), 0
        )
        (said.square().sum() + (0 if own is None else own)).backward()
        assert all(p.grad is not None for p in trained)
    assert all(p.grad is None for p in network.parameters())


@every_representation
def test_a_representation_does_not_depend_on_the_order_of_examples(name, kind):
    x, order = normal(4, *SHAPES[kind]), torch.tensor([2, 0, 3, 1])
    for side in sides(name, kind):
        torch.testing.assert_close(represent(side, x[order]), represent(side, x)[order])


@every_representation
def test_a_representation_is_finite_at_the_corners(name, kind):
    for where, pair in every_corner(SHAPES[kind]):
        for side, given in zip(sides(name, kind), pair, strict=True):
            x = given.clone().requires_grad_()
            whole(side).to(x.dtype)
            said = represent(side, x)
            assert torch.isfinite(said).all(), where
            if whole(side) is not side:  # what another term's side learns is only repeated
                assert not said.requires_grad, where
                continue
            said.backward(torch.ones_like(said))
            assert torch.isfinite(x.grad).all(), where
            if REPRESENTED[name].bounded:
                outer = said[0].numel() ** 0.5
                steepest = REPRESENTED[name].steepest or slope_bound(side.double())
                bound = steepest * outer * 1.05
                assert x.grad.flatten(1).double().norm(dim=1).max() <= bound, where


@every_representation
def test_a_representation_leaves_its_input_alone(name, kind):
    x = normal(3, *SHAPES[kind])
    before = x.clone()
    for side in sides(name, kind):
        represent(side, x)
    assert torch.equal(x, before)


def loss_and_gradient(
    function: Callable[..., Tensor], x: Tensor, *others: Tensor, **given: Any
) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    said = function(x, *others, **given)
    (
        said * torch.linspace(-1, 2, said.numel(), dtype=said.dtype).reshape(said.shape)
    ).sum().backward()
    return said.detach(), x.grad


OF_ITS_OWN = ("contrast", "info_nce", "cka", "project", "dense_to_teacher")
"""Words with chunks, a backward pass or a state of their own, which tracing may break."""


def compare_compiled(names: Collection[str]) -> None:
    """These words, plain and compiled: the same values and gradients."""
    backend = "aot_eager"
    for name, case in AGREED.items():
        if name not in names:
            continue
        student, teacher = (case.before(normal(3, *case.shape, seed=seed)) for seed in (1, 2))
        student = case.student_before(student)
        given, function = case.given(student, teacher, rows(3)), function_of(name)
        plain, compiled = (
            loss_and_gradient(each, student, teacher, **given)
            for each in (function, torch.compile(function, backend=backend))
        )
        torch.testing.assert_close(compiled, plain)
        print("same:", name)
    for name in REPRESENTED:
        if name not in names:
            continue
        for kind in REPRESENTED[name].kinds:
            side, _ = sides(name, kind)
            plain, compiled = (
                loss_and_gradient(each, normal(3, *SHAPES[kind]))
                for each in (
                    partial(represent, side),
                    torch.compile(partial(represent, side), backend=backend),
                )
            )
            torch.testing.assert_close(compiled, plain)
        print("same:", name)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(OF_ITS_OWN, id="some"),
        pytest.param((*AGREED, *REPRESENTED), id="all", marks=pytest.mark.slow),
    ],
)
def test_words_compile(names: tuple[str, ...]) -> None:
    """In a process of its own: the shape checks that the tests run under cannot be traced."""
    code = f"from tests.test_contract import *; compare_compiled({names!r})"
    lines = ended(start("-c", code), seconds=600).splitlines()
    assert lines == [f"same: {name}" for name in (*AGREED, *REPRESENTED) if name in names]
