"""Networks passed from Python stay as they are, and each run has one of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import mentee
from mentee import api, models
from mentee.errors import MenteeError
from tests.conftest import digits

SHORT = {"epochs": 1, "batch": 32}


def small(classes: int = 10) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(36, classes),
    )  # fmt: skip


def state(network: nn.Module) -> tuple[dict[str, Tensor], dict[str, bool], list[bool]]:
    return (
        {name: value.clone() for name, value in network.state_dict().items()},
        {name: value.requires_grad for name, value in network.named_parameters()},
        [module.training for module in network.modules()],
    )


def assert_unchanged(network: nn.Module, before: tuple[Any, Any, Any]) -> None:
    weights, grads, modes = state(network)
    assert weights.keys() == before[0].keys()
    assert all(torch.equal(weights[name], before[0][name]) for name in weights)
    assert (grads, modes) == before[1:]


def clips(count: int = 48) -> dict[str, Any]:
    time = torch.arange(800) / 1000
    waves = [(torch.sin(time * (100 + 100 * (i % 3))) * 0.5).numpy() for i in range(count)]
    return {"audio": waves, "sample_rate": 1000, "label": [i % 3 for i in range(count)]}


def recipe_of(kind: str) -> tuple[dict[str, Any], Any, Callable[[], nn.Module]]:
    """A recipe, its data and what makes its student."""
    if kind == "image":
        content = digits(train=SHORT, data={"limit": 64, "test": None})
        return content, None, small
    data = {"source": "mine", "test": None, "views": "none"}
    rest = {"train": {**SHORT, "batch": 16}, "student": "mine"}
    if kind == "audio":
        data |= {"sample_rate": 1000, "seconds": 0.8}
        make = lambda: models.build("small-fcn", classes=3, sample_rate=1000, seed=1)  # noqa: E731
        return {"data": data, **rest}, clips(), make
    texts = [["a good one", "a bad one", "neither"][i % 3] for i in range(48)]
    make = lambda: models.build("hashed-bag-small", classes=3, seed=1)  # noqa: E731
    return {"data": data, **rest}, {"text": texts, "label": [i % 3 for i in range(48)]}, make


@pytest.mark.parametrize("kind", ["image", "audio", "text"])
def test_two_runs_of_one_module_are_equal(kind: str, tmp_path: Path) -> None:
    recipe, data, make = recipe_of(kind)
    network = make()
    before = state(network)
    for name in ("one", "two"):
        mentee.train(recipe, data=data, student=network, out=tmp_path / name, quiet=True)
    assert_unchanged(network, before)
    one, two = (load_file(tmp_path / name / "student.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], before[0][name]) for name in one)


SAME = {
    "module": lambda network: network,
    "function that returns the same one": lambda network: lambda: network,
}


@pytest.mark.parametrize("passed", SAME)
@pytest.mark.parametrize("command", [mentee.sweep, mentee.compare], ids=["sweep", "compare"])
def test_each_run_begins_with_the_modules_weights(
    command: Callable[..., Any], passed: str, tmp_path: Path
) -> None:
    network = small()
    before = state(network)
    recipe = digits(train=SHORT, data={"limit": 64, "test": None})
    command(
        recipe, ["none"], seeds=2, student=SAME[passed](network), processes=1,
        out=tmp_path / "all", say=lambda line: None,
    )  # fmt: skip
    assert_unchanged(network, before)
    (second,) = (tmp_path / "all").rglob("*1/student.safetensors")
    recipe["train"]["seed"] = 1
    alone = mentee.train(recipe, student=small(), out=tmp_path / "alone", quiet=True)
    expected, weights = load_file(alone.path / "student.safetensors"), load_file(second)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_teacher_keeps_its_mode_and_flags(tmp_path: Path) -> None:
    network = small()
    network[0].requires_grad_(False)
    network[1].eval()
    before, memory = state(network), [each.data_ptr() for each in network.parameters()]
    recipe = digits(train=SHORT, data={"limit": 64, "test": None}, method="kd")
    mentee.train(recipe, teacher=network, out=tmp_path / "one", quiet=True)
    mentee.train(recipe, teacher=[network, small()], out=tmp_path / "two", quiet=True)
    several = {"a": network, "b": lambda classes: network}
    mentee.train(recipe, teacher=several, out=tmp_path / "three", quiet=True)
    assert_unchanged(network, before)
    assert [each.data_ptr() for each in network.parameters()] == memory
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("command", ["record", "evaluate", "probe"])
def test_other_commands_leave_a_module_as_it_was(command: str, tmp_path: Path) -> None:
    network = small()
    before = state(network)
    recipe = digits(train=SHORT, data={"limit": 64})
    if command == "record":
        mentee.record_network(
            {**recipe, "method": "kd"}, tmp_path / "record", teacher=network, views=1,
            say=lambda line: None,
        )  # fmt: skip
    else:
        run = mentee.train(recipe, student=network, out=tmp_path / "run", quiet=True)
        if command == "evaluate":
            scores = api.evaluate(run.path, student=network)
            assert scores["accuracy"] == run.summary["test"]["accuracy"]
            assert run.evaluate(student=network) == scores
        else:
            mentee.probe(run.path, student=network, say=lambda line: None)
    assert_unchanged(network, before)


def test_weights_of_a_recipe_are_not_written_into_the_module(tmp_path: Path) -> None:
    network, other = small(), small()
    with torch.no_grad():
        other[4].weight.mul_(2)
    torch.save(other.state_dict(), tmp_path / "other.pt")
    before = state(network)
    recipe = digits(train=SHORT, data={"limit": 64, "test": None}, method="kd")
    recipe["teacher"] = {"network": "mine", "weights": str(tmp_path / "other.pt")}
    mentee.train(recipe, teacher=network, out=tmp_path / "run", quiet=True)
    assert_unchanged(network, before)


class Hooked(nn.Module):
    """Its hook writes into the module that made it, which a copy would not read."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Flatten(), nn.Linear(64, 10)
        self.head.register_forward_hook(lambda module, inputs, output: self.body(output))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Locked(nn.Linear):
    """Holds what nobody can copy."""

    def __init__(self) -> None:
        super().__init__(64, 10)
        self.rows = (i for i in range(3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(Hooked, "Hooked cannot be copied: its function <lambda> refers to one of its "
                     "own modules, which a copy would go on using; pass a function", id="closure"),
        pytest.param(Locked, r"Locked cannot be copied \(cannot pickle 'generator' object\), and "
                     "each run needs a network of its own; pass a function", id="generator"),
    ],
)  # fmt: skip
def test_a_module_that_cannot_be_copied(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(MenteeError, match=message):
        models.copied(make())


class Scaled(nn.Linear):
    """Keeps a tensor that was computed of its weights, as weight_norm does."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.used = self.weight.detach()

    def forward(self, x: Tensor) -> Tensor:
        self.used = self.weight / self.weight.norm()
        return x @ self.used.T


@pytest.mark.parametrize("shares", [False, True])
def test_a_copy_computes_the_same(shares: bool) -> None:
    network = nn.Sequential(Scaled(), nn.LazyLinear(2))
    inputs = torch.randn(5, 4)
    network(inputs).sum().backward()
    copy = models.copied(network, shares_weights=shares)
    assert torch.equal(copy(inputs), network(inputs))
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    copy = models.copied(tied, shares_weights=shares)
    assert copy[1].weight is copy[0].weight is not tied[0].weight


class Tied(nn.Module):
    """Two layers of one weight, a view of it, and a parameter that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.register_buffer("row", self.first.weight.detach()[0])
        self.head, self.unused = nn.Linear(64, 10), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x.flatten(1))).relu())


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(10))


