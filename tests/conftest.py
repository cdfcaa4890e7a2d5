"""What several tests share: a fixed random state, and where outside numbers and data lie."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mentee import cli, train
from mentee.types import Step
from tests.processes import Forked, start

Recipe = dict[str, Any]


@pytest.fixture(autouse=True)
def _own_random_numbers():
    """Each test begins from the same random state, whichever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    """What is decoded in a test is kept for the tests alone."""
    before = os.environ.get("MENTEE_CACHE")
    os.environ["MENTEE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["MENTEE_CACHE"]
    else:
        os.environ["MENTEE_CACHE"] = before


@pytest.fixture(autouse=True, scope="session")
def _no_wait_for_the_disk() -> Iterator[None]:
    """No test pulls the plug, and a wait of some 20 ms for each file adds up to minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


def pytest_collection() -> None:
    """What is imported is no garbage, and is not looked through for any."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Nor is it when a run calls `gc.collect`."""
    gc.enable()
    gc.freeze()


def folder_from(variable: str) -> Path:
    """The folder an environment variable names, or a skip that says why."""
    given = os.environ.get(variable)
    if not given or not Path(given).is_dir():
        pytest.skip(f"{variable} names no folder; set it to run this test")
    return Path(given)


@pytest.fixture
def reference() -> Path:
    """Losses and gradients computed by other people's code."""
    return folder_from("MENTEE_REFERENCE")


@pytest.fixture
def cifar10() -> Path:
    """The folder with CIFAR-10's train.parquet and test.parquet."""
    return folder_from("MENTEE_DATA") / "cifar10"


@pytest.fixture
def teacher_weights() -> Path:
    """A ResNet-20 trained on CIFAR-10."""
    return folder_from("MENTEE_MODELS") / "resnet20-cifar10.safetensors"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums come out bit for bit as in the processes that `begin` starts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def digits(**parts: Any) -> Recipe:
    """Ten steps an epoch on 8×8 images, from scratch; parts are laid over it key by key."""
    recipe: Recipe = {
        "data": {
            "source": "embedded:digits",
            "views": "crop",
            "pad": 1,
            "limit": 320,
            "validation": 0.15,
        },
        "student": {"network": "resnet8-cifar", "options": {"widths": [8, 16, 32]}},
        "method": "none",
        "train": {"epochs": 2, "batch": 32},
    }
    for key, value in parts.items():
        old = recipe.get(key)
        both = isinstance(value, dict) and isinstance(old, dict)
        recipe[key] = {**old, **value} if both else value
    return recipe


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A network that has learned digits in a second or two."""
    out = tmp_path_factory.mktemp("teacher") / "run"
    recipe = digits(student="resnet8-cifar", data={"limit": 640}, train={"epochs": 4})
    run = train(recipe, out=out, quiet=True)
    assert run.summary["test"]["accuracy"] > 0.5
    return {"network": "resnet8-cifar", "weights": str(out / "student.safetensors")}


def taught_by(teacher: dict[str, Any], /, **parts: Any) -> Recipe:
    """As `digits`, with the teacher and the whole of CKTF."""
    return digits(**{"teacher": teacher, "method": "cktf+kd", **parts})


@pytest.fixture
def taught(teacher: dict[str, Any]) -> Callable[..., Recipe]:
    """`taught_by` the session's teacher."""
    return partial(taught_by, teacher)


def cut_off(recipe: Any, out: Path, after: int) -> None:
    """A run that stops after so many steps as if it was pulled out, to be resumed."""

    class PulledOut(Exception):  # noqa: N818 - it is no error
        pass

    def stop(step: Step) -> None:
        if step.number == after:
            raise PulledOut

    with pytest.raises(PulledOut):
        train(recipe, out=out, quiet=True, on_step=stop)


@pytest.fixture(scope="session")
def whole(teacher: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A recipe of 50 steps, a checkpoint every 7, and its run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    save = {"steps": 7, "minutes": None}
    recipe = taught_by(teacher, train={"epochs": 5}, save=save)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    train(folder / "recipe.yaml", out=folder / "run", quiet=True)
    return str(folder / "recipe.yaml"), folder / "run"


@pytest.fixture
def file(tmp_path: Path) -> Callable[[Recipe], str]:
    """Write a recipe, return its path."""

    def write(recipe: Recipe) -> str:
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        return str(path)

    return write


@pytest.fixture
def begin() -> Iterator[Callable[..., Forked]]:
    """Start Python with these arguments in a process of its own; none outlives the test."""
    begun: list[Forked] = []

    def begin(*arguments: str | Path) -> Forked:
        begun.append(start(*arguments))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()


@pytest.fixture
def mentee(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: exit status, stdout, stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mentee", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            status: object = 0
        except SystemExit as end:
            status = end.code or 0
        said = capsys.readouterr()
        assert isinstance(status, int)
        return status, said.out, said.err

    return run
