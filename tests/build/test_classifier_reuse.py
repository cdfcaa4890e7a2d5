"""Students that keep their teacher's classifier: trained, stopped, recorded, refused."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

from mentee import models, resume, train
from mentee.api import evaluate, record_network
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.errors import MenteeError, PairError, RecipeError, RunError
from mentee.methods import find
from mentee.models import count_parameters
from mentee.recipe import read
from mentee.types import Step
from tests.conftest import digits
from tests.processes import Two, ended
from tests.training.test_resume import KILLED, assert_same

ROWS = {"simkd": "stages.last", "simkd-pooled": "embedding"}
SMALL = {"data": {"limit": 96, "validation": None}, "select": {"keep": "last"}}
SHORT = {"train": {"epochs": 2, "batch": 32}}


@pytest.mark.parametrize("method", ROWS)
def test_the_student_is_trunk_projector_and_the_teachers_classifier(
    method: str, taught: Any, teacher: Any, tmp_path: Path
) -> None:
    how = {"epochs": 6, "lr": 0.2}  # without labels: what is right comes through the maps alone
    recipe = taught(method=method, data={"limit": 640}, train=how)
    run = train(recipe, out=tmp_path / "run", quiet=True)
    state, theirs = (load_file(p) for p in (run.path / "student.safetensors", teacher["weights"]))
    assert {name.partition(".")[0] for name in state} == {"trunk", "projector", "classifier"}
    assert torch.equal(state["classifier.weight"], theirs["fc.weight"])
    assert torch.equal(state["classifier.bias"], theirs["fc.bias"])
    assert not [name for name in state if name.startswith("trunk.fc")]
    learned = sum(x.numel() for name, x in state.items() if not name.endswith(BUFFERS))
    assert run.summary["parameters"]["student"] == learned
    assert run.summary["weights"] == {"task": 0.0, f"mse/projector~{ROWS[method]}": 1.0}
    assert run.summary["test"]["accuracy"] > 0.5
    assert run.evaluate() == evaluate(run.path) == run.summary["test"]
    said = read(run.path / "recipe.yaml").student.reuse
    shape = [64] if method == "simkd-pooled" else [64, 2, 2]
    assert said is not None
    assert said.model_dump() == {
        "factor": 2, "layer": ROWS[method], "shape": shape, "bias": True, "signed": False,
    }  # fmt: skip


BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def losses_of(recipe: Any, out: Path, **given: Any) -> list[dict[str, float]]:
    found: list[Step] = []
    train(recipe, out=out, quiet=True, on_step=found.append, **given)
    return [dict(step.losses) for step in found]


def test_the_loss_is_the_mean_squared_difference_of_the_maps(taught: Any, tmp_path: Path) -> None:
    parts = build(read(taught(method="simkd", **SMALL, **SHORT)))
    batch = parts.splits.first(32)
    student, contract = parts.module.student.train(), parts.module.contract
    seen: dict[str, torch.Tensor] = {}
    for name, network, path in (("s", student, "projector"), ("t", teacher_of(parts), "layer3")):
        network.get_submodule(path).register_forward_hook(
            lambda module, args, output, name=name: seen.__setitem__(name, output)
        )
    fixed = parts.module.criterion.precompute(parts.teacher(batch))  # type: ignore[misc]
    _, losses = parts.module(batch, fixed)
    assert list(losses) == ["mse/projector~stages.last"]
    expected = (seen["s"] - seen["t"]).square().mean()
    torch.testing.assert_close(losses["mse/projector~stages.last"], expected)
    assert models.normalize(batch.inputs, contract).shape[0] == 32


def teacher_of(parts: Any) -> nn.Module:
    network: nn.Module = parts.teacher.network
    return network


def test_kill_9_with_an_average_gives_the_same_student(
    begin: Any, taught: Any, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    said = taught(
        method="simkd",
        student={"reuse": {"factor": 4}},
        train={"epochs": 2, "ema": 0.9},
        save={"steps": 4, "minutes": None},
    )
    recipe.write_text(yaml.safe_dump(said))
    killed = begin("-c", KILLED, recipe, tmp_path / "run", "14", str(int(signal.SIGKILL)))
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    assert killed.wait(300) == -signal.SIGKILL, killed.communicate()
    resume(tmp_path / "run", quiet=True)
    assert_same(tmp_path / "run", whole.path)
    kept = read(whole.path / "recipe.yaml").student.reuse
    assert kept is not None
    assert kept.factor == 4


def test_two_processes_train_one_such_student(taught: Any, teacher: Any, tmp_path: Path) -> None:
    """Its trunk may have weights that get no gradient, and the classifier gets none at all."""
    recipe = tmp_path / "recipe.yaml"
    small = {**SMALL, "data": {"limit": 96, "validation": 0.2}}
    student = {"network": "mobilenetv2-cifar", "options": {}}
    recipe.write_text(yaml.safe_dump(taught(method="simkd", student=student, **small, **SHORT)))
    ended(Two("-m", "mentee.cli", "train", recipe, "--out", tmp_path / "run", cwd=tmp_path))
    state, theirs = (
        load_file(path) for path in (tmp_path / "run/student.safetensors", teacher["weights"])
    )
    assert torch.equal(state["classifier.weight"], theirs["fc.weight"])
    said = ended(Two("-m", "mentee.cli", "evaluate", tmp_path / "run", cwd=tmp_path))
    assert f"{evaluate(tmp_path / 'run')['accuracy']:.4f}" in said


@pytest.fixture(scope="module")
def record(teacher: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("record") / "own"
    recipe = digits(teacher=teacher, method="simkd", **SMALL, **SHORT)
    say: list[str] = []
    record_network(recipe, out, names=[*ROWS, "kd"], views=2, dtype="float32", say=say.append)
    return out


@pytest.mark.parametrize("method", ROWS)
def test_a_record_teaches_as_the_network_does(
    method: str, record: Path, taught: Any, tmp_path: Path
) -> None:
    recipe = taught(method=method, data={"limit": 96, "validation": None, "cycle": 2}, **SHORT)
    live = losses_of(recipe, tmp_path / "live")
    recorded = losses_of({**recipe, "teacher": {"record": str(record)}}, tmp_path / "recorded")
    assert len(live) == len(recorded) == 6
    for one, other in zip(live, recorded, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    assert evaluate(tmp_path / "recorded") == pytest.approx(evaluate(tmp_path / "live"), abs=1e-4)


def test_a_record_whose_network_is_gone_or_another_is_refused(
    record: Path, taught: Any, teacher: Any, tmp_path: Path
) -> None:
    weights = Path(teacher["weights"])
    recipe = taught(method="simkd", teacher={"record": str(record)}, **SMALL, **SHORT)
    aside = weights.with_name("aside")
    shutil.move(weights, aside)
    try:
        with pytest.raises(PairError, match=r"was recorded of, and it cannot be had \(there is no"):
            build(read(recipe))
        state = load_file(aside)
        save_file({name: x + (name == "fc.bias") for name, x in state.items()}, weights)
        with pytest.raises(PairError, match=r"has other weights by now; record it again"):
            build(read(recipe))
    finally:
        shutil.move(aside, weights)


def test_it_adds_up_with_other_rows_and_reads_the_trunks_stages(
    taught: Any, tmp_path: Path
) -> None:
    recipe = taught(method={"name": "simkd+kd+at+sp"}, **SMALL, **SHORT)
    for losses in losses_of(recipe, tmp_path / "run"):
        assert set(losses) == {
            *("mse/projector~stages.last", "kl/logits", "sp/stages.last", "task"),
            *(f"mse/stages.{i}" for i in range(3)),
        }
    form = taught(method="cktf(simkd)", **SMALL)
    parts = build(read(form))
    assert parts.module.criterion.weights == {"task": 1.0, "info_nce/projector~stages.last": 10.0}
    assert isinstance(parts.module.student, models.ReusedClassifierStudent)
    text = "would reuse the teacher's classifier twice, after stages.last and embedding"
    with pytest.raises(MenteeError, match=text):
        find("simkd+simkd-pooled")


def test_such_a_student_teaches_and_goes_on(taught: Any, teacher: Any, tmp_path: Path) -> None:
    first = train(taught(method="simkd", **SMALL, **SHORT), out=tmp_path / "first", quiet=True)
    said = read(first.path / "recipe.yaml").student.model_dump(mode="json")
    said["weights"] = str(first.path / "student.safetensors")
    state = load_file(said["weights"])
    parts = build(read(taught(student=said, method="none", teacher=None, **SMALL, **SHORT)))
    for name, value in parts.module.student.state_dict().items():
        assert torch.equal(state[name], value)
    second = losses_of(taught(teacher=said, method="kd", **SMALL, **SHORT), tmp_path / "second")
    assert set(second[0]) == {"kl/logits", "task"}


def test_a_trunk_may_begin_with_weights_of_its_own(taught: Any, tmp_path: Path) -> None:
    first = train(digits(**SMALL, **SHORT), out=tmp_path / "first", quiet=True)
    weights = str(first.path / "student.safetensors")
    parts = build(read(taught(method="simkd", student={"weights": weights}, **SMALL, **SHORT)))
    state = parts.module.student.state_dict()
    for name, value in load_file(weights).items():
        if not name.startswith("fc."):
            assert torch.equal(state[f"trunk.{name}"], value)


class Odd(nn.Module):
    """A trunk whose end cannot be left out: it is asked for its width."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.more = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.head = nn.Linear(6, classes)
        self.feature_layers = {"stem": "conv", "stages": ("conv", "more"), "classifier": "head"}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.more(self.conv(x).relu()).relu()
        assert self.head.in_features == x.shape[1]
        logits: torch.Tensor = self.head(x.mean((2, 3)))
        return logits


