"""A fifth task, of one's own: nothing in the package knows of it, and a whole run works."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import mentee
from mentee.api import evaluate
from mentee.errors import MenteeError
from mentee.experiments.compare import compare
from mentee.tasks import TASKS, Labels, MultiLabel, Task
from tests.tasks.slant import opened, slant


@dataclass(frozen=True)
class Ordinal(Task):
    """Levels 0 < 1 < ... < k: output c is the logit of "above level c" (Niu et al. 2016)."""

    name = "ordinal"
    outputs = "label logits"
    main_score = "distance"
    higher_is_better = {"distance": False, "exact": True}  # noqa: RUF012

    levels: int = 4

    def read_labels(self, values: Any, **options: Any) -> Labels:
        found = np.asarray(values, np.int64).reshape(-1)
        above = tuple(f"above {c}" for c in range(self.levels - 1))
        return Labels(found, None, above, self)

    def strata(self, labels: Any) -> Any:
        return labels.astype(np.int64)

    def loss(self, outputs: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
        above = (labels[:, None] > torch.arange(self.levels - 1)).float()
        return MultiLabel().loss(outputs, above)

    def scores(
        self, outputs: Tensor, labels: Tensor, mask: Tensor | None = None, *, threshold: float = 0.5
    ) -> dict[str, float]:
        error = ((outputs > 0).sum(1) - labels).abs().float()
        return {"distance": error.mean().item(), "exact": (error == 0).float().mean().item()}

    def predictions(self, outputs: Tensor) -> dict[str, Any]:
        return {"values": (outputs > 0).sum(1, keepdim=True).float().numpy()}


def quarters(images: Any) -> Any:
    """How far a digit leans, in four levels."""
    return np.digitize(slant(images), [-0.12, -0.04, 0.04])


def recipe(**parts: Any) -> dict[str, Any]:
    return {
        "data": {"source": "passed", "views": "none"},
        "student": {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8]}},
        "train": {"epochs": 8, "batch": 32, "lr": 0.1},
        **parts,
    }


def test_a_task_of_ones_own_trains_resumes_and_is_compared(tmp_path: Path) -> None:
    data = opened(240, Ordinal(), level=quarters)
    assert Ordinal.name not in TASKS
    run = mentee.train(recipe(), out=tmp_path / "run", data=data, quiet=True)
    assert run.summary["test"]["distance"] < 1.0
    assert run.summary["student"]["classes"] == 3
    assert run.summary["selected"]["by"] == "distance"
    assert evaluate(run.path, data=data) == pytest.approx(run.summary["test"])
    weights = str(run.path / "student.safetensors")
    taught = recipe(
        teacher={**recipe()["student"], "weights": weights}, train={"epochs": 1, "batch": 32}
    )
    found = compare(
        taught, ["binary-kd"], seeds=1, data=data, out=tmp_path / "c", processes=1, say=print
    )
    assert found.content["score"]["higher_is_better"] is False
    assert not found.failed
    with pytest.raises(MenteeError, match="compares distributions over classes of which one is"):
        mentee.train({**taught, "method": "kd"}, data=data)
    assert pickle.loads(pickle.dumps(Ordinal(5))) == Ordinal(5)  # workers get it with the data
