from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mentee import features, models
from mentee.distillation.loop import DistillationModule, averaged
from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.errors import RunError
from mentee.methods import adjust, find
from mentee.models import InputContract
from mentee.runs import checkpoint
from mentee.types import Step

PLAIN = InputContract((0.5,), (0.5,))
DONE = Step(12, 1, 2, 0.5, {"task": 0.25, "kl/logits": 1.5}, 0.05, 64)


def module(
    seed: int = 0, classes: int = 4, kind: str = "bank", negatives: int = 8
) -> DistillationModule:
    """A student bound to a teacher of another width by the whole of CKTF."""
    numbers = {"memory.kind": kind, "memory.negatives": negatives}
    method = adjust(find("cktf-bank+kd"), numbers, {})
    made, shapes = [], []
    for width in (4, 6):
        widths = (width,) * 3
        network = models.build(
            "resnet8-cifar", classes=classes, channels=1, seed=seed, widths=widths
        )
        places = features.resolve(network, required_layers(method)[0], torch.rand(2, 1, 8, 8))
        made.append((network, places))
        shapes.append({place.name: place.shape for place in places})
    criterion = DistillationLoss(
        method, *shapes, groups=torch.arange(20).int() % 4, examples=20, seed=seed
    )
    return DistillationModule(*made[0], PLAIN, criterion)


def optimizer(of: nn.Module) -> torch.optim.Optimizer:
    """One that has state for every parameter."""
    rule = torch.optim.SGD(of.parameters(), lr=0.1, momentum=0.9)
    for parameter in of.parameters():
        parameter.grad = torch.randn_like(parameter)
    rule.step()
    return rule


def assert_equal(a: Any, b: Any) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        for one, other in zip(a, b, strict=True):
            assert_equal(one, other)
    else:
        assert a == b


@pytest.mark.parametrize("kind", ["bank", "queue"])
def test_everything_comes_back(kind: str, tmp_path: Path) -> None:
    old, new = module(1, kind=kind), module(2, kind=kind)
    old_rule, new_rule = optimizer(old), optimizer(new)
    old_average, new_average = averaged(old.student, 0.9), averaged(new.student, 0.9)
    memory = old.criterion.memories[0]
    memory.log_z["contrast/stem"] = torch.tensor([1.0, 2.0])
    progress = {"seconds": 1.5, "best": None, "sums": {"task": 0.5}, "counted": 3}
    path = checkpoint.save(tmp_path, DONE, old, old_rule, average=old_average, progress=progress)
    assert path.name == "step-00000012.pt"
    state = checkpoint.load(tmp_path)
    assert state["run_state"] == progress
    assert checkpoint.restore(state, new, new_rule, new_average) == DONE
    assert_equal(new.state_dict(), old.state_dict())
    assert_equal(new_rule.state_dict(), old_rule.state_dict())
    assert_equal(new_average.state_dict(), old_average.state_dict())
    assert_equal(new.criterion.memory_state(), old.criterion.memory_state())
    assert "0.log_z.contrast/stem" in new.criterion.memory_state()


def test_the_loss_scale_of_float16_comes_back(tmp_path: Path) -> None:
    before, after = (torch.amp.GradScaler("cpu", init_scale=scale) for scale in (1024.0, 2.0))
    one, other = module(), module(seed=1)
    checkpoint.save(tmp_path, DONE, one, optimizer(one), scaler=before)
    state = checkpoint.load(tmp_path)
    checkpoint.restore(state, other, optimizer(other), scaler=after)
    assert after.get_scale() == 1024.0


def test_the_random_states_come_back() -> None:
    def draws() -> Any:
        return (
            torch.rand(3).tolist(),
            np.random.rand(3).tolist(),
            np.random.standard_normal(),
            random.random(),
            random.gauss(0, 1),
        )

    np.random.standard_normal()  # leaves a second number waiting
    random.gauss(0, 1)
    state = checkpoint.random_state()
    expected = draws()
    assert draws() != expected
    checkpoint.set_random_state(state)
    assert draws() == expected


def test_nothing_but_tensors_and_numbers_is_unpickled(tmp_path: Path) -> None:
    ran = []

    class Evil:
        def __reduce__(self) -> Any:
            return ran.append, (1,)

    torch.save({"format": 3, "student": Evil()}, tmp_path / "step-00000001.pt")
    with pytest.raises(RunError, match="cannot be read: it is truncated or no checkpoint"):
        checkpoint.load(tmp_path)
    assert not ran


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    model = module()
    rule = optimizer(model)
    for number in (9, 10, 100):
        checkpoint.save(tmp_path, Step(number, 0, number, 0.0), model, rule)
    names = [path.name for path in checkpoint.list_checkpoints(tmp_path)]
    assert names == ["step-00000010.pt", "step-00000100.pt"]
    assert checkpoint.load(tmp_path)["done"]["number"] == 100


def test_none_to_load(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no checkpoint, so there is nothing to resume; start"):
        checkpoint.load(tmp_path)


def test_another_format(tmp_path: Path) -> None:
    torch.save({"format": 7}, tmp_path / "step-00000001.pt")
    with pytest.raises(
        RunError, match=r"has format 7, this version of mentee reads 3; resume with"
    ):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"classes": 5}, r"the checkpoint's student does not fit this recipe: .*; resume with the"),
        ({"kind": "queue"}, r"the checkpoint's memory .*; resume with the recipe"),
    ],
)
def test_another_recipe(other: dict[str, Any], text: str, tmp_path: Path) -> None:
    old, new = module(), module(**other)
    checkpoint.save(tmp_path, DONE, old, optimizer(old))
    with pytest.raises(RunError, match=f"(?s){text}"):
        checkpoint.restore(checkpoint.load(tmp_path), new, optimizer(new))
