"""What other people's published code gave on random inputs: losses, and gradients, to 1e-9."""

import numpy as np
import pytest
import torch

from mentee import agree
from mentee.represent import standardised

STANDARD = standardised((10,), (10,))


def lskd(student, teacher):
    sides = zip(STANDARD, (student, teacher), strict=True)
    return agree.kl(*(side(x) for side, x in sides), temperature=2.0)


LOGITS = {
    "lskd": lskd,
    "dkd": agree.dkd,
    "nkd": agree.nkd,
    "dist": agree.dist,
    "ttm": lambda s, t: agree.ttm(s, t, power=0.2),
    "wttm": lambda s, t: agree.wttm(s, t, power=0.2),
}
FEATURES = {
    "sp": agree.sp,
    "rkd": agree.rkd,
    "pkt": agree.pkt,
    "cc": agree.cc,
    "fitnet_mse": agree.mse,
}


def check(path, function, suffix, **given):
    z = np.load(path)
    student = torch.from_numpy(z[f"in_student{suffix}"]).requires_grad_()
    teacher = torch.from_numpy(z[f"in_teacher{suffix}"])
    if "in_labels" in z:
        given["labels"] = torch.from_numpy(z["in_labels"])
    loss = function(student, teacher, **given).mean()
    loss.backward()
    np.testing.assert_allclose(loss.item(), z["loss"], rtol=1e-9)
    wanted = z[f"grad_student{suffix}"]
    largest = np.abs(wanted).max()
    np.testing.assert_allclose(student.grad.numpy(), wanted, rtol=1e-9, atol=1e-12 * largest)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", LOGITS)
def test_of_logits(reference, name, seed):
    check(reference / f"{name}_seed{seed}.npz", LOGITS[name], "_logits")


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", FEATURES)
def test_of_features(reference, name, seed):
    check(reference / f"{name}_seed{seed}.npz", FEATURES[name], "")