@pytest.mark.parametrize("made", [Odd, Odd(classes=10)])
def test_a_network_passed_from_python(made: Any, taught: Any, tmp_path: Path) -> None:
    """A module is copied; one that needs its own end keeps it, and it is counted."""
    recipe = taught(method="simkd", student="mine", **SMALL, **SHORT)
    is_module = isinstance(made, nn.Module)
    before = {name: x.clone() for name, x in made.state_dict().items()} if is_module else {}
    run = train(recipe, student=made, out=tmp_path / "run", quiet=True)
    assert "trunk.head.weight" in load_file(run.path / "student.safetensors")
    assert evaluate(run.path, student=made) == run.summary["test"]
    assert all(torch.equal(made.state_dict()[name], x) for name, x in before.items())
    with pytest.raises(RunError, match="student: given:Odd, which was passed from Python"):
        evaluate(run.path)


def test_what_a_trunk_has_behind_its_last_map_is_dropped(taught: Any) -> None:
    recipe = taught(
        method="simkd",
        student={"network": "shufflenetv2-cifar", "options": {}},
        data={"limit": 96, "validation": None},
    )
    parts = build(read(recipe))
    student = parts.module.student
    whole = models.build("shufflenetv2-cifar", classes=10, channels=1)
    tail = [name for name, _ in whole.named_children() if name in ("conv2", "bn2", "fc")]
    assert len(tail) == 3
    kept = count_parameters(whole) - sum(count_parameters(getattr(whole, n)) for n in tail)
    assert count_parameters(student.trunk) == kept


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a layer between": (
        {"teacher": {"network": "mobilenetv2-cifar"}},
        r"classifier \(Linear\) does not read the 160 channels of stages\.last: other layers stand "
        r"between; use simkd-pooled",
    ),
    "tokens": (
        {
            "teacher": {
                "network": "timm:vit_tiny_patch16_224",
                "options": {"img_size": 8, "patch_size": 4, "depth": 2},
            }
        },
        r"features at stages\.last are tokens, expected maps whose mean its classifier reads; use",
    ),
    "tokens of the student": (
        {
            "student": {
                "network": "timm:vit_tiny_patch16_224",
                "options": {"img_size": 8, "patch_size": 4, "depth": 2},
            }
        },
        r"features at stages\.last have shape \[5, 192\] and the teacher's \[64, 2, 2\];",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_where_the_classifier_reads_something_else_it_is_refused(
    case: str, taught: Any, tmp_path: Path
) -> None:
    changes, text = REFUSED[case]
    changes = {name: dict(said) for name, said in changes.items()}
    if "teacher" in changes:
        said = changes["teacher"]
        network = models.build(
            said["network"], classes=10, channels=1, seed=0, **said.get("options", {})
        )
        save_file(network.state_dict(), tmp_path / "weights.safetensors")
        said["weights"] = str(tmp_path / "weights.safetensors")
    recipe = taught(method="simkd", **{**SMALL, **changes})
    with pytest.raises(PairError, match=text):
        build(read(recipe))
    pooled = build(read({**recipe, "method": "simkd-pooled"}))
    assert [b.name for b in pooled.module.criterion.bound_terms] == ["mse/projector~embedding"]


class Normed(nn.Module):
    """A norm between the mean and the classifier, and a softmax behind it if asked for."""

    feature_layers: ClassVar = {"stem": "conv", "stages": ("conv",), "classifier": "fc"}

    def __init__(self, *, softened: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 8, 3), nn.LayerNorm(8), nn.Linear(8, 10)
        self.softened = softened

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(self.norm(self.conv(x).mean((2, 3))))
        return logits.softmax(1) if self.softened else logits


@pytest.mark.parametrize(
    ("method", "softened", "text"),
    [
        (
            "simkd",
            False,
            r"not its classifier's of the mean of stages\.last \(off by .*\): somethin",
        ),
        (
            "simkd-pooled",
            True,
            "something stands behind it; use a method that reuses no classifier",
        ),
    ],
)
def test_a_norm_or_a_softmax_beside_the_classifier_is_found(
    method: str, softened: bool, text: str, taught: Any
) -> None:
    given = PythonOverrides(None, None, Normed(softened=softened))
    recipe = read(taught(method=method, teacher="mine", **SMALL))
    with pytest.raises(PairError, match=text):
        build(recipe, given)


def test_features_below_zero_leave_the_last_relu_out(taught: Any) -> None:
    given = PythonOverrides(None, None, Normed(softened=False))
    parts = build(read(taught(method="simkd-pooled", teacher="mine", **SMALL)), given)
    assert parts.recipe.student.reuse is not None
    assert parts.recipe.student.reuse.signed
    assert isinstance(parts.module.student.projector[-1], nn.BatchNorm1d)


def test_other_classes_are_refused(taught: Any, tmp_path: Path) -> None:
    network = models.build("resnet8-cifar", classes=7, channels=1, seed=0)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    teacher = {"network": "resnet8-cifar", "classes": 7, "weights": str(tmp_path / "w.safetensors")}
    with pytest.raises(
        PairError, match="which has 7 classes, and the student is to have 10; use a"
    ):
        build(read(taught(method="simkd", teacher=teacher, **SMALL)))


@pytest.mark.parametrize("method", ["kd", "none"])
def test_an_end_without_a_method_that_gives_one_is_refused(
    method: str, taught: Callable[..., Any]
) -> None:
    recipe = taught(method=method, student={"reuse": {"factor": 4}}, **SMALL)
    with pytest.raises(
        RecipeError, match=f"such as simkd; method '{method}' does not. Leave it ou"
    ):
        build(read(recipe))


def test_a_teachers_end_is_said_whole_or_not_at_all(taught: Any, teacher: Any) -> None:
    said = {**teacher, "reuse": {"factor": 4}}
    with pytest.raises(RecipeError, match=r"reuse does not say whose classifier it ends in; take"):
        build(read(taught(teacher=said, method="kd", **SMALL)))


def test_the_end_keeps_names_and_types(taught: Any) -> None:
    recipe = taught(method="simkd", student={"reuse": {"factr": 4}}, **SMALL)
    with pytest.raises(
        RecipeError, match=r"student\.reuse\.factr: there is no such key; did you m"
    ):
        read(recipe)
