"""Linear probes: at the minimum of their formula, and steps of gradient descent as loops."""

import numpy as np
import pytest
import torch

from mentee.errors import DataError
from mentee.metrics import (
    Labeled,
    classification_scores,
    linear_probe,
    logistic_regressions,
    softmax_regression,
    train_layer,
)
from mentee.metrics.linear_probe import DEFAULT_STRENGTH, STRENGTHS
from mentee.tasks import MultiLabel, SingleLabel


def accuracy(outputs, labeled):
    return classification_scores(outputs, labeled.labels)["accuracy"]


def fit(train, k, **options):
    return linear_probe(train, k, softmax_regression, accuracy, **options)


def clusters(n, classes, d=6, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(classes, d)) * 2
    y = np.arange(n) % classes
    x = centers[y] + spread * rng.normal(size=(n, d)) + 5
    return Labeled(torch.from_numpy(x).float(), torch.from_numpy(y))


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("strength", [1.0, 1e-2, 1e-4])
def test_it_is_where_the_slope_is_zero(strength):
    """∂/∂W of mean loss + λ/2 ‖W‖² over standardized vectors, in loops of NumPy."""
    train = clusters(90, 3, spread=3.0)
    layer = fit(train, 3, validation=(train, train), strengths=[strength])
    assert layer.strength == strength
    x, y = train.vectors.double().numpy(), train.labels.numpy()
    mean, std = x.mean(0), x.std(0)
    z, w = (x - mean) / std, layer.weight.double().numpy() * std
    b = layer.bias.double().numpy() + layer.weight.double().numpy() @ mean
    error = softmax(z @ w.T + b) - np.eye(3)[y]
    slope = error.T @ z / len(z) + strength * w
    assert np.abs(slope).max() < 2e-3
    assert np.abs(error.mean(0)).max() < 2e-3
    assert np.abs(w).max() > 0.05


def test_the_layer_reads_the_vectors_as_they_came():
    train, test = clusters(120, 4), clusters(200, 4, seed=1)
    layer = fit(train, 4)
    assert layer.strength == DEFAULT_STRENGTH
    assert classification_scores(layer(test.vectors), test.labels)["accuracy"] > 0.85
    # An entry that never changes says nothing, and nothing is divided by its deviation.
    still = torch.cat([train.vectors, torch.full((120, 1), 7.0)], 1)
    same = fit(Labeled(still, train.labels), 4)
    torch.testing.assert_close(same.weight[:, :6], layer.weight, rtol=1e-3, atol=1e-4)
    assert (same.weight[:, 6] == 0).all()


def test_the_strength_is_the_best_on_validation():
    """Many entries of noise and few examples: a strong penalty, and the choice is by accuracy."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 60))
    y = (x[:, 0] + 0.3 * rng.normal(size=300) > 0).astype(np.int64)
    whole = Labeled(torch.from_numpy(x).float(), torch.from_numpy(y))
    part, held_out = whole.take(torch.arange(60)), whole.take(torch.arange(60, 300))
    chosen = fit(part, 2, validation=(part, held_out))
    found = {
        strength: classification_scores(
            fit(part, 2, validation=(part, held_out), strengths=[strength])(held_out.vectors),
            held_out.labels,
        )["accuracy"]
        for strength in STRENGTHS
    }
    best = max(found.values())
    assert found[chosen.strength] == best
    assert chosen.strength == max(s for s, score in found.items() if score == best)
    assert min(found.values()) < best


def test_two_classes_and_a_class_without_an_example():
    train = clusters(80, 2)
    layer = fit(train, 3)
    assert layer.weight.shape == (3, 6)
    said = layer(train.vectors).softmax(1)
    assert (said[:, 2] < 1e-6).all()
    assert classification_scores(said, train.labels)["accuracy"] > 0.9
    with pytest.raises(DataError, match=r"all 80 examples are of class \[0\]; give"):
        fit(Labeled(train.vectors, torch.zeros(80, dtype=torch.int64)), 2)


def test_several_classes_with_unknown_labels():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(200, 4))
    y = (x[:, :3] > 0).astype(np.float32)
    y[:, 2] = 1
    known = rng.random((200, 3)) < 0.5
    wrong = np.where(known, y, 1 - y)  # what is not known must not be read
    train = Labeled(*(torch.from_numpy(a) for a in (x.astype(np.float32), wrong, known)))
    layer = linear_probe(train, 3, logistic_regressions, accuracy)
    said = layer(train.vectors).sigmoid().numpy()
    assert ((said[:, :2] > 0.5) == (y[:, :2] > 0.5)).mean() > 0.9
    positive = known[:, 2].sum()  # only ever yes: the smoothed log-odds, whatever the vector
    np.testing.assert_allclose(
        layer.bias[2].item(), np.log((positive + 0.5) / 0.5), rtol=1e-5
    )  # fmt: skip
    assert (layer.weight[2] == 0).all()


@pytest.mark.parametrize("views", [0, 2])
def test_a_trained_layer_is_its_steps(views):
    train = clusters(37, 3)
    more = torch.randn(views, 37, 6) + 1 if views else None
    layer = train_layer(
        train, k=3, loss=SingleLabel().loss, views=more, epochs=5, batch=16, lr=0.1,
        milestones=(2, 4), factor=0.5, weight_decay=0.01, seed=3,
    )  # fmt: skip
    own = torch.Generator().manual_seed(3)
    bound = 6**-0.5
    first = [
        torch.empty(s).uniform_(-bound, bound, generator=own).double().numpy() for s in ((3, 6), 3)
    ]
    orders = [
        [rows.numpy() for rows in torch.randperm(37, generator=own).split(16)] for _ in range(5)
    ]
    w, b = first
    vw = vb = 0.0
    for epoch, rate in enumerate([0.1, 0.1, 0.05, 0.05, 0.025]):
        x = (train.vectors if more is None else more[epoch % views]).double().numpy()
        for rows in orders[epoch]:
            error = softmax(x[rows] @ w.T + b) - np.eye(3)[train.labels.numpy()[rows]]
            vw = 0.9 * vw + error.T @ x[rows] / len(rows) + 0.01 * w
            vb = 0.9 * vb + error.mean(0) + 0.01 * b
            w, b = w - rate * vw, b - rate * vb
    np.testing.assert_allclose(layer.weight.numpy(), w, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(layer.bias.numpy(), b, rtol=1e-3, atol=1e-4)


def test_a_trained_layer_of_several_classes_learns():
    x = torch.randn(150, 4)
    y = (x[:, :2] > 0).float()
    layer = train_layer(Labeled(x, y), k=2, loss=MultiLabel().loss, epochs=20, milestones=(15,))
    assert ((layer(x) > 0) == (y > 0.5)).float().mean() > 0.95
