"""Several networks that teach as one: in recipes and from Python, live and recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mentee import models, resume, sweep, train
from mentee.api import record_network, verify
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.errors import DataError, MenteeError, PairError, RecipeError, RunError
from mentee.recipe import Ensemble, read
from mentee.types import Step
from tests.conftest import digits
from tests.losses import formulas
from tests.models.test_ensemble import in_loops

SMALL = {"data": {"limit": 96, "validation": None}, "select": {"keep": "last"}}
SHORT = {"train": {"epochs": 2, "batch": 32}}
KD = {"name": "kd", "params": {"kl.temperature": 2.0}}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Two networks with weights and inputs of their own."""
    folder = tmp_path_factory.mktemp("two")
    said = []
    for seed, (mean, std) in enumerate([(0.1, 0.4), (0.4, 0.2)]):
        network = models.build("resnet8-cifar", classes=10, channels=1, seed=seed)
        weights = str(folder / f"{seed}.safetensors")
        save_file(network.state_dict(), weights)
        network = {"network": "resnet8-cifar", "weights": weights}
        said.append({**network, "input": {"mean": [mean], "std": [std]}})
    return said


def recipe_of(teacher: Any, **parts: Any) -> dict[str, Any]:
    return digits(**{"teacher": teacher, "method": KD, **SMALL, **SHORT, **parts})


def said_by(networks: list[dict[str, Any]], inputs: torch.Tensor) -> torch.Tensor:
    """The logits of each, read by hand: `[m, b, k]`."""
    logits = []
    for said in networks:
        network = models.build("resnet8-cifar", classes=10, channels=1)
        models.load_weights(network, said["weights"])
        mean, std = said["input"]["mean"][0], said["input"]["std"][0]
        with torch.no_grad():
            logits.append(network.eval()((inputs - mean) / std))
    return torch.stack(logits).double()


@pytest.mark.parametrize("mean", ["probabilities", "logits"])
def test_the_loss_is_that_of_the_mean(mean: str, two: Any) -> None:
    """Deep ensembles: the row kd with this teacher."""
    parts = build(read(recipe_of({"networks": two, "mean": mean})))
    batch = parts.splits.first(8)
    fixed = parts.module.criterion.precompute(parts.teacher(batch))  # type: ignore[misc]
    _, losses = parts.module.eval()(batch, fixed)
    student = models.normalize(batch.inputs, parts.module.contract)
    with torch.no_grad():
        s = parts.module.student(student).numpy()
    p = in_loops(said_by(two, batch.inputs), mean, several=False)
    expected = formulas.kl(s, np.log(p), 2.0).mean()
    assert losses["kl/logits"].item() == pytest.approx(expected, rel=1e-4)


def losses_of(recipe: Any, out: Path, **given: Any) -> list[dict[str, float]]:
    found: list[Step] = []
    train(recipe, out=out, quiet=True, on_step=found.append, **given)
    return [dict(step.losses) for step in found]


