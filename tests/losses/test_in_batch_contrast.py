"""InfoNCE within the batch: by hand, in chunks of any size, and what it refuses."""

import math

import pytest
import torch

from mentee.errors import MenteeError
from mentee.losses import class_info_nce, info_nce
from mentee.representations import unit_norm
from tests.losses import formulas


def unit_maps(*shape, seed=0):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return unit_norm(x.movedim(1, -1)).movedim(-1, 1)


def test_by_hand():
    """Two examples of orthogonal vectors: one negative each, at a cosine of 0."""
    x = torch.eye(2, dtype=torch.float64)
    expected = math.log(1 + math.exp(-1 / 0.5))
    assert info_nce(x, x, temperature=0.5).item() == pytest.approx(expected, rel=1e-12)


def test_one_vector_has_no_negatives():
    x = unit_maps(1, 5)
    assert info_nce(x, x).item() == 0
    assert class_info_nce(x.expand(3, 5), x.expand(3, 5), labels=torch.zeros(3).long()).item() == 0


@pytest.mark.parametrize("scores", [1, 40, 1 << 21])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_size_of_a_chunk_changes_nothing(monkeypatch, scores, symmetric):
    monkeypatch.setattr("mentee.losses.in_batch_contrast.LARGEST_CHUNK", scores)
    student, teacher = (unit_maps(4, 3, 2, 3, seed=seed).requires_grad_() for seed in (1, 2))
    labels = torch.tensor([0, 1, 0, -1])
    loss = class_info_nce(student, teacher, labels=labels, temperature=0.2, symmetric=symmetric)
    arrays = (x.detach().numpy() for x in (student, teacher))
    expected = formulas.info_nce(*arrays, 0.2, labels.tolist(), symmetric)
    assert loss.item() == pytest.approx(expected, rel=1e-12)

    def value(s, t):
        return class_info_nce(s, t, labels=labels, temperature=0.2, symmetric=symmetric)

    assert torch.autograd.gradcheck(value, (student, teacher))


def test_examples_without_a_class_are_negatives_of_one_another():
    student, teacher = unit_maps(4, 3, seed=1), unit_maps(4, 3, seed=2)
    without = class_info_nce(student, teacher, labels=torch.full((4,), -1))
    assert without.item() == info_nce(student, teacher).item()


def test_it_keeps_no_more_than_the_gradients():
    """Of b p (p + b) scores nothing is left for the backward pass."""
    student, teacher = (unit_maps(6, 4, 5, 5, seed=s).float().requires_grad_() for s in (1, 2))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()), lambda x: x):
        info_nce(student, teacher)
    assert max(kept) == student.numel()


@pytest.mark.parametrize("loss", [info_nce, class_info_nce], ids=lambda f: f.__name__)
def test_refusals(loss):
    x, more = unit_maps(2, 4), {} if loss is info_nce else {"labels": torch.zeros(2).long()}
    with pytest.raises(MenteeError, match=f"{loss.__name__}: temperature is 0.01, expected"):
        loss(x, x, temperature=0.01, **more)
    with pytest.raises(MenteeError, match=f"{loss.__name__}: the student has shape"):
        loss(x, unit_maps(2, 5), **more)