@pytest.mark.parametrize("make", [Tied, lazy, lambda: small().double(), lambda: small().half()],
                         ids=["shared", "lazy", "double", "half"])  # fmt: skip
@pytest.mark.parametrize("ema", [None, 0.9])
def test_unusual_students_are_saved_and_scored(make: Any, ema: Any, tmp_path: Path) -> None:
    recipe = digits(train={**SHORT, "ema": ema}, data={"limit": 64})
    run = mentee.train(recipe, student=make(), out=tmp_path / "run", quiet=True)
    scores = run.evaluate(student=make())
    assert scores["accuracy"] == run.summary["test"]["accuracy"]
    assert scores["loss"] == pytest.approx(run.summary["test"]["loss"], rel=1e-5)


def scripted() -> nn.Module:
    return torch.jit.script(small())


def traced() -> nn.Module:
    return torch.jit.trace(small().eval(), torch.zeros(2, 1, 8, 8))


def quantized() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(small().eval(), {nn.Linear}, torch.qint8)


TEACHERS = {
    "half": lambda: small().half(),
    "double": lambda: small().double(),
    "bfloat16": lambda: small().bfloat16(),
    "scripted": scripted,
    "traced": traced,
    "quantized": quantized,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", TEACHERS.values(), ids=TEACHERS)
def test_unusual_teachers_teach_kd(make: Any, tmp_path: Path) -> None:
    recipe = digits(train=SHORT, data={"limit": 64}, method="kd")
    plain, other = (
        mentee.train(recipe, teacher=teacher, out=tmp_path / name, quiet=True)
        for name, teacher in (("plain", small()), ("other", make()))
    )
    accuracy = plain.summary["teacher"]["scores"]["accuracy"]
    assert other.summary["teacher"]["scores"]["accuracy"] == pytest.approx(accuracy, abs=0.03)


@pytest.mark.filterwarnings("ignore")
def test_a_scripted_teacher_has_logits_only(tmp_path: Path) -> None:
    recipe = digits(train=SHORT, data={"limit": 64}, method="crd")
    with pytest.raises(MenteeError, match="a scripted network can be read at its logits only, not "
                       "at embedding; take a method of logits, such as kd"):  # fmt: skip
        mentee.train(recipe, teacher=scripted(), out=tmp_path / "run", quiet=True)


def test_teacher_and_student_may_be_one_object(tmp_path: Path) -> None:
    network = small()
    recipe = digits(train=SHORT, data={"limit": 64}, method="kd")
    both = {"teacher": network, "student": network}
    mentee.train(recipe, **both, out=tmp_path / "one", quiet=True)
    mentee.train(recipe, teacher=small(), student=small(), out=tmp_path / "two", quiet=True)
    one, two = (load_file(tmp_path / name / "student.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
