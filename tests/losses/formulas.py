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


def info_nce(student, teacher, temperature, labels=None, symmetric=False, decoupled=False):
    """Vectors `[b, d]` or maps `[b, d, h, w]`: same example and position against the rest."""
    s, t = (x.reshape(*x.shape[:2], -1) for x in (student, teacher))
    b, _, positions = s.shape
    losses = []
    for i in range(b):
        alike = {j for j in range(b) if labels and labels[j] == labels[i] >= 0} | {i}
        for p in range(positions):
            own = float(np.dot(s[i, :, p], t[i, :, p])) / temperature
            rows = [t[i, :, q] for q in range(positions) if not (decoupled and q == p)]
            rows += [t[j, :, p] for j in range(b) if j not in alike]
            rows = rows or [t[i, :, p]]
            sums = sum(math.exp(float(np.dot(s[i, :, p], row)) / temperature) for row in rows)
            losses.append(math.log(sums) - own)
    loss = float(np.mean(losses))
    if symmetric:
        loss = (loss + info_nce(teacher, student, temperature, labels, decoupled=decoupled)) / 2
    return loss


def info_nce_with_rows(student, teacher, rows, temperature, decoupled=False):
    """Vectors; for each anchor the list of its negative rows."""
    losses = []
    for s, t, others in zip(student, teacher, rows, strict=True):
        own = float(np.dot(s, t)) / temperature
        scores = [float(np.dot(s, row)) / temperature for row in others]
        among = scores if decoupled and scores else [own, *scores]
        losses.append(math.log(sum(math.exp(v) for v in among)) - own)
    return np.array(losses)


def sigmoid_contrast(student, teacher, rows, temperature, bias):
    """Vectors; for each anchor the list of its negative rows."""
    losses = []
    for s, t, others in zip(student, teacher, rows, strict=True):
        loss = math.log(1 + math.exp(-float(np.dot(s, t)) / temperature - bias))
        for row in others:
            loss += math.log(1 + math.exp(float(np.dot(s, row)) / temperature + bias))
        losses.append(loss)
    return np.array(losses)


def normalizer(anchors, positives, negatives, temperature, count, examples):
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


def distance_correlation(student, teacher, debiased=False):
    one = one_debiased_distance_correlation if debiased else one_distance_correlation
    return by_frame(one, student, teacher)


def one_debiased_distance_correlation(x, y):
    """The U-centered distances of Székely and Rizzo 2014, equations 2.4 and 3.1."""
    a, b = u_centered_distances(x), u_centered_distances(y)
    n = len(x) * (len(x) - 3)
    both, own, theirs = ((p * q).sum() / n for p, q in ((a, b), (a, a), (b, b)))
    return 1 - both / math.sqrt(own * theirs)


def u_centered_distances(x):
    n = len(x)
    a = np.array([[length(p - q) for q in x] for p in x])
    centered = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                whole = a.sum() / ((n - 1) * (n - 2))
                centered[i, j] = a[i, j] - (sum(a[i]) + sum(a[:, j])) / (n - 2) + whole
    return centered


def one_distance_correlation(x, y):
    a, b = centered_distances(x), centered_distances(y)
    n = len(x) ** 2
    both, own, theirs = ((p * q).sum() / n for p, q in ((a, b), (a, a), (b, b)))
    return 1 - both / math.sqrt(own * theirs + 1e-9)


def centered_distances(x):
    n = len(x)
    a = np.array([[math.sqrt(length(p - q) ** 2 + 1e-12) for q in x] for p in x])
    centered = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            centered[i, j] = a[i, j] - sum(a[i]) / n - sum(a[:, j]) / n + a.sum() / n**2
    return centered


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


def kl_of_scores(student, teacher, temperature, softness=None):
    p = softmax([v / (softness or temperature) for v in teacher])
    q = softmax([v / temperature for v in student])
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))


def dcd(student, teacher, temperature, alpha):
    scores = np.array([[np.dot(s, t) / temperature for t in teacher] for s in student])
    losses = []
    for i in range(len(student)):
        p, q = softmax(scores[i]), softmax(scores[:, i])
        apart = sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
        losses.append(alpha * apart - math.log(p[i]))
    return np.array(losses)


def itrd_correlation(student, teacher, alpha):
    total = 1e-3
    for x, y in zip(student.T, teacher.T, strict=True):
        deviations = [
            max(math.sqrt(sum((a - v.mean()) ** 2 for a in v) / max(len(v) - 1, 1)), 1e-3)
            for v in (x, y)
        ]
        products = [(a - x.mean()) * (b - y.mean()) for a, b in zip(x, y, strict=True)]
        v = sum(products) / len(x) / deviations[0] / deviations[1]
        total += abs(v - 1) ** (2 * alpha)
    return math.log2(total)


