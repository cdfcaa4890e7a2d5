"""Nothing is started in the folder of something else, and nothing half made stays."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from torch import nn

from mentee import compare, pipeline, record_network, sweep, train
from mentee.build.overrides import PythonOverrides
from mentee.errors import DivergedError, MenteeError, RunError
from mentee.experiments.executors import local as workers
from mentee.recording.embedders import import_vectors
from tests.conftest import digits, taught_by

FAST = {"ways": ["knn"], "seeds": 1, "shares": [0.1], "who": ["student"]}
COMMANDS: dict[str, Callable[..., object]] = {
    "train": partial(train, quiet=True),
    "sweep": partial(sweep, names=["none"], seeds=1, say=str),
    "compare": partial(compare, names=["none"], seeds=1, say=str),
    "pipeline": partial(pipeline, views=1, quiet=True, say=str),
    "record": partial(record_network, views=1, say=str),
}
KINDS = {"train": "run", "sweep": "sweep or comparison", "pipeline": "pipeline", "record": "record"}


@pytest.fixture(scope="module")
def recipe(teacher: dict[str, Any]) -> dict[str, Any]:
    return taught_by(teacher, method="kd", train={"epochs": 1}, probe=FAST)


@pytest.fixture(scope="module")
def folders(recipe: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of each command."""
    out = tmp_path_factory.mktemp("kinds")
    for name in KINDS:
        COMMANDS[name](recipe, out=out / name)
    return out


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("there", KINDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_leaves_the_folders_of_others_alone(
    command: str, there: str, folders: Path, recipe: Any
) -> None:
    out = folders / there
    if (command, there) in {(each, each) for each in KINDS} | {("compare", "sweep")}:
        pytest.skip("its own kind")
    before = files(out)
    with pytest.raises(
        RunError, match=f"{there} is the folder of a {KINDS[there]}, and a .* there"
    ):
        COMMANDS[command](recipe, out=out)
    assert files(out) == before


def test_nor_are_vectors_imported_there(folders: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", ids=np.array(["a"]), embedding=np.ones((1, 3)))
    with pytest.raises(RunError, match="train is the folder of a run, and a record there would"):
        import_vectors(tmp_path / "v.npz", "embedded:digits", folders / "train")


@pytest.mark.parametrize("inside", ["record/train", "pipeline/record", "sweep/new"])
def test_folders_inside_count_for_themselves(inside: str, folders: Path, recipe: Any) -> None:
    with pytest.raises(RunError, match="is the folder of a"):
        train(recipe, out=(folders / inside).parent, quiet=True)
    if not inside.endswith("new"):
        with pytest.raises(RunError, match=f"{inside} is the folder of a record"):
            train(recipe, out=folders / inside, quiet=True)
    else:
        train(recipe, out=folders / inside, quiet=True)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"student": {"options": {"widths": [16, 32]}}}, id="two widths"),
        pytest.param({"data": {"source": "no/such/folder"}}, id="no data"),
        pytest.param({"teacher": {"network": "no-such-network"}}, id="no teacher"),
    ],
)
def test_an_early_error_leaves_no_folder(
    command: str, parts: Any, teacher: dict[str, Any], tmp_path: Path
) -> None:
    wrong = taught_by(teacher, **{"method": "kd", "train": {"epochs": 1}, **parts})
    if command in ("sweep", "compare") and "teacher" in parts:
        pytest.skip("from scratch reads no teacher")
    with pytest.raises(MenteeError):
        COMMANDS[command](wrong, out=tmp_path / "a" / "out")
    assert not (tmp_path / "a" / "out").exists()


def test_an_error_in_the_first_step_leaves_no_folder(tmp_path: Path) -> None:
    """The same command with another learning rate is not refused by its remains."""

    def explode(module: nn.Module, *_: object) -> None:
        for parameter in module.parameters():
            parameter.data.fill_(float("nan"))

    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    explode(network)
    with pytest.raises(DivergedError, match="at step 1"):
        train(digits(), out=tmp_path / "a" / "run", student=network, quiet=True)
    assert not list(tmp_path.iterdir())


class Own(nn.Sequential):
    """A network of somebody's own."""


def test_classes_of_a_notebook_are_refused_before_a_process_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notebook = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    workers.refuse_notebook_objects(PythonOverrides(student=Own))
    monkeypatch.setattr(Own, "__module__", "__main__")
    notebook.Own = Own  # type: ignore[attr-defined]
    for overrides in (PythonOverrides(student=Own), PythonOverrides(teacher=[Own()])):
        with pytest.raises(RunError, match=r"move it into a \.py file .*, or give processes=1"):
            workers.refuse_notebook_objects(overrides)
        with pytest.raises(RunError, match="is defined in a notebook or at a prompt"):
            workers.Worker.start(overrides, 1)
    notebook.__file__ = "script.py"
    workers.refuse_notebook_objects(PythonOverrides(student=Own))
