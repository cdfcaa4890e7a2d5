"""What the labels of mixed examples say, against loops."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mentee.errors import MenteeError
from mentee.tasks import mixed_labels, mixed_mask, task_of
from mentee.types import Batch, Mixup

B, K, SHARE = 4, 3, 0.7
PARTNER = torch.tensor([2, 0, 3, 1])
LOGITS = torch.randn(B, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
KNOWN = torch.tensor([[1, 0, 1], [1, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=torch.bool)
SEVERAL = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 1, 1], [1, 0, 0]], dtype=torch.float64)


def batch(labels, mask=None, mixed=None):
    ids = torch.arange(B)
    return Batch(torch.zeros(B, 1), ids, ids, labels=labels, mask=mask, mixed=mixed)


def batch_loss(batch, logits):
    return task_of(torch.zeros(1) if batch.labels is None else batch.labels).batch_loss(
        batch, logits
    )


def cross_entropy(z, y):
    return np.log(np.exp(z).sum()) - z[y]


def cross_entropies(z, y):
    q = torch.sigmoid(z)
    return -y * torch.log(q) - (1 - y) * torch.log(1 - q)


def test_of_one_class_each_label_counts_by_its_share():
    labels = torch.tensor([0, 2, 1, 1])
    got = batch_loss(batch(labels, mixed=Mixup(PARTNER, SHARE)), LOGITS)
    z, y, p = LOGITS.numpy(), labels.tolist(), PARTNER.tolist()
    expected = [
        SHARE * cross_entropy(z[i], y[i]) + (1 - SHARE) * cross_entropy(z[i], y[p[i]])
        for i in range(B)
    ]
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9)


def test_of_several_a_label_is_mixed_from_those_that_are_known():
    mixed = batch(SEVERAL, KNOWN, Mixup(PARTNER, SHARE))
    losses = batch_loss(mixed, LOGITS).numpy()
    expected, entries = np.zeros(B), 0
    for i in range(B):
        j, terms = int(PARTNER[i]), []
        for c in range(K):
            weights = [SHARE * float(KNOWN[i, c]), (1 - SHARE) * float(KNOWN[j, c])]
            if sum(weights) == 0:
                assert not mixed_mask(mixed)[i, c]
                continue
            y = float((weights[0] * SEVERAL[i, c] + weights[1] * SEVERAL[j, c]) / sum(weights))
            q = 1 / (1 + np.exp(-float(LOGITS[i, c])))
            terms.append(-y * np.log(q) - (1 - y) * np.log(1 - q))
            assert mixed_mask(mixed)[i, c]
            assert float(mixed_labels(mixed)[i, c]) == pytest.approx(y, rel=1e-9)
        expected[i] = sum(terms)
        entries += len(terms)
    assert losses == pytest.approx(B * expected / entries, rel=1e-9)


def test_unmixed_it_is_the_tasks_loss():
    labels = torch.tensor([0, 2, 1, 1])
    expected = [cross_entropy(z, y) for z, y in zip(LOGITS.numpy(), labels.tolist(), strict=True)]
    np.testing.assert_allclose(batch_loss(batch(labels), LOGITS).numpy(), expected, rtol=1e-9)
    assert mixed_mask(batch(SEVERAL, KNOWN)) is KNOWN
    assert mixed_labels(batch(SEVERAL)) is SEVERAL


def test_without_a_mask_all_labels_are_known():
    mixed = batch(SEVERAL, mixed=Mixup(PARTNER, SHARE))
    expected = SHARE * SEVERAL + (1 - SHARE) * SEVERAL[PARTNER]
    torch.testing.assert_close(mixed_labels(mixed), expected)
    assert mixed_mask(mixed) is None


def test_without_labels_there_is_no_loss():
    with pytest.raises(MenteeError, match="needs labels, and the batch has none"):
        batch_loss(batch(None), LOGITS)


HAS = torch.tensor([True, False, True, False])


def some_labeled(labels, mask=None, mixed=None):
    return replace(batch(labels, mask, mixed), labeled=HAS)


def test_the_mean_is_that_of_the_examples_with_labels():
    labels = torch.tensor([0, -1, 1, -1])
    got = batch_loss(some_labeled(labels), LOGITS)
    expected = [cross_entropy(LOGITS[i].numpy(), int(labels[i])) for i in (0, 2)]
    assert got.mean().item() == pytest.approx(np.mean(expected), rel=1e-9)
    assert got[~HAS].tolist() == [0.0, 0.0]
    known = KNOWN & HAS[:, None]
    several = batch_loss(some_labeled(SEVERAL * known, known), LOGITS)
    alone = cross_entropies(LOGITS, SEVERAL)[known].mean()
    assert several.mean().item() == pytest.approx(alone.item(), rel=1e-9)


def test_of_mixed_examples_each_label_there_is_counts_by_its_share():
    labels = torch.tensor([0, -1, 1, -1])
    got = batch_loss(some_labeled(labels, mixed=Mixup(PARTNER, SHARE)), LOGITS)
    total = weight = 0.0
    for i in range(B):
        for j, share in ((i, SHARE), (int(PARTNER[i]), 1 - SHARE)):
            if HAS[j]:
                total += share * cross_entropy(LOGITS[i].numpy(), int(labels[j]))
                weight += share
    assert got.mean().item() == pytest.approx(total / weight, rel=1e-6)


def test_of_mixed_examples_of_several_classes_those_with_a_known_label_count():
    known = KNOWN & HAS[:, None]
    mixed = some_labeled(SEVERAL * known, known, Mixup(PARTNER, SHARE))
    each = cross_entropies(LOGITS, mixed_labels(mixed))
    expected = each[mixed_mask(mixed)].mean().item()
    assert batch_loss(mixed, LOGITS).mean().item() == pytest.approx(expected, rel=1e-6)


def test_a_batch_without_one_label_has_no_loss():
    none = replace(batch(torch.full((B,), -1)), labeled=torch.zeros(B, dtype=torch.bool))
    assert batch_loss(none, LOGITS).tolist() == [0.0] * B