def itrd_mutual(student, teacher):
    """From the eigenvalues of the matrices of trace 1: H_2 = -log2 of the sum of their squares."""
    a, b = (
        np.array(
            [
                [1.0 if i == j else np.dot(unit(p), unit(q)) for j, q in enumerate(z)]
                for i, p in enumerate(z)
            ]
        )
        for z in (student, teacher)
    )
    entropies = [
        -math.log2(sum(v**2 for v in np.linalg.eigvalsh(k / np.trace(k)))) for k in (a * b, a)
    ]
    return entropies[0] - entropies[1]


def similarity_kl(student, teacher, temperature, softness=None):
    losses = []
    for i in range(len(student)):
        scores = [
            [np.dot(unit(z[i]), unit(z[j])) for j in range(len(z)) if j != i]
            for z in (student, teacher)
        ]
        losses.append(kl_of_scores(*scores, temperature, softness) if scores[0] else 0.0)
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
    labeled, losses = int(np.sum(mask)), []
    for zs, zt, known in zip(student, teacher, mask, strict=True):
        loss = 0.0
        for s, t, m in zip(zs, zt, known, strict=True):
            p, q = (1 / (1 + math.exp(-z / temperature)) for z in (t, s))
            kl = p * (t - s) / temperature + math.log((1 - p + 1e-9) / (1 - q + 1e-9))
            loss += kl * bool(m)
        losses.append(temperature**2 * loss * len(mask) / max(labeled, 1))
    return np.array(losses)


def dkd(student, teacher, labels, temperature, alpha, beta):
    losses = []
    for zs, zt, y in zip(student, teacher, labels, strict=True):
        p, q = (softmax([v / temperature for v in z]) for z in (zt, zs))
        target = p[y] * math.log(p[y] / q[y]) + (1 - p[y]) * math.log((1 - p[y]) / (1 - q[y]))
        others = [c for c in range(len(p)) if c != y]
        ratios = [(p[c] / (1 - p[y]), q[c] / (1 - q[y])) for c in others]
        rest = sum(a * math.log(a / b) for a, b in ratios)
        losses.append(temperature**2 * (alpha * target + beta * rest))
    return np.array(losses)


def nkd(student, teacher, labels, temperature, gamma):
    losses = []
    for zs, zt, y in zip(student, teacher, labels, strict=True):
        p, q = softmax(zt), softmax(zs)
        others = [c for c in range(len(p)) if c != y]
        rest_p, rest_q = (softmax([z[c] / temperature for c in others]) for z in (zt, zs))
        rest = sum(a * math.log(b) for a, b in zip(rest_p, rest_q, strict=True))
        losses.append(-p[y] * math.log(q[y]) - gamma * temperature**2 * rest)
    return np.array(losses)


def pearson(u, v):
    u, v = (np.array([a - sum(x) / len(x) for a in x]) for x in (u, v))
    return float(np.dot(u, v)) / (length(u) * length(v) + 1e-8)


def dist(student, teacher, temperature, beta, gamma):
    q, p = (np.array([softmax(row / temperature) for row in z]) for z in (student, teacher))
    rows = 1 - np.mean([pearson(a, b) for a, b in zip(q, p, strict=True)])
    columns = 1 - np.mean([pearson(a, b) for a, b in zip(q.T, p.T, strict=True)])
    return temperature**2 * (beta * rows + gamma * columns)


def ttm(student, teacher, power, weighted=False):
    losses = []
    for zs, zt in zip(student, teacher, strict=True):
        raised = [v**power for v in softmax(zt)]
        whole, q = sum(raised), softmax(zs)
        p = [v / whole for v in raised]
        loss = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        losses.append(loss * (whole if weighted else 1))
    return np.array(losses)


def hard_label(student, teacher):
    return np.array(
        [cross_entropy(s, int(np.argmax(t))) for s, t in zip(student, teacher, strict=True)]
    )


def level(student, teacher, temperature, of_classes):
    """Batch level, or class level: who is predicted like whom."""
    q, p = (np.array([softmax(row / temperature) for row in z]) for z in (student, teacher))
    if of_classes:
        q, p = q.T, p.T
    total = 0.0
    for i in range(len(q)):
        for j in range(len(q)):
            total += (np.dot(q[i], q[j]) - np.dot(p[i], p[j])) ** 2
    return total / len(q)


def unit_rows_of_gram(x):
    gram = np.array([[float(np.dot(a, b)) for b in x] for a in x])
    return np.array([row / length(row) for row in gram])


