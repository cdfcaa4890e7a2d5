"""The frozen teacher: read with its own normalization, never trained, never changed."""

import numpy as np
import pytest
import torch

from mentee import models
from mentee.errors import MenteeError
from mentee.features import resolve
from mentee.models import InputContract
from mentee.teachers import OnlineTeacher
from mentee.teachers.online import measure
from mentee.types import Batch

MEAN, STD = (0.2, 0.4, 0.6), (0.1, 0.2, 0.3)


@pytest.fixture
def teacher():
    network = models.build("resnet8-cifar", classes=4, seed=1)
    places = resolve(network, ["stages", "embedding", "logits"], torch.zeros(2, 3, 16, 16))
    return OnlineTeacher(network, places, InputContract(MEAN, STD))


def batch(b=3, seed=0):
    images = torch.rand(b, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return Batch(images, torch.arange(b), torch.arange(b), torch.zeros(b, dtype=torch.int64))


def test_says_what_the_network_says_of_its_own_normalization(teacher):
    said = teacher(batch())
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    network = models.build("resnet8-cifar", classes=4, seed=1).eval()
    torch.testing.assert_close(said["logits"], network((batch().inputs - mean) / std))
    assert list(said) == ["stages.0", "stages.1", "stages.2", "embedding", "logits"]


def test_neither_gradients_nor_batch_statistics_move(teacher):
    before = {name: value.clone() for name, value in teacher.network.state_dict().items()}
    assert not teacher.network.training
    said = teacher(batch())
    assert not any(value.requires_grad for value in said.values())
    assert not any(p.requires_grad for p in teacher.network.parameters())
    after = teacher.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_examples_of_a_batch_do_not_depend_on_each_other(teacher):
    whole, first = (
        teacher(batch()),
        teacher(Batch(*(x[:1] for x in (batch().inputs, batch().ids, batch().rows)))),
    )
    for name, value in first.items():
        torch.testing.assert_close(value, whole[name][:1])


def test_is_no_module_and_so_never_part_of_what_is_saved(teacher):
    assert not isinstance(teacher, torch.nn.Module)
    holder = torch.nn.Module()
    holder.teacher = teacher
    assert holder.state_dict() == {}


def test_the_fingerprint_follows_weights_places_and_normalization(teacher):
    def another(seed=1, wanted=("stages", "embedding", "logits"), mean=MEAN):
        network = models.build("resnet8-cifar", classes=4, seed=seed)
        places = resolve(network, list(wanted), torch.zeros(2, 3, 16, 16))
        return OnlineTeacher(network, places, InputContract(mean, STD)).fingerprint()

    assert another() == teacher.fingerprint()
    assert len(teacher.fingerprint()) == 32
    others = {another(seed=2), another(wanted=("logits",)), another(mean=(0.0, 0.4, 0.6))}
    assert len(others | {teacher.fingerprint()}) == 4
    with torch.no_grad():
        next(teacher.network.parameters())[0, 0, 0, 0] += 1e-3
    assert another() != teacher.fingerprint()


def batches():
    for start in range(0, 6, 2):
        rows = torch.arange(start, start + 2)
        yield Batch(rows.float()[:, None], rows, rows)


def features_of(batch):
    x = batch.inputs
    wide = torch.cat([x, x.square()], 1)
    return {
        "vectors": wide,
        "tokens": torch.stack([wide - 1, wide + 1], 1),
        "maps": wide[:, :, None, None] + torch.tensor([[-1.0, 1.0], [2.0, -2.0]]),
    }


def test_everything_is_averaged_to_vectors_first():
    found = measure(features_of, batches, torch.device("cpu"))
    x = np.arange(6.0)
    wanted = np.stack([x, x**2], 1)
    for name in ("vectors", "tokens", "maps"):
        np.testing.assert_allclose(found[name].mean, wanted.mean(0), rtol=1e-6)
        np.testing.assert_allclose(found[name].std, wanted.std(0), rtol=1e-6)


def test_without_examples_nothing_is_measured():
    with pytest.raises(MenteeError, match="no examples to measure its vectors on"):
        measure(features_of, None, torch.device("cpu"))
