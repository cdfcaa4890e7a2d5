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


def length(x):
    return math.sqrt(sum(float(v) ** 2 for v in x))


def unit(x):
    return np.asarray(x) / max(length(x), 1e-3)


def frames(x):
    """One batch `[b, d]` for each frame of `[b, t, d]`; `[b, d]` is one frame."""
    return [x] if x.ndim == 2 else [x[:, f] for f in range(x.shape[1])]


def by_frame(loss, student, teacher):
    pairs = zip(frames(student), frames(teacher), strict=True)
    return sum(loss(x, y) for x, y in pairs) / len(frames(student))


def distance_correlation(student, teacher):
    return by_frame(one_distance_correlation, student, teacher)


def one_distance_correlation(x, y):
    a, b = centred_distances(x), centred_distances(y)
    n = len(x) ** 2
    both, own, theirs = ((p * q).sum() / n for p, q in ((a, b), (a, a), (b, b)))
    return 1 - both / math.sqrt(own * theirs + 1e-9)


def centred_distances(x):
    n = len(x)
    a = np.array([[math.sqrt(length(p - q) ** 2 + 1e-12) for q in x] for p in x])
    centred = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            centred[i, j] = a[i, j] - sum(a[i]) / n - sum(a[:, j]) / n + a.sum() / n**2
    return centred


def cosine_distance_difference(student, teacher):
    return by_frame(one_cosine_distance_difference, student, teacher)


def one_cosine_distance_difference(x, y):
    total = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            total += abs(np.dot(unit(x[i]), unit(x[j])) - np.dot(unit(y[i]), unit(y[j])))
    return total / len(x) ** 2


def cka(student, teacher, debiased=False):
    hsic = hsic_unbiased if debiased else hsic_biased
    return by_frame(lambda x, y: one_cka(x, y, hsic), student, teacher)


def one_cka(x, y, hsic):
    if len(x) == 1:
        return 1.0
    k, m = (np.array([[np.dot(p, q) for q in z] for p in z]) for z in (x, y))
    return 1 - hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))


def hsic_biased(k, m):
    """tr(K H M H) / (n - 1)², H = I - 1/n."""
    n = len(k)
    h = np.eye(n) - 1 / n
    return np.trace(k @ h @ m @ h) / (n - 1) ** 2


def hsic_unbiased(k, m):
    """The three sums of Song et al. 2012, over matrices with an empty diagonal."""
    n = len(k)
    k, m = (x - np.diag(np.diag(x)) for x in (k, m))
    pairs = np.trace(k @ m)
    apart = k.sum() * m.sum() / ((n - 1) * (n - 2))
    chained = 2 / (n - 2) * (k @ m).sum()
    return (pairs + apart - chained) / (n * (n - 3))


def kl_of_scores(student, teacher, temperature):
    p = softmax([v / temperature for v in teacher])
    q = softmax([v / temperature for v in student])
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))


def similarity_kl(student, teacher, temperature):
    losses = []
    for i in range(len(student)):
        scores = [
            [np.dot(unit(z[i]), unit(z[j])) for j in range(len(z)) if j != i]
            for z in (student, teacher)
        ]
        losses.append(kl_of_scores(*scores, temperature) if scores[0] else 0.0)
    return np.array(losses)


def similarity_kl_with_rows(student, teacher, rows, temperature):
    return np.array(
        [
            kl_of_scores(*([np.dot(unit(v), unit(row)) for row in rows] for v in pair), temperature)
            for pair in zip(student, teacher, strict=True)
        ]
    )


def cosine(student, teacher):
    losses = []
    for x, y in zip(student, teacher, strict=True):
        pairs = zip(np.atleast_2d(x), np.atleast_2d(y), strict=True)
        losses.append(np.mean([1 - np.dot(unit(p), unit(q)) for p, q in pairs]))
    return np.array(losses)


def mse(student, teacher):
    return np.array(
        [
            np.mean([(p - q) ** 2 for p, q in zip(x.ravel(), y.ravel(), strict=True)])
            for x, y in zip(student, teacher, strict=True)
        ]
    )


def smooth_l1(student, teacher, beta):
    losses = []
    for x, y in zip(student, teacher, strict=True):
        gaps = [abs(p - q) for p, q in zip(x.ravel(), y.ravel(), strict=True)]
        losses.append(np.mean([g**2 / (2 * beta) if g < beta else g - beta / 2 for g in gaps]))
    return np.array(losses)


def binary_kd(student, teacher, mask, temperature):
    """With the published code's 1e-9 beside 1 - p and 1 - q."""
    labelled, losses = int(np.sum(mask)), []
    for zs, zt, known in zip(student, teacher, mask, strict=True):
        loss = 0.0
        for s, t, m in zip(zs, zt, known, strict=True):
            p, q = (1 / (1 + math.exp(-z / temperature)) for z in (t, s))
            kl = p * (t - s) / temperature + math.log((1 - p + 1e-9) / (1 - q + 1e-9))
            loss += kl * bool(m)
        losses.append(temperature**2 * loss * len(mask) / max(labelled, 1))
    return np.array(losses)