def test_a_record_teaches_as_the_networks_do(two: Any, tmp_path: Path) -> None:
    teacher = {"networks": [{**two[0], "input": None}, two[1]]}
    data = {**SMALL["data"], "cycle": 2}
    recipe = recipe_of(teacher, data=data)
    made = record_network(recipe, tmp_path / "record", views=2, dtype="float32", say=len)
    assert made.manifest.name == "resnet8-cifar + resnet8-cifar"
    assert len(made.manifest.teacher["network"]["networks"]) == 2
    live = losses_of(recipe, tmp_path / "live")
    recorded = losses_of(
        {**recipe, "teacher": {"record": str(tmp_path / "record")}}, tmp_path / "r"
    )
    for one, other in zip(live, recorded, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    for said in (recipe, {**recipe, "teacher": {"record": str(tmp_path / "record")}}):
        assert min(verify(tmp_path / "record", said).cosine.values()) > 1 - 1e-6
    made = record_network(
        recipe, tmp_path / "record", names=["dkd"], views=3, say=len, dtype="float32"
    )
    assert made.manifest.count == 3
    other = recipe_of({**teacher, "mean": "logits"}, data=data)
    with pytest.raises(DataError, match="teacher's fingerprint"):
        record_network(other, tmp_path / "record", views=2, dtype="float32", say=len)


def test_the_resolved_recipe_and_the_summary_say_who_taught(two: Any, tmp_path: Path) -> None:
    recipe = recipe_of({"networks": two}, data={"validation": 0.2})
    run = train(recipe, out=tmp_path / "run", quiet=True)
    said = read(run.path / "recipe.yaml").teacher
    assert isinstance(said, Ensemble)
    assert [each.classes for each in said.networks] == [10, 10]
    assert said.mean == "probabilities"
    one = models.count_parameters(models.build("resnet8-cifar", classes=10, channels=1))
    assert run.summary["parameters"]["teacher"] == 2 * one
    assert 0 <= run.summary["teacher"]["scores"]["accuracy"] <= 1
    assert resume(run.path).summary == run.summary
    other = {"networks": [two[1], two[0]]}
    fingerprints = [
        build(read(recipe_of(t))).teacher.fingerprint()  # type: ignore[union-attr]
        for t in ({"networks": two}, other, {"networks": [two[0], {**two[1], "input": None}]})
    ]
    assert len(set(fingerprints)) == 3


def test_several_are_passed_from_python(two: Any, tmp_path: Path) -> None:
    networks = []
    for said in two:
        network = models.build("resnet8-cifar", classes=10, channels=1)
        models.load_weights(network, said["weights"])
        networks.append(network)
    named = {"networks": [{**said, "weights": None} for said in two]}
    recipe = recipe_of(named)
    passed = losses_of(recipe, tmp_path / "run", teacher=networks)
    assert passed == losses_of(recipe_of({"networks": two}), tmp_path / "named")
    kept = read(tmp_path / "run" / "recipe.yaml").teacher
    assert isinstance(kept, Ensemble)
    assert kept.network == "given:CifarResNet + given:CifarResNet"
    assert kept.networks[1].input is not None
    (tmp_path / "run" / "summary.json").unlink()
    with pytest.raises(
        RunError, match=r"teacher: given:CifarResNet \+ given:CifarResNet, which was"
    ):
        resume(tmp_path / "run")
    resume(tmp_path / "run", teacher=networks, quiet=True)
    alone = build(read(recipe_of(None)), PythonOverrides(teacher=networks))
    assert isinstance(alone.recipe.teacher, Ensemble)
    with pytest.raises(
        RecipeError, match="names 2 networks, and 1 were passed from Python; pass as"
    ):
        build(read(recipe), PythonOverrides(teacher=networks[:1]))


def test_a_sweep_records_them_once(two: Any, tmp_path: Path) -> None:
    lines: list[str] = []
    found = sweep(
        recipe_of({"networks": two}, train={"epochs": 1, "batch": 32}),
        ["kd", "nkd", "crd"],
        seeds=1,
        processes=1,
        out=tmp_path / "sweep",
        say=lines.append,
    )
    assert sorted(found.runs) == [f"resnet8-cifar-{name}-seed0" for name in ("kd", "nkd")]
    assert any("several networks teach as one at their logits" in line for line in lines)
    assert {run.summary["reading"] for run in found.runs.values()} == {"views=1"}


class Tags(nn.Module):
    """Logits of three tags."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(self.conv(x).relu().mean((2, 3)))
        return logits


def test_of_several_classes_at_once_the_odds_are_averaged() -> None:
    rng = np.random.default_rng(0)
    data = {
        "image": rng.integers(0, 256, (48, 8, 8), dtype=np.uint8),
        "label": rng.integers(0, 2, (48, 3)),
    }
    rows = {"name": "own", "terms": [{"layers": "logits", "loss": "binary_kd", "weight": 1.0}]}
    recipe = {
        "data": {"source": "mine", "views": "none", "validation": None, "test": None},
        "student": "mine", "method": rows, "train": {"batch": 8},
    }  # fmt: skip
    networks = [Tags(3).eval(), Tags(3).eval()]
    parts = build(read(recipe), PythonOverrides(data, Tags, networks))
    batch = parts.splits.first(5)
    (said,) = parts.module.criterion.precompute(parts.teacher(batch)).values()  # type: ignore[misc]
    x = models.normalize(batch.inputs, parts.module.contract)
    with torch.no_grad():
        logits = torch.stack([network(x) for network in networks]).double()
    expected = in_loops(logits, "probabilities", several=True)
    np.testing.assert_allclose(said.sigmoid().numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("method", ["crd", "cktf+kd", "at", "simkd"])
def test_what_is_no_row_of_logits_is_refused(method: str, two: Any) -> None:
    name = method[:2]
    text = rf"several networks teach as one at their logits, and method '{name}.* take a method"
    with pytest.raises(PairError, match=text.replace("+", r"\+")):
        build(read(recipe_of({"networks": two}, method=method)))


def test_mistakes_in_the_recipe_are_named(two: Any) -> None:
    for teacher, text in (
        ({"networks": []}, r"teacher\.networks: list should have at least 1 item"),
        (
            {"networks": [{"netwrk": "a"}]},
            r"teacher\.networks\.0\.netwrk: there is no such key; did",
        ),
        ({"networks": two, "men": 1}, r"teacher\.men: there is no such key; did you mean 'mean'"),
        ({"networks": two, "mean": "odds"}, r"teacher\.mean: input should be 'probabilities' or"),
    ):
        with pytest.raises(RecipeError, match=text):
            read(recipe_of(teacher))
    bare = [{"network": "resnet8-cifar"}, two[0]]
    with pytest.raises(
        RecipeError, match="teacher resnet8-cifar has no weights, and an untrained network"
    ):
        build(read(recipe_of({"networks": bare})))
    with pytest.raises(MenteeError, match=r"the networks of an ensemble have .* outputs; expected"):
        build(read(recipe_of(None)), PythonOverrides(teacher=[Gray(10), Gray(4)]))


class Gray(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(x.flatten(1))
        return logits
