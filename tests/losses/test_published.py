"""What other people's published code gave on random inputs: losses, and gradients, to 1e-9."""

import numpy as np
import pytest
import torch

from mentee import losses
from mentee.representations import attention, feature_maps, fsp, gaussian, reviewkd, standardized

STANDARD = standardized((10,), (10,))


def lskd(student, teacher):
    sides = zip(STANDARD, (student, teacher), strict=True)
    return losses.kl(*(side(x) for side, x in sides), temperature=2.0)


def over(represent, function):
    """An agreement of what a representation makes of two maps."""

    def compared(student, teacher):
        sides = represent(tuple(student.shape[1:]), tuple(teacher.shape[1:]))
        said = (side(side.precompute(x)) for side, x in zip(sides, (student, teacher), strict=True))
        return function(*said)

    return compared


def in_pyramids(student, teacher):
    """The hierarchical context loss as the row has it: without the fusion before it."""
    _, side = reviewkd((tuple(student.shape[1:]),), (tuple(teacher.shape[1:]),))
    return losses.squared(side.precompute([student]), side.precompute([teacher]))


LOGITS = {
    "lskd": lskd,
    "dkd": losses.dkd,
    "nkd": losses.nkd,
    "dist": losses.dist,
    "ttm": lambda s, t: losses.ttm(s, t, power=0.2),
    "wttm": lambda s, t: losses.wttm(s, t, power=0.2),
}
FEATURES = {
    "sp": losses.sp,
    "rkd": losses.rkd,
    "pkt": losses.pkt,
    "cc": losses.cc,
    "fitnet_mse": losses.mse,
    "at": over(attention, losses.mse),
    "at_unequal_size": over(attention, losses.mse),
    "ft_factor": over(attention, losses.l1),
    "ft_factor_unequal_size": over(attention, losses.l1),
    "nst": over(feature_maps, losses.nst),
    "nst_unequal_size": over(feature_maps, losses.nst),
    "hcl": losses.hcl,
    "hcl in pyramids": in_pyramids,
    "ab_last": losses.ab,
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
    check(reference / f"{name.split()[0]}_seed{seed}.npz", FEATURES[name], "")


@pytest.mark.parametrize("seed", [0, 1])
def test_of_variational_information(reference, seed):
    path = reference / f"vid_seed{seed}.npz"
    z = np.load(path)

    def vid(student, teacher):
        ours, theirs = gaussian(tuple(student.shape[1:]), tuple(teacher.shape[1:]))
        ours.double()
        with torch.no_grad():
            ours.log_scale.copy_(torch.from_numpy(z["log_scale"]))
            for number, name in enumerate(("w1", "w2", "w3")):
                ours.head[2 * number].weight.copy_(torch.from_numpy(z[name]))
        return losses.vid(ours(ours.precompute(student)), theirs(theirs.precompute(teacher)))

    check(path, vid, "")


@pytest.mark.parametrize("seed", [0, 1])
def test_of_flow(reference, seed):
    z = np.load(reference / f"fsp_seed{seed}.npz")
    places = ("bottom", "top")
    student = [torch.from_numpy(z[f"in_student_{place}"]).requires_grad_() for place in places]
    teacher = [torch.from_numpy(z[f"in_teacher_{place}"]) for place in places]
    ours, theirs = fsp(*(tuple(tuple(x.shape[1:]) for x in said) for said in (student, teacher)))
    loss = losses.squared(ours(ours.precompute(student)), theirs(theirs.precompute(teacher))).mean()
    loss.backward()
    np.testing.assert_allclose(loss.item(), z["loss"], rtol=1e-9)
    for x, place in zip(student, places, strict=True):
        wanted = z[f"grad_student_{place}"]
        atol = 1e-12 * np.abs(wanted).max()
        np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-9, atol=atol)
