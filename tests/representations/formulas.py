"""The representations as loops in float64 NumPy: no torch, nothing shared with the package."""

import itertools
import math

import numpy as np

SHORTEST = 1e-3


def unit(row):
    length = math.sqrt(sum(float(v) ** 2 for v in row))
    return np.array([float(v) / max(length, SHORTEST) for v in row])


def cells(size, grid):
    """One for every 8 pixels, at least 1, at most 4; a wanted grid is no finer than the map."""
    return min(max(size // 8, 1), 4) if grid is None else min(grid, size)


def pooled(example, grid=None):
    """One example to its flat pooled form: a map `[c, h, w]`, tokens `[t, d]` or a vector `[d]`."""
    if example.ndim == 1:
        return example
    if example.ndim == 2:
        return np.array([sum(example[:, j]) / len(example) for j in range(example.shape[1])])
    _, height, width = example.shape
    down, across = cells(height, grid), cells(width, grid)
    entries = []
    for channel in example:
        for i in range(down):
            top, bottom = (i * height) // down, math.ceil((i + 1) * height / down)
            for j in range(across):
                left, right = (j * width) // across, math.ceil((j + 1) * width / across)
                entries.append(channel[top:bottom, left:right].mean())
    return np.array(entries)


def linear(x, weight, bias):
    return np.array([float(np.dot(row, x)) + float(b) for row, b in zip(weight, bias, strict=True)])


def project(example, layers, grid=None):
    """`layers` is a list of (weight, bias), with a ReLU between them."""
    x = pooled(example, grid)
    for number, (weight, bias) in enumerate(layers):
        x = linear(np.maximum(x, 0) if number else x, weight, bias)
    return unit(x)


def averaged(example):
    """A map `[c, h, w]`, tokens `[t, d]` or a vector `[d]` to one vector."""
    if example.ndim == 3:
        return np.array([sum(channel.flatten()) / channel.size for channel in example])
    return pooled(example)


def mlp(x, layers):
    """Linear layers with a ReLU between them."""
    for number, (weight, bias) in enumerate(layers):
        x = linear(np.maximum(x, 0) if number else x, weight, bias)
    return x


def standardized(row):
    mean = sum(row) / len(row)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in row) / (len(row) - 1))
    return np.array([(v - mean) / (deviation + 1e-7) for v in row])


def as_map(x):
    """Tokens that meet tokens are a line of cells."""
    return x.T[:, :, None] if x.ndim == 2 else x


def attention(x, power=2):
    _, h, w = x.shape
    return unit([np.mean(np.abs(x[:, i, j]) ** power) for i in range(h) for j in range(w)])


def convolved(x, weight, bias):
    """A square kernel of odd size, zeros around the map."""
    (_, h, w), reach = x.shape, weight.shape[2] // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    size = weight.shape[2]
    return np.array(
        [
            [
                [(kernel * padded[:, i : i + size, j : j + size]).sum() + b for j in range(w)]
                for i in range(h)
            ]
            for kernel, b in zip(weight, bias, strict=True)
        ]
    )


def flow(maps):
    """The matrices of each two maps of one resolution in turn, each over the root of its size."""
    parts = []
    for x, y in itertools.pairwise(maps):
        places = x.shape[1] * x.shape[2]
        matrix = np.array([[(u * v).sum() / places for v in y] for u in x])
        parts.append(matrix.ravel() / math.sqrt(matrix.size))
    return np.concatenate(parts)


def query(network, maps, examples):
    """The query or key of each example: two layers over its inner products, a unit vector."""
    rows = [x.ravel() for x in maps]
    result = []
    for row in rows:
        products = [float(row @ other) for other in rows[:examples]]
        products += [0.0] * (examples - len(products))
        result.append(unit(mlp(np.array(products), network)))
    return result


def shrunk(x, size):
    """A map averaged to a resolution that divides its own."""
    (c, h, w), (i, j) = x.shape, size
    return x.reshape(c, i, h // i, j, w // j).mean((2, 4))


def group_normed(x):
    return (x - x.mean()) / math.sqrt(x.var() + 1e-5)


def projected(x, head):
    """Three convolutions, a norm over the whole map and a ReLU behind the first two."""
    first, second, third = head
    x = np.maximum(group_normed(convolved(x, *first)), 0)
    x = np.maximum(group_normed(convolved(x, *second)), 0)
    return convolved(x, *third)


def associated(student, teacher, queries, keys, heads, examples, temperature):
    """SemCKD's loss of each example: the maps of each pair of places, weighed by attention."""
    q = [query(net, x, examples) for net, x in zip(queries, student, strict=True)]
    k = [query(net, x, examples) for net, x in zip(keys, teacher, strict=True)]
    losses = []
    for n in range(len(student[0])):
        total = 0.0
        for i, x in enumerate(student):
            energies = [math.exp(float(q[i][n] @ key[n]) / temperature) for key in k]
            for j, y in enumerate(teacher):
                size = min(x.shape[2], y.shape[2]), min(x.shape[3], y.shape[3])
                gap = projected(shrunk(x[n], size), heads[i][j]) - shrunk(y[n], size)
                total += energies[j] / sum(energies) * (gap**2).mean()
        losses.append(total / len(student))
    return np.array(losses)
