"""The papers' formulas as loops in float64 NumPy: no torch, nothing shared with the package."""

import math

import numpy as np


def softmax(z):
    e = [math.exp(v - max(z)) for v in z]
    return [v / sum(e) for v in e]


def kl(student, teacher, temperature):
    losses = []
    for zs, zt in zip(student, teacher, strict=True):
        p = softmax([v / temperature for v in zt])
        q = softmax([v / temperature for v in zs])
        losses.append(
            temperature**2 * sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
        )
    return np.array(losses)


def nce(anchor, positive, negatives, temperature, z, count, examples, eps=1e-7):
    """One anchor of CRD: `negatives` is a list of rows, each weighing count / len(negatives)."""
    c = count / examples
    p0 = math.exp(float(np.dot(positive, anchor)) / temperature) / z
    loss = -math.log(p0 / (p0 + c + eps))
    for row in negatives:
        pk = math.exp(float(np.dot(row, anchor)) / temperature) / z
        loss -= math.log(c / (pk + c + eps)) * count / len(negatives)
    return loss


def normaliser(anchors, positives, negatives, temperature, count, examples):
    """Z: the number of examples times the mean exponentiated score of a first batch."""
    means = []
    for anchor, positive, rows in zip(anchors, positives, negatives, strict=True):
        own = math.exp(float(np.dot(positive, anchor)) / temperature)
        others = np.mean([math.exp(float(np.dot(row, anchor)) / temperature) for row in rows])
        means.append((own + count * others) / (1 + count))
    return examples * float(np.mean(means))


def cross_entropy(logits, label, smoothing=0.0):
    p, k = softmax(logits), len(logits)
    target = [smoothing / k + (1 - smoothing) * (c == label) for c in range(k)]
    return -sum(t * math.log(v) for t, v in zip(target, p, strict=True))


def masked_bce(logits, labels, mask):
    losses = []
    for z, y, known in zip(logits, labels, mask, strict=True):
        if known:
            p = 1 / (1 + math.exp(-z))
            losses.append(-(y * math.log(p) + (1 - y) * math.log(1 - p)))
    return sum(losses) / max(len(losses), 1)
