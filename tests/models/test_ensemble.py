"""Several networks as one: both means against loops, and far from zero."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from mentee.errors import MenteeError
from mentee.models import AudioContract, Ensemble, InputContract
from mentee.models.composite import mean_of

PLAIN = InputContract((0.0,), (1.0,))


def probabilities(row, several):
    if several:
        return [1 / (1 + math.exp(-z)) for z in row]
    whole = sum(math.exp(z) for z in row)
    return [math.exp(z) / whole for z in row]


def averaged(rows):
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def in_loops(logits, mean, several):
    """`[m, b, k]` to the probabilities of the mean; of logits only up to a constant."""
    result = []
    for i in range(logits.shape[1]):
        rows = logits[:, i].tolist()
        if mean == "logits":
            result.append(probabilities(averaged(rows), several))
        else:
            result.append(averaged([probabilities(row, several) for row in rows]))
    return np.array(result)


@pytest.mark.parametrize("mean", ["probabilities", "logits"])
@pytest.mark.parametrize("several", [False, True])
def test_the_mean_is_that_of_the_formula_in_loops(mean, several):
    logits = 3 * torch.randn(4, 5, 6, dtype=torch.float64)
    got = mean_of(logits, mean, several=several)
    output = got.sigmoid() if several else got.softmax(1)
    np.testing.assert_allclose(output.numpy(), in_loops(logits, mean, several), rtol=1e-9)
    if mean == "probabilities" and not several:  # and they are logarithms already
        np.testing.assert_allclose(got.exp().sum(1).numpy(), 1.0, rtol=1e-12)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_it_is_finite_where_the_networks_are_sure(several, scale):
    logits = scale * torch.tensor([[[1.0, -1.0]], [[-1.0, 1.0]]])
    got = mean_of(logits, "probabilities", several=several)
    assert torch.isfinite(got).all()
    torch.testing.assert_close(got[:, 0], got[:, 1])


def test_one_network_alone_says_what_it_says():
    z = torch.randn(1, 3, 4)
    torch.testing.assert_close(mean_of(z, "probabilities", several=False), z[0].log_softmax(1))
    torch.testing.assert_close(mean_of(z, "probabilities", several=True), z[0])
    assert torch.equal(mean_of(z, "logits", several=False), z[0])


def test_each_network_has_an_input_of_its_own():
    networks = [nn.Flatten(), nn.Flatten()]
    both = Ensemble(networks, [InputContract((1.0,), (2.0,)), PLAIN], mean="logits")
    x = torch.rand(2, 1, 2, 2)
    assert both.contract == PLAIN
    torch.testing.assert_close(both(x), (((x - 1) / 2 + x) / 2).flatten(1))
    sound = AudioContract(8000, 1.0)
    assert Ensemble(networks[:1], [sound]).contract == sound
    assert (
        both.fingerprint_settings
        != Ensemble(networks, [PLAIN, PLAIN], mean="logits").fingerprint_settings
    )


def test_networks_of_other_classes_are_refused():
    two = Ensemble([nn.Linear(4, 3), nn.Linear(4, 5)], [PLAIN, PLAIN])
    with pytest.raises(MenteeError, match="of an ensemble have 3, 5 outputs; expected the same"):
        two(torch.zeros(1, 1, 1, 4))


@pytest.mark.parametrize("networks", [[], [nn.Flatten()]])
def test_as_many_inputs_as_networks_are_asked_for(networks):
    with pytest.raises(MenteeError, match=rf"of {len(networks)} networks got 2 input contracts"):
        Ensemble(networks, [PLAIN, PLAIN])
