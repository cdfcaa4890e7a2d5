"""The student's own moving average: it follows, its fingerprint does not."""

from __future__ import annotations

import pytest
import torch

from mentee import models
from mentee.distillation.loop import averaged
from mentee.errors import MenteeError
from mentee.features import resolve
from mentee.models import InputContract, normalize
from mentee.teachers import EmaTeacher
from mentee.types import Batch

PLAIN = InputContract((0.5,), (0.5,))
BATCH = Batch(torch.rand(4, 1, 8, 8), torch.arange(4), torch.arange(4))


def test_it_says_what_the_average_says_by_now() -> None:
    student = models.build("resnet8-cifar", classes=10, channels=1, seed=0)
    average = averaged(student, 0.75)
    x = normalize(BATCH.inputs, PLAIN)
    teacher = EmaTeacher(average.module, resolve(student, ["logits"], x), PLAIN, 0.75)
    before, name = teacher(BATCH)["logits"], teacher.fingerprint()
    begun = {k: v.clone() for k, v in student.named_parameters()}
    average.update_parameters(student)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
    average.update_parameters(student)
    for key, value in average.module.named_parameters():
        torch.testing.assert_close(value, 0.75 * begun[key] + 0.25 * (begun[key] + 1.0))
    after = teacher(BATCH)["logits"]
    assert not torch.equal(before, after)
    assert not after.requires_grad
    assert not average.module.training
    assert teacher.fingerprint() == name


def test_its_vectors_have_no_fixed_distribution() -> None:
    student = models.build("resnet8-cifar", classes=10, channels=1, seed=0)
    spots = resolve(student, ["embedding"], normalize(BATCH.inputs, PLAIN))
    with pytest.raises(MenteeError, match="no fixed distribution at embedding; take a"):
        EmaTeacher(student, spots, PLAIN, 0.9).statistics("embedding")
