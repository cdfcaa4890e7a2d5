"""Linear probes: one layer fitted on vectors that stay as they are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mentee.errors import DataError

STRENGTHS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Of the penalty, strongest first: λ against the mean loss of an example."""
DEFAULT_STRENGTH = 1e-2
"""The strength where nothing can choose one."""
SMALLEST_STD = 1e-6
ITERATIONS = 1000
ABSENT = -30.0
"""The bias of a class that no example has."""


@dataclass(frozen=True)
class LinearLayer:
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
        """The outputs."""
        return vectors.float() @ self.weight.T + self.bias


@dataclass(frozen=True)
class Labeled:
    """Vectors with their labels.

    Attributes:
        vectors: `[n, d]`.
        labels: class numbers `[n]`, or 0/1 or real values `[n, k]`.
        mask: `[n, k]`, true where a label is known; None: all are.
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


Fits: TypeAlias = list[tuple[Any, Any]]
"""(weight `[k, d]`, bias `[k]`) for each strength of the penalty."""
Regressor: TypeAlias = Callable[[Any, Labeled, int, Sequence[float]], Fits]
"""(standardized vectors `[n, d]`, their labels, k, strengths) to fits."""


def linear_probe(
    train: Labeled,
    k: int,
    regressor: Regressor,
    score: Callable[[Tensor, Labeled], float],
    *,
    validation: tuple[Labeled, Labeled] | None = None,
    strengths: Sequence[float] = STRENGTHS,
) -> LinearLayer:
    r"""A penalized regression, the strength of its penalty chosen on validation.

    .. math:: \min_{W, b} \; \frac1n \sum_i \ell(W z_i + b, y_i) + \frac\lambda2 \lVert W \rVert^2,
              \quad z = (x - \mu) / \sigma

    with the mean and deviation of each entry over the vectors it is fitted on.

    Args:
        train: what it is fitted on in the end.
        k: outputs.
        regressor: `softmax_regression`, `logistic_regressions` or `ridge_regressions`.
        score: outputs and labels to a score of which more is better.
        validation: (what it is fitted on while λ is chosen, what chooses λ); None: the middle one,
            0.01. Of equally good ones the stronger is taken.
        strengths: λ to choose from.

    Returns:
        The layer on the vectors as they came: mean and deviation are in its weights.

    Raises:
        DataError: there are fewer than two classes to tell apart.

    Memory: O(n d), in float64.
    """
    if validation is None:
        return _fitted(train, k, regressor, [DEFAULT_STRENGTH])[0]
    part, held_out = validation
    best, chosen = -np.inf, DEFAULT_STRENGTH
    for layer in _fitted(part, k, regressor, sorted(strengths, reverse=True)):
        value = score(layer(held_out.vectors), held_out)
        if value > best and layer.strength is not None:
            best, chosen = value, layer.strength
    return _fitted(train, k, regressor, [chosen])[0]


def train_layer(
    train: Labeled,
    *,
    k: int,
    loss: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    views: Float[Tensor, "v n d"] | None = None,
    epochs: int = 240,
    batch: int = 64,
    lr: float = 0.05,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    milestones: Sequence[int] = (150, 180, 210),
    factor: float = 0.1,
    seed: int = 0,
) -> LinearLayer:
    """A layer trained by steps of gradient descent, with CKTF's schedule for it by default.

    Args:
        train: what it learns from.
        k: outputs.
        loss: outputs `[b, k]`, labels and mask to losses `[b]`.
        views: `[v, n, d]`, vectors of augmented views of the same examples; epoch e reads view e
            mod v. None: the vectors of `train` in every epoch.
        epochs: passes over the examples.
        batch: examples of a step; the last of an epoch may be smaller.
        lr: learning rate, multiplied by `factor` after the epochs of `milestones`.
        momentum: of the steps.
        weight_decay: of weights and biases.
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
    layer = nn.Linear(read.shape[2], k)
    bound = read.shape[2] ** -0.5  # as torch initializes it
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=own)
    steps = torch.optim.SGD(
        layer.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True
    )
    for epoch in range(epochs):
        steps.param_groups[0]["lr"] = lr * factor ** sum(epoch >= m for m in milestones)
        vectors = read[epoch % len(read)]
        for rows in torch.split(torch.randperm(len(train), generator=own), batch):
            some = train.take(rows)
            mean = loss(layer(vectors[rows]), some.labels, some.mask).mean()
            steps.zero_grad(set_to_none=True)
            mean.backward()  # type: ignore[no-untyped-call]
            steps.step()
    return LinearLayer(layer.weight.detach(), layer.bias.detach())