def sp(student, teacher):
    x, y = (unit_rows_of_gram([each.ravel() for each in z]) for z in (student, teacher))
    return ((x - y) ** 2).sum() / len(x) ** 2


def ickd(student, teacher):
    losses = []
    for s, t in zip(student, teacher, strict=True):
        x, y = (unit_rows_of_gram([channel.ravel() for channel in z]) for z in (s, t))
        losses.append(((x - y) ** 2).sum() / len(x))
    return np.array(losses)


def huber(z):
    return z**2 / 2 if abs(z) < 1 else abs(z) - 0.5


def relative_distances(x):
    b = len(x)
    a = [[length(p - q) for q in x] for p in x]
    mean = sum(sum(row) for row in a) / max(b * (b - 1), 1)
    return [[v / mean if mean else 0.0 for v in row] for row in a]


def angle(x, i, j, k):
    to_j, to_k = x[j] - x[i], x[k] - x[i]
    return 0.0 if j == i or k == i else float(np.dot(to_j, to_k)) / (length(to_j) * length(to_k))


def rkd(student, teacher, distance, angles):
    x, y = ([each.ravel() for each in z] for z in (student, teacher))
    b, every = len(x), range(len(x))
    a, c = relative_distances(x), relative_distances(y)
    pairs = sum(huber(a[i][j] - c[i][j]) for i in every for j in every)
    triples = sum(
        huber(angle(x, i, j, k) - angle(y, i, j, k)) for i in every for j in every for k in every
    )
    return distance * pairs / b**2 + angles * triples / b**3


def neighbors(x):
    x = [row / (length(row) + 1e-7) for row in x]
    near = np.array([[(1 + np.dot(a, b)) / 2 for b in x] for a in x])
    return np.array([row / sum(row) for row in near])


def pkt(student, teacher):
    q, p = (neighbors([each.ravel() for each in z]) for z in (student, teacher))
    total = 0.0
    for i in range(len(q)):
        for j in range(len(q)):
            total += p[i, j] * math.log((p[i, j] + 1e-7) / (q[i, j] + 1e-7))
    return total / len(q) ** 2


def cc(student, teacher):
    gaps = [
        [abs(a - b) for a, b in zip(x, y, strict=True)]
        for x, y in zip(student, teacher, strict=True)
    ]
    total = sum(np.dot(gaps[i], gaps[i + 1]) for i in range(len(gaps) - 1))
    return total / max(len(gaps) - 1, 1)


def channels(x):
    return [unit(channel.ravel()) for channel in x]


def nst(student, teacher):
    def kernel(a, b):
        return np.mean([[np.dot(u, v) ** 2 for v in b] for u in a])

    losses = []
    for s, t in zip(student, teacher, strict=True):
        x, y = channels(s), channels(t)
        losses.append(kernel(y, y) + kernel(x, x) - 2 * kernel(x, y))
    return np.array(losses)


def cells(channel, n):
    """A map averaged over n by n cells, which overlap where they do not fit."""
    h, w = channel.shape
    edges = [[(i * side // n, -(-(i + 1) * side // n)) for i in range(n)] for side in (h, w)]
    return np.array([[channel[a:b, c:d].mean() for c, d in edges[1]] for a, b in edges[0]])


def hcl(student, teacher):
    losses = []
    for x, y in zip(student, teacher, strict=True):
        loss, weight, total = np.mean((x - y) ** 2), 1.0, 1.0
        for n in (4, 2, 1):
            if n < x.shape[1]:
                weight, total = weight / 2, total + weight / 2
                gaps = [cells(p, n) - cells(q, n) for p, q in zip(x, y, strict=True)]
                loss += weight * np.mean(np.square(gaps))
        losses.append(loss / total)
    return np.array(losses)


def by_unit(student, teacher, loss):
    pairs = zip(student, teacher, strict=True)
    return np.array(
        [sum(loss(a, b) for a, b in zip(x.ravel(), y.ravel(), strict=True)) for x, y in pairs]
    )


def ab(student, teacher, margin):
    def one(s, t):
        if t > 0:
            return (s - margin) ** 2 if s <= margin else 0.0
        return (s + margin) ** 2 if s > -margin else 0.0

    return 3e-3 * by_unit(student, teacher, one)


def partial_l2(student, teacher):
    return 1e-3 * by_unit(student, teacher, lambda s, t: 0.0 if s <= t <= 0 else (s - t) ** 2)


def vid(means, variances, teacher):
    losses = []
    for m, v, t in zip(means, variances, teacher, strict=True):
        each = zip(m.ravel(), v.ravel(), t.ravel(), strict=True)
        losses.append(np.mean([((a - c) ** 2 / b + math.log(b)) / 2 for a, b, c in each]))
    return np.array(losses)
