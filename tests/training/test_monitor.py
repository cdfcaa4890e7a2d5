"""Watching a student by its embedding: the numbers, when it stops, and what it leaves alone."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mentee import models, resume, train
from mentee.data import limit, open_examples
from mentee.errors import DataError, RecipeError
from mentee.runs import checkpoint
from mentee.runs.state import RunState
from tests.build.test_mistakes import several
from tests.conftest import digits
from tests.processes import Forked
from tests.training.test_resume import KILLED, assert_same, number_of

WATCH = {"limit": 200, "knn": 5, "probe": True}
LABEL_FREE = {"label": False}


def monitored(teacher: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """Transfer without labels, looked at by 200 labeled images after each epoch."""
    return digits(
        **{
            "teacher": {**teacher, "classes": 10},
            "method": "to-teacher",
            "data": LABEL_FREE,
            "monitor": WATCH,
            **parts,
        }
    )


def lines(run: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{"epoch": line["epoch"], **line["monitor"]} for line in found if "monitor" in line]


def embedding(run: Path, images: torch.Tensor) -> np.ndarray[Any, Any]:
    """What a saved student says before its classifier, without this project's capture."""
    recipe = json.loads((run / "summary.json").read_text())["student"]
    network = models.build(
        recipe["network"], classes=recipe["classes"], channels=1, widths=(8, 16, 32)
    ).eval()
    network.load_state_dict(load_file(run / "student.safetensors"))
    mean, std = recipe["input"]["mean"][0], recipe["input"]["std"][0]
    said: list[torch.Tensor] = []
    network.get_submodule("fc").register_forward_pre_hook(lambda module, x: said.append(x[0]))
    with torch.no_grad():
        network(((images / 255).permute(0, 3, 1, 2) - mean) / std)
    return said[0].double().numpy()


def told(x: Any, y: list[int], i: int, k: int, tau: float) -> int:
    """The class of example i by its k nearest others, in loops."""
    cosines = [float(x[i] @ v) / math.sqrt(float(x[i] @ x[i]) * float(v @ v)) for v in x]
    near = sorted((j for j in range(len(x)) if j != i), key=lambda j: -cosines[j])[:k]
    votes = [sum(math.exp(cosines[j] / tau) for j in near if y[j] == c) for c in range(10)]
    return max(range(10), key=lambda c: votes[c])


def test_the_curve_is_that_of_neighbors_in_loops(teacher: dict[str, Any], tmp_path: Path) -> None:
    run = train(monitored(teacher, select={"keep": "last"}), out=tmp_path / "run", quiet=True)
    seen = lines(run.path)
    assert [line["epoch"] for line in seen] == [0, 1, 2]
    whole = open_examples("embedded:digits")
    some = limit(whole, 200, seed=0)
    x, y = embedding(run.path, some.read(np.arange(200))), some.labels
    assert y is not None
    right = np.mean([told(x, y.tolist(), i, 5, 0.07) == y[i] for i in range(200)])
    assert seen[-1]["knn"] == pytest.approx(right, abs=1.5 / 200)  # a tie may fall either way
    assert run.summary["monitor"] == {
        "examples": 200,
        "knn": seen[-1]["knn"],
        "probe": pytest.approx(seen[-1]["probe"]),
    }
    assert 0.3 < seen[-1]["probe"] <= 1
    assert all(line["noise"] > 0 for line in seen[1:])


def test_it_leaves_the_training_alone(teacher: dict[str, Any], tmp_path: Path) -> None:
    one = train(monitored(teacher, select={"keep": "last"}), out=tmp_path / "one", quiet=True)
    other = train(monitored(teacher, monitor=None), out=tmp_path / "other", quiet=True)
    files = [(run.path / "student.safetensors").read_bytes() for run in (one, other)]
    assert files[0] == files[1]
    assert other.summary["monitor"] is None
    assert not lines(other.path)