def _fitted(
    train: Labeled, k: int, regressor: Regressor, strengths: Sequence[float]
) -> list[LinearLayer]:
    """A layer for each strength, one after the other from where the last one ended."""
    x = train.vectors.double().numpy()
    mean, std = x.mean(0), x.std(0)
    std[std < SMALLEST_STD * max(float(std.max(initial=0.0)), 1e-12)] = np.inf  # a constant entry
    z = (x - mean) / std
    layers = []
    fits = regressor(z, train, k, strengths)
    for strength, (weight, bias) in zip(strengths, fits, strict=True):
        own = weight / std
        layer = LinearLayer(
            torch.from_numpy(own).float(), torch.from_numpy(bias - own @ mean).float()
        )
        layers.append(replace(layer, strength=strength))
    return layers


def softmax_regression(z: Any, train: Labeled, k: int, strengths: Sequence[float]) -> Fits:
    """Multinomial logistic regression by scikit-learn, one class an example."""
    labels = train.labels.numpy()
    present = np.unique(labels)
    if len(present) < 2:
        raise DataError(
            f"a probe tells classes apart, and all {len(labels)} examples are of class "
            f"{present.tolist()}; give examples of two at least"
        )
    fits = []
    for coefficients, intercept in _by_scikit_learn(z, labels, strengths):
        weight, bias = np.zeros((k, z.shape[1])), np.full(k, ABSENT)
        if len(present) == 2:  # scikit-learn has one row then: the log-odds of the second
            weight[present[1]], bias[present] = coefficients[0], [0.0, intercept[0]]
        else:
            weight[present], bias[present] = coefficients, intercept
        fits.append((weight, bias))
    return fits


def logistic_regressions(z: Any, train: Labeled, k: int, strengths: Sequence[float]) -> Fits:
    """A logistic regression for each of k classes, over the examples of which it is known."""
    labels = train.labels.numpy()
    known = np.ones_like(labels, bool) if train.mask is None else train.mask.numpy()
    fits = [(np.zeros((k, z.shape[1])), np.zeros(k)) for _ in strengths]
    for c in range(k):
        rows = np.flatnonzero(known[:, c])
        y = labels[rows, c] > 0.5
        if y.all() or not y.any():  # nothing to tell apart: the smoothed log-odds
            odds = np.log((y.sum() + 0.5) / (len(y) - y.sum() + 0.5))
            for _, bias in fits:
                bias[c] = odds
            continue
        for (weight, bias), (coefficients, intercept) in zip(
            fits, _by_scikit_learn(z[rows], y, strengths), strict=True
        ):
            weight[c], bias[c] = coefficients[0], intercept[0]
    return fits


def ridge_regressions(z: Any, train: Labeled, k: int, strengths: Sequence[float]) -> Fits:
    r"""A ridge regression for each of k targets, over the examples of which it is known.

    .. math:: w = (Z^\top Z / n + \lambda I)^{-1} Z^\top (y - \bar y) / n, \quad Z centered
    """
    labels = train.labels.double().numpy()
    known = np.ones(labels.shape, np.bool_) if train.mask is None else train.mask.numpy()
    fits = [(np.zeros((k, z.shape[1])), np.zeros(k)) for _ in strengths]
    for c in range(k):
        rows = known[:, c]
        if not rows.any():
            continue
        center, mean = z[rows].mean(0), labels[rows, c].mean()
        x, y = z[rows] - center, labels[rows, c] - mean
        variances, directions = np.linalg.eigh(x.T @ x / len(x))
        projected = directions.T @ (x.T @ y / len(x))
        for (weight, bias), strength in zip(fits, strengths, strict=True):
            weight[c] = directions @ (projected / (np.maximum(variances, 0) + strength))
            bias[c] = mean - weight[c] @ center
    return fits


def _by_scikit_learn(z: Any, labels: Any, strengths: Sequence[float]) -> Fits:
    from sklearn.linear_model import LogisticRegression

    model, fits = LogisticRegression(max_iter=ITERATIONS, warm_start=True), []
    for strength in strengths:
        model.C = 1 / (strength * len(z))  # scikit-learn adds the losses up
        with warnings.catch_warnings():  # of a minimum that is not reached in so many iterations
            warnings.simplefilter("ignore")
            model.fit(z, labels)
        fits.append((model.coef_.copy(), model.intercept_.copy()))
    return fits
