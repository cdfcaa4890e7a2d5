"""Runs whose losses are balanced: gone on with exactly, and said in every file."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from mentee import resume, train
from mentee.api import Interrupted
from mentee.distillation.weights.balance import Gradient
from mentee.errors import RecipeError
from mentee.runs import checkpoint
from tests.training.test_resume import KILLED, assert_same, interrupt_at

SMALL = {"memory.negatives": 100, "project.width": 16}


def balanced(kind: str, **more: Any) -> dict[str, Any]:
    return {"name": "cktf-bank+kd", "params": SMALL, "balance": kind, **more}


@pytest.mark.parametrize("kind", ["none", "unit", "uncertainty", "gradient"])
def test_a_stop_in_and_after_the_first_steps(
    kind: str, taught: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gradient, "every", 3)
    recipe = taught(method=balanced(kind), train={"epochs": 2, "gradient_accumulation": 2})
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    for step in (4, 13):
        run = tmp_path / f"stopped-{step}"
        with pytest.raises(Interrupted):
            train(recipe, out=run, quiet=True, on_step=interrupt_at(step))
        resume(run, quiet=True)
        assert_same(run, whole.path)
    weights = whole.summary["weights_used"]
    assert len(set(weights.values())) > 2 or kind == "none"


def test_kill_9_with_trained_scales(begin: Any, taught: Any, file: Any, tmp_path: Path) -> None:
    save = {"steps": 4, "minutes": None}
    recipe = file(taught(method=balanced("uncertainty"), save=save))
    killed = begin("-c", KILLED, recipe, tmp_path / "run", "15", str(int(signal.SIGKILL)))
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    assert killed.wait(300) == -signal.SIGKILL, killed.communicate()
    assert checkpoint.list_checkpoints(tmp_path / "run" / "checkpoints")[-1].stem == "step-00000012"
    resume(tmp_path / "run", quiet=True)
    assert_same(tmp_path / "run", whole.path)


def test_every_file_says_what_the_losses_weigh(
    taught: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method = balanced("unit", weights={"contrast": 0.5})
    run = train(taught(method=method), out=tmp_path / "run")
    printed = capsys.readouterr().out.splitlines()
    head = next(n for n, line in enumerate(printed) if line.startswith("measured in the first 10"))
    assert printed[head].split()[-5:] == ["mean", "weight", "weighted", "gradient", "norm"]
    summary, names = run.summary, [name for name in run.summary["weights"] if name != "task"]
    assert summary["weights"] == {"task": 1.0, **dict.fromkeys(names, 0.5), "kl/logits": 1.0}
    assert summary["balance"] == "unit"
    losses = summary["measured"]["losses"]
    assert {line.split()[0] for line in printed[head + 1 : head + 8]} == set(losses)
    for name, found in losses.items():
        assert found["weight"] * found["mean"] == pytest.approx(summary["weights"][name])
        assert found["weight"] == summary["weights_used"][name]
        assert found["pull"] > 0
    lines = [json.loads(x) for x in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [x["weights"] for x in lines if "weights" in x] == [summary["weights_used"]] * 2
    report = (run.path / "report.md").read_text()
    section = report.partition("## Losses at the start\n")[2].partition("\n## ")[0]
    assert all(f"| {name} | {found['mean']:.4g} |" in section for name, found in losses.items())
    assert "Measured in the first 10 steps; balance unit." in section


def test_the_weights_of_a_row_that_rises_are_logged(taught: Any, tmp_path: Path) -> None:
    run = train(taught(method="dkd", train={"epochs": 12}), out=tmp_path / "run", quiet=True)
    lines = [json.loads(x) for x in (run.path / "metrics.jsonl").read_text().splitlines()]
    found = [x["weights"]["dkd/logits"] for x in lines if "weights" in x]
    assert found[0] == 1.0  # 10 of 120 steps: whole at the end of the first epoch
    slow = {"terms": [{"layers": "logits", "loss": "kl", "weight": 2.0, "ramp": 0.5}]}
    run = train(taught(method=slow, train={"epochs": 4}), out=tmp_path / "slow", quiet=True)
    lines = [json.loads(x) for x in (run.path / "metrics.jsonl").read_text().splitlines()]
    found = [x["weights"]["kl/logits"] for x in lines if "weights" in x]
    assert found == pytest.approx([1.0, 2.0, 2.0, 2.0])
    assert run.summary["weights"]["kl/logits"] == 2.0


def test_scales_are_not_decayed_and_not_part_of_the_student(taught: Any, tmp_path: Path) -> None:
    recipe = taught(method=balanced("uncertainty"), train={"epochs": 1})
    run = train(recipe, out=tmp_path / "run", quiet=True)
    state = torch.load(next((run.path / "checkpoints").glob("step-*.pt")), weights_only=True)
    assert state["adapters"]["loss_weights.balance.log_scales"].shape == (7,)
    groups = state["optimizer"]["param_groups"]
    assert [(len(g["params"]), g["weight_decay"]) for g in groups][-1] == (1, 0.0)
    assert not any("scale" in name for name in state["student"])


def test_gradients_in_a_compiled_student_are_refused(taught: Any, tmp_path: Path) -> None:
    recipe = taught(method=balanced("gradient"), train={"compile": "auto"})
    with pytest.raises(
        RecipeError, match=r"balance is gradient and train.compile is auto; .* false"
    ):
        train(recipe, out=tmp_path / "run", quiet=True)
