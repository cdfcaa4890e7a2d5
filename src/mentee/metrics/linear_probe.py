"""Linear probes: what one layer makes of vectors that stay as they are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mentee.errors import DataError
from mentee.losses.task import task_loss
from mentee.metrics.scores import scores

STRENGTHS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Of the penalty, strongest first: λ against the mean loss of an example."""
USUAL = 1e-2
"""The strength where nothing can choose one."""
SMALLEST_STD = 1e-6
ITERATIONS = 1000
ABSENT = -30.0
"""The bias of a class that no example has."""


@dataclass(frozen=True)
class LinearClassifier:
    """A linear layer: `x Wᵀ + b`.

    Attributes:
        weight: `[k, d]`.
        bias: `[k]`.
        strength: of the penalty that it was fitted with; None: it was trained by steps.
    """

    weight: Float[Tensor, "k d"]
    bias: Float[Tensor, " k"]
    strength: float | None = None

    def __call__(self, vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The logits."""
        return vectors.float() @ self.weight.T + self.bias


@dataclass(frozen=True)
class Labeled:
    """Vectors with what is known of their classes.

    Attributes:
        vectors: `[n, d]`.
        labels: class numbers `[n]`, or 0/1 `[n, k]`.
        mask: `[n, k]`, true where a label of several is known.
    """

    vectors: Float[Tensor, "n d"]
    labels: Tensor
    mask: Bool[Tensor, "n k"] | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: Tensor) -> Labeled:
        """Some of them."""
        mask = None if self.mask is None else self.mask[rows]
        return Labeled(self.vectors[rows], self.labels[rows], mask)


def linear_probe(
    train: Labeled,
    *,
    classes: int,
    validation: tuple[Labeled, Labeled] | None = None,
    strengths: Sequence[float] = STRENGTHS,
) -> LinearClassifier:
    r"""Logistic regression by scikit-learn, the strength of its penalty chosen on validation.

    .. math:: \min_{W, b} \; \frac1n \sum_i \ell(W z_i + b, y_i) + \frac\lambda2 \lVert W \rVert^2,
              \quad z = (x - \mu) / \sigma

    with the mean and deviation of each entry over the vectors it learns from. Where an example may
    have several classes: one such regression for each, over the examples of which it is known.

    Args:
        train: what it learns from in the end.
        classes: how many classes there are.
        validation: (what it learns from while λ is chosen, what chooses λ); None: the middle one,
            0.01. Of equally good ones the stronger is taken.
        strengths: λ to choose from.

    Returns:
        The layer on the vectors as they came: mean and deviation are in its weights.

    Raises:
        DataError: there are fewer than two classes to tell apart.

    Memory: O(n d), in float64.
    """
    if validation is None:
        return _fitted(train, classes, [USUAL])[0]
    part, held_out = validation
    best, chosen = -1.0, USUAL
    for layer in _fitted(part, classes, sorted(strengths, reverse=True)):
        found = scores(layer(held_out.vectors), held_out.labels, held_out.mask)
        score = found.get("accuracy", found.get("map", 0.0))
        if score > best and layer.strength is not None:
            best, chosen = score, layer.strength
    return _fitted(train, classes, [chosen])[0]


def train_layer(
    train: Labeled,
    *,
    classes: int,
    views: Float[Tensor, "v n d"] | None = None,
    epochs: int = 240,
    batch: int = 64,
    rate: float = 0.05,
    momentum: float = 0.9,
    decay: float = 5e-4,
    milestones: Sequence[int] = (150, 180, 210),
    factor: float = 0.1,
    seed: int = 0,
) -> LinearClassifier:
    """A layer trained by steps of gradient descent, with CKTF's schedule for it by default.

    Args:
        train: what it learns from.
        classes: how many classes there are.
        views: `[v, n, d]`, vectors of augmented views of the same examples; epoch e reads view e
            mod v. None: the vectors of `train` in every epoch.
        epochs: passes over the examples.
        batch: examples of a step; the last of an epoch may be smaller.
        rate: learning rate, multiplied by `factor` after the epochs of `milestones`.
        momentum: of the steps.
        decay: of weights and biases.
        milestones: epochs.
        factor: at each of them.
        seed: of the first weights and of the order.

    Returns:
        The layer.

    Source: arXiv:2303.07599, the second step of its transfer learning; there the batch norm of
    the frozen network moves on with the labeled images, here it stays.
    """
    own = torch.Generator().manual_seed(seed)
    read = train.vectors.float()[None] if views is None else views.float()
    layer = nn.Linear(read.shape[2], classes)
    bound = read.shape[2] ** -0.5  # as torch initializes it
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=own)
    steps = torch.optim.SGD(
        layer.parameters(), lr=rate, momentum=momentum, weight_decay=decay, fused=True
    )
    for epoch in range(epochs):
        steps.param_groups[0]["lr"] = rate * factor ** sum(epoch >= m for m in milestones)
        vectors = read[epoch % len(read)]
        for rows in torch.split(torch.randperm(len(train), generator=own), batch):
            some = train.take(rows)
            loss = task_loss(layer(vectors[rows]), some.labels, some.mask).mean()
            steps.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            steps.step()
    return LinearClassifier(layer.weight.detach(), layer.bias.detach())


def _fitted(train: Labeled, classes: int, strengths: Sequence[float]) -> list[LinearClassifier]:
    """A layer for each strength, one after the other from where the last one ended."""
    x = train.vectors.double().numpy()
    mean, std = x.mean(0), x.std(0)
    std[std < SMALLEST_STD * max(float(std.max(initial=0.0)), 1e-12)] = np.inf  # says nothing
    z = (x - mean) / std
    fit = _of_one if train.labels.ndim == 1 else _of_several
    layers = []
    for strength, (weight, bias) in zip(strengths, fit(z, train, classes, strengths), strict=True):
        own = weight / std
        layer = LinearClassifier(
            torch.from_numpy(own).float(), torch.from_numpy(bias - own @ mean).float()
        )
        layers.append(replace(layer, strength=strength))
    return layers


Fit = list[tuple[Any, Any]]


def _of_one(z: Any, train: Labeled, classes: int, strengths: Sequence[float]) -> Fit:
    labels = train.labels.numpy()
    found = np.unique(labels)
    if len(found) < 2:
        raise DataError(
            f"a probe tells classes apart, and all {len(labels)} examples are of class "
            f"{found.tolist()}; give examples of two at least"
        )
    fits = []
    for coefficients, intercept in _regressions(z, labels, strengths):
        weight, bias = np.zeros((classes, z.shape[1])), np.full(classes, ABSENT)
        if len(found) == 2:  # scikit-learn has one row then: the log-odds of the second
            weight[found[1]], bias[found] = coefficients[0], [0.0, intercept[0]]
        else:
            weight[found], bias[found] = coefficients, intercept
        fits.append((weight, bias))
    return fits


def _of_several(z: Any, train: Labeled, classes: int, strengths: Sequence[float]) -> Fit:
    labels = train.labels.numpy()
    known = np.ones_like(labels, bool) if train.mask is None else train.mask.numpy()
    fits = [(np.zeros((classes, z.shape[1])), np.zeros(classes)) for _ in strengths]
    for c in range(classes):
        rows = np.flatnonzero(known[:, c])
        y = labels[rows, c] > 0.5
        if y.all() or not y.any():  # nothing to tell apart: the smoothed log-odds
            odds = np.log((y.sum() + 0.5) / (len(y) - y.sum() + 0.5))
            for _, bias in fits:
                bias[c] = odds
            continue
        for (weight, bias), (coefficients, intercept) in zip(
            fits, _regressions(z[rows], y, strengths), strict=True
        ):
            weight[c], bias[c] = coefficients[0], intercept[0]
    return fits


def _regressions(z: Any, labels: Any, strengths: Sequence[float]) -> Fit:
    from sklearn.linear_model import LogisticRegression

    model, fits = LogisticRegression(max_iter=ITERATIONS, warm_start=True), []
    for strength in strengths:
        model.C = 1 / (strength * len(z))  # scikit-learn adds the losses up
        with warnings.catch_warnings():  # of a minimum that is not reached in so many iterations
            warnings.simplefilter("ignore")
            model.fit(z, labels)
        fits.append((model.coef_.copy(), model.intercept_.copy()))
    return fits
