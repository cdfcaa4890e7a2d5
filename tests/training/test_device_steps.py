"""No training step has the host wait for the device it trains on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.utils import backend_registration

from mentee.methods import METHODS, summands
from tests.training.device_steps import CASES, recipe

ROOT = Path(__file__).parents[2]
on_cpu = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend")
    or torch.cuda.is_available(),
    reason="needs a torch with devices written in Python (2.9), and no CUDA",
)
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def told(what: str) -> dict[str, Any]:
    """What a process of its own finds: torch knows the second device for good."""
    command = [sys.executable, "-m", "tests.training.device_steps", what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return {k: v for line in done.stdout.splitlines() for k, v in json.loads(line).items()}


@pytest.mark.parametrize(
    "device",
    [pytest.param("second", marks=on_cpu), pytest.param("cuda", marks=[on_gpu, pytest.mark.gpu])],
)
def test_no_step_of_any_method_or_teacher_waits_for_the_device(device: str) -> None:
    assert told("CASES") == {name: {} for name in yaml.safe_load(CASES)}


@on_cpu
def test_on_a_device_faults_are_found_and_a_run_without_is_that_on_the_cpu() -> None:
    found = told("FAULTS")
    (wait, times) = found["reads"].popitem()
    assert (wait.rpartition(":")[0], times) == (
        "_local_scalar_dense at distillation/objective.py",
        2,
    )
    assert found["diverges"] == {
        "error": "the loss is nan at step 3 (epoch 1)",
        "steps": 4,  # it is read with the checkpoint that is due then
        "kept": ["step-00000002.pt"],
    }
    assert found["same weights"] is True


def methods_of(name: str) -> set[str]:
    """The methods of the table that a case adds up."""
    method: Any = recipe(name).get("method", "none")
    return set(summands(method if isinstance(method, str) else method.get("name", "none")))


def test_every_method_of_the_table_is_among_the_cases() -> None:
    run = set().union(*(methods_of(name) for name in yaml.safe_load(CASES)))
    assert {name for name in METHODS if "+" not in name} <= run