def test_the_best_is_kept_and_nothing_is_learned_by_standing_still(
    teacher: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = monitored(
        teacher,
        select={"patience": 2},
        train={"epochs": 6, "lr": 1e-12, "schedule": "constant"},
    )
    run = train(recipe, out=tmp_path / "run")
    out = capsys.readouterr().out
    assert "before the first step: knn 0." in out
    assert "no better for 2 evaluations: stopped early" in out
    assert run.summary["epochs"] == 2
    seen = lines(run.path)
    best = max(seen, key=lambda line: (line["knn"], -line["epoch"]))
    assert run.summary["selected"] == {
        "keep": "best",
        "by": "knn",
        "epoch": best["epoch"],
        "score": best["knn"],
    }
    report = (run.path / "report.md").read_text()
    assert "best on the monitored examples (knn" in report
    assert "## Quality of the embedding" in report


def test_the_student_before_its_first_step_may_be_the_best(
    teacher: dict[str, Any], tmp_path: Path
) -> None:
    recipe = monitored(teacher, train={"epochs": 1, "lr": 30.0, "max_grad_norm": 100.0})
    run = train(recipe, out=tmp_path / "run", quiet=True)
    if run.summary["selected"]["epoch"] != 0:
        pytest.skip("one epoch at a rate of 30 made the student better")
    kept = load_file(run.path / "student.safetensors")
    first = models.build("resnet8-cifar", classes=1, channels=1, seed=0, widths=(8, 16, 32))
    for name, value in first.state_dict().items():
        assert torch.equal(kept[name], value)
    assert "the student as it was before its first step" in (run.path / "report.md").read_text()


def test_a_kill_in_between_changes_nothing(
    begin: Callable[..., Forked],
    teacher: dict[str, Any],
    file: Any,
    tmp_path: Path,
) -> None:
    recipe = file(
        monitored(
            teacher,
            train={"epochs": 3},
            save={"steps": 4, "minutes": None},
            select={"patience": 2},
        )
    )
    killed = begin("-c", KILLED, recipe, tmp_path / "run", "17", str(int(signal.SIGKILL)))
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    assert killed.wait(300) == -signal.SIGKILL, killed.communicate()
    assert number_of(checkpoint.list_checkpoints(tmp_path / "run" / "checkpoints")[-1]) == 16
    resume(tmp_path / "run", quiet=True)
    assert_same(tmp_path / "run", whole.path)


def test_several_classes_are_monitored_by_their_mean_precision(
    teacher: dict[str, Any], tmp_path: Path
) -> None:
    data = {**LABEL_FREE, "limit": None, "test": None}
    recipe = monitored(teacher, data=data, train={"batch": 8}, monitor={**WATCH, "limit": None})
    run = train(recipe, data=several(), out=tmp_path / "run", quiet=True)
    assert run.summary["monitor"]["examples"] == 96
    assert run.summary["monitor"]["knn"] > 0.6  # bright rows: even the first student sees some
    assert run.summary["monitor"]["probe"] > 0.6


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (
            {"monitor": None, "select": {"by": "knn"}},
            RecipeError,
            "select.by is knn, which needs labeled examples to monitor",
        ),
        ({"monitor": {"split": "tets"}}, DataError, "no split 'tets'"),
        ({"monitor": {"temperature": 0.0}}, RecipeError, "monitor.temperature: input should be"),
        (
            {"monitor": {"nkn": 3}},
            RecipeError,
            "monitor.nkn: there is no such key; did you mean 'knn'",
        ),
    ],
)
def test_what_cannot_be_monitored(
    change: dict[str, Any],
    error: type[Exception],
    text: str,
    teacher: dict[str, Any],
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=text):
        train(monitored(teacher, **change), out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_examples_without_labels_cannot_be_monitored(
    teacher: dict[str, Any], tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
    recipe = monitored(teacher, data={**LABEL_FREE, "limit": None, "test": None})
    with pytest.raises(DataError, match="holds image with no labels; expected image with labels"):
        train(recipe, data={"image": images}, out=tmp_path / "run", quiet=True)


def test_small_gains_add_up_until_they_are_clear() -> None:
    """Each is within its noise of the one before, the third is beyond that of the first."""
    noisy = np.linspace(-0.05, 0.05, 20)
    progress = RunState()
    progress.grows(0.50, [0.50] * 20, 0)
    for epoch, (score, stale) in enumerate([(0.505, 1), (0.51, 2), (0.56, 0), (0.55, 1)], 1):
        growth = progress.grows(score, (score + 0.4 * noisy).tolist(), epoch)
        assert progress.stale == stale, epoch
        assert growth.best == (epoch <= 3)
    assert (progress.best, progress.best_epoch) == (0.56, 3)
