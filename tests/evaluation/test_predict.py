from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mentee.errors import MenteeError
from mentee.evaluation.predict import predict
from mentee.models import InputContract
from mentee.types import Batch

CONTRACT = InputContract((0.5,), (0.25,))


def batch(rows: list[int], images: Tensor) -> Batch:
    return Batch(images[rows], torch.tensor(rows), torch.tensor(rows))


def test_logits_come_in_the_order_of_the_rows_and_in_evaluation_mode() -> None:
    images = torch.rand(7, 1, 4, 4)
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 3))
    network(torch.randn(32, 1, 4, 4))  # batch statistics that are not those of the images
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = predict(network, CONTRACT, [batch([5, 2, 6], images), batch([0, 4, 1, 3], images)])
    assert [module.training for module in network] == [True, False, True, True]
    assert network.training
    network.eval()
    expected = torch.stack([network((image[None] - 0.5) / 0.25)[0] for image in images])
    torch.testing.assert_close(found, expected.detach())
    assert not found.requires_grad
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_flags_are_put_back_after_an_error() -> None:
    class BrokenError(Exception):
        pass

    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise BrokenError

    network = Broken()
    with pytest.raises(BrokenError):
        predict(network, CONTRACT, [batch([0], torch.rand(1, 1, 4, 4))])
    assert network.training


def test_a_network_that_gives_no_tensor_is_named() -> None:
    class Mute(nn.Module):
        def forward(self, x: Tensor) -> str:
            return "nothing"

    with pytest.raises(MenteeError, match="Mute gives no tensor to take as logits"):
        predict(Mute(), CONTRACT, [batch([0], torch.rand(1, 1, 4, 4))])


def test_of_several_results_the_first_tensor_is_the_logits() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.flatten(1)[:, :2].bfloat16(), x

    found = predict(Two(), CONTRACT, [batch([1, 0], torch.rand(2, 1, 4, 4))])
    assert (found.shape, found.dtype) == ((2, 2), torch.float32)
