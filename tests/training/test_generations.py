"""Networks born again: each generation is taught by the student of the one before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mentee import Run, models, train
from mentee.build.setup import build
from mentee.recipe import Ensemble, read
from mentee.types import Step
from tests.losses import formulas

RECIPE = "cifar100-born-again"
SMALL = [
    "data={source: embedded:digits, views: crop, pad: 1, limit: 320, validation: 0.15}",
    "student={network: resnet8-cifar, options: {widths: [8, 16, 32]}}",
    "teacher={network: resnet8-cifar, options: {widths: [8, 16, 32]}}",
    "train={epochs: 3, batch: 32}",
]


def generation(number: int, folder: Path, *changes: str, **more: Any) -> Run:
    seeded = [*SMALL, f"train.seed={number}", *changes]
    return train(RECIPE, changes=seeded, out=folder / f"gen{number}", quiet=True, **more)


def network_of(run: Run) -> torch.nn.Module:
    network = models.build("resnet8-cifar", classes=10, channels=1, widths=(8, 16, 32))
    models.load_weights(network, run.path / "student.safetensors")
    return network.eval()


def weights(run: Run) -> str:
    return f"teacher.weights={run.path}/student.safetensors"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("generations")
    first = generation(0, folder, "method=none")
    return [first, generation(1, folder, weights(first))]


def test_a_generation_learns_from_labels_and_the_one_before(two: list[Run]) -> None:
    first, second = two
    assert second.summary["weights"] == {"task": 1.0, "kl/logits": 1.0}
    assert second.summary["parameters"]["teacher"] == first.summary["parameters"]["student"]
    parts = build(read(second.path / "recipe.yaml"))
    batch = parts.splits.first(16)
    x = models.normalize(batch.inputs, parts.module.contract)
    with torch.no_grad():
        s, t = (network(x).double().numpy() for network in (network_of(second), network_of(first)))
    models.load_weights(parts.module.student, second.path / "student.safetensors")
    fixed = parts.module.criterion.precompute(parts.teacher(batch))  # type: ignore[misc]
    loss = parts.module.eval()(batch, fixed)[1]["kl/logits"]
    assert loss.item() == pytest.approx(formulas.kl(s, t, 1.0).mean(), rel=1e-4)
    beginnings = [build(read(run.path / "recipe.yaml")).module.student for run in two]
    pairs = zip(*(b.parameters() for b in beginnings), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs), "a generation begins anew"


def test_all_generations_teach_as_one(two: list[Run], tmp_path: Path) -> None:
    options = {"widths": [8, 16, 32]}
    networks = [
        {
            "network": "resnet8-cifar",
            "options": options,
            "weights": f"{run.path}/student.safetensors",
        }
        for run in two
    ]
    steps: list[Step] = []
    last = generation(2, tmp_path, f"teacher={{networks: {networks}}}", on_step=steps.append)
    assert isinstance(read(last.path / "recipe.yaml").teacher, Ensemble)
    assert set(steps[0].losses) == {"kl/logits", "task"}
    own = last.summary["parameters"]
    assert own["teacher"] == 2 * own["student"]
    assert last.summary["teacher"]["scores"]["accuracy"] > 0.3
