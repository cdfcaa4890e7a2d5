"""Runs of version 0.1 are refused with one sentence; their students stay loadable."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from mentee import models, probe, resume
from mentee.api import evaluate
from mentee.errors import RunError

OLD = """
data: {source: "embedded:digits", test: test}
student: {network: resnet8-cifar, classes: 10, options: {widths: [4, 8, 8], stem: 4}}
train: {epochs: 1, rate: 0.05, optimiser: sgd}
"""


@pytest.fixture(params=["by its environment", "by its keys"])
def old_run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(OLD)
    if request.param == "by its environment":
        (tmp_path / "environment.json").write_text(json.dumps({"mentee": "0.1.3"}))
    network = models.build(
        "resnet8-cifar", classes=10, channels=1, seed=0, widths=(4, 8, 8), stem=4
    )
    save_file(network.state_dict(), tmp_path / "student.safetensors")
    return tmp_path


@pytest.mark.parametrize("use", [resume, evaluate, probe])
def test_an_old_run_says_what_to_do(use: Callable[..., Any], old_run: Path) -> None:
    expected = (
        r"is a run of mentee 0\.1, .* train again with: mentee train .*recipe\.yaml --out NEW"
    )
    with pytest.raises(RunError, match=expected) as caught:
        use(old_run)
    assert str(caught.value).count("\n") == 0


def test_its_student_is_still_loaded_as_weights(old_run: Path) -> None:
    network = models.build(
        "resnet8-cifar", classes=10, channels=1, seed=1, widths=(4, 8, 8), stem=4
    )
    assert not models.load_weights(network, old_run / "student.safetensors")
