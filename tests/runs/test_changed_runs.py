"""A run whose recipe was changed after it began is not taken for what it now seems to be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mentee import compare, pipeline, probe, resume, sweep, train
from mentee.api import evaluate
from mentee.errors import RunError
from mentee.evaluation.evaluator import write_report
from mentee.runs import checkpoint
from mentee.types import Step
from tests.conftest import digits

SHORT = {"epochs": 1, "ema": 0.5}
FAST = {"ways": ["knn"], "seeds": 1, "shares": [0.1], "who": ["student"]}


def edit(run: Path, key: str, value: Any) -> None:
    """Change a key of a run's recipe, as a person does."""
    content = yaml.safe_load((run / "recipe.yaml").read_text())
    *groups, last = key.split(".")
    part = content
    for group in groups:
        part = part[group]
    part[last] = value
    (run / "recipe.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    return train(digits(train=SHORT, probe=FAST), out=out, quiet=True).path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a checkpoint, that has not come to its end."""

    def stop(step: Step) -> None:
        if step.number == 7:
            raise KeyError

    out = tmp_path_factory.mktemp("begun") / "run"
    with pytest.raises(KeyError):
        train(digits(train=SHORT, save={"steps": 5}), out=out, quiet=True, on_step=stop)
    return out


CHANGES = [
    pytest.param("train.epochs", 5, "train.epochs: 1 then, 5 now", id="more epochs"),
    pytest.param("train.ema", None, "train.ema: 0.5 then, None now", id="no average"),
    pytest.param("data.seed", 3, "data.seed: 0 then, 3 now", id="other examples"),
    pytest.param("select.threshold", 0.25, "select.threshold: 0.5 then, 0.25 now", id="scores"),
]


@pytest.mark.parametrize("use", [resume, evaluate, probe, write_report])
@pytest.mark.parametrize(("key", "value", "text"), CHANGES)
def test_a_finished_run_is_not_that_of_a_recipe_edited_later(
    use: Callable[[Path], object], key: str, value: Any, text: str, run: Path
) -> None:
    edit(run, key, value)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(RunError) as refused:
        use(run)
    assert str(refused.value) == (
        f"{run}/recipe.yaml was changed after the run began ({text}); put that back, or train it "
        f"as a new run: mentee train {run}/recipe.yaml --out NEW"
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("save.minutes", 1.0),
        ("train.num_workers", 1),
        ("probe.seeds", 2),
        ("trackers", ["tensorboard"]),
        ("student.weights", "elsewhere.safetensors"),
    ],
)
def test_keys_that_results_do_not_depend_on_may_change(key: str, value: Any, run: Path) -> None:
    scores = evaluate(run)
    edit(run, key, value)
    assert resume(run).summary["test"] == scores == evaluate(run)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        *CHANGES,
        pytest.param("train.optimizer", "adamw", "optimizer: sgd then, adamw now", id="optimizer"),
        pytest.param("train.batch", 16, "train.batch: 32 then, 16 now", id="batch"),
    ],
)
def test_a_run_is_not_resumed_by_another_recipe(
    key: str, value: Any, text: str, begun: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(begun, tmp_path / "run"))
    edit(run, key, value)
    with pytest.raises(RunError) as refused:
        resume(run, quiet=True)
    assert f"recipe.yaml was changed after the run began ({key.rpartition('.')[0]}" in str(
        refused.value
    )
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("train.optimizer", "adamw", "optimizer does not fit this recipe: it is of another rule"),
        ("train.ema", None, "moving average does not fit this recipe: only one of the two has"),
        ("train.weight_decay_all", False, "optimizer does not fit this recipe: it has 1 groups of"),
        ("student.options.widths", [4, 8, 8], "student does not fit this recipe: Error"),
    ],
)
def test_a_checkpoint_of_another_recipe_is_one_sentence_for_runs_that_noted_none(
    key: str, value: Any, text: str, begun: Path, tmp_path: Path
) -> None:
    """Those of earlier versions did not note what they began with."""
    run = Path(shutil.copytree(begun, tmp_path / "run"))
    environment = (run / "environment.json").read_text()
    (run / "environment.json").write_text(environment.replace('"recipe": {', '"other": {'))
    edit(run, key, value)
    with pytest.raises(RunError, match=text) as refused:
        resume(run, quiet=True)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    "start",
    [partial(sweep, names=["none"], seeds=1), partial(compare, names=["none"], seeds=1)],
    ids=["sweep", "compare"],
)
def test_runs_of_a_sweep_are_not_those_of_recipes_edited_later(
    start: Callable[..., object], tmp_path: Path
) -> None:
    recipe, out = digits(train=SHORT), tmp_path / "s"
    start(recipe, out=out, say=lambda line: None)
    edit(out / "resnet8-cifar-none-seed0", "train.ema", None)
    with pytest.raises(RunError, match=r"was changed after the run began \(train.ema: 0.5 then"):
        start(recipe, out=out, say=lambda line: None)


def test_the_run_of_a_pipeline_is_not_that_of_a_recipe_edited_later(tmp_path: Path) -> None:
    recipe, out = digits(train=SHORT, probe=FAST), tmp_path / "p"
    pipeline(recipe, out=out, quiet=True, say=lambda line: None)
    edit(out / "run", "train.epochs", 2)
    with pytest.raises(RunError, match=r"was changed after the run began \(train.epochs: 1 then"):
        pipeline(recipe, out=out, quiet=True, say=lambda line: None)


def test_a_folder_of_a_run_by_another_recipe_says_what_differs(run: Path) -> None:
    changes = [f"train.{key}" for key in ("lr=0.1", "batch=8", "momentum=0", "warmup=2", "seed=4")]
    with pytest.raises(RunError, match=r"holds a run already, of another recipe \(.*\); resume it"):
        train(digits(train=SHORT, probe=FAST), out=run, changes=changes)
    with pytest.raises(RunError, match=r"lr: 0.05 there, 0.1 here;.* and 1 more\); resume"):
        train(digits(train=SHORT), out=run, changes=changes)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        pytest.param([1], "has format list, this version of mentee reads 3", id="a list"),
        pytest.param(torch.zeros(3), "has format Tensor, this version", id="a tensor"),
        pytest.param({"format": 3}, "lacks done, student, adapters, memories", id="empty"),
    ],
)
def test_a_checkpoint_of_another_shape(state: Any, text: str, begun: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(begun, tmp_path / "run"))
    torch.save(state, checkpoint.list_checkpoints(run / "checkpoints")[-1])
    with pytest.raises(RunError, match=text):
        resume(run, quiet=True)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("student", {}, "student does not fit this recipe: .*Missing key"),
        ("adapters", [], "adapters does not fit this recipe: "),
        ("optimizer", {}, "optimizer does not fit this recipe: it lacks 'param_groups'"),
        ("optimizer", {"param_groups": []}, "it has 0 groups of parameters, expected 1"),
        ("ema", {"a": 1}, "moving average does not fit this recipe: "),
        ("random_states", [{}], "random states does not fit this recipe: it lacks 'torch'"),
        ("done", {"x": 1}, "last step does not fit this recipe: "),
        ("run_state", {"x": 1}, "run state is of another version or was changed"),
        ("loss_weights", 3, "loss weights does not fit this recipe: "),
    ],
)
def test_a_checkpoint_with_a_part_of_something_else(
    key: str, value: Any, text: str, begun: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(begun, tmp_path / "run"))
    path = checkpoint.list_checkpoints(run / "checkpoints")[-1]
    torch.save(torch.load(path, weights_only=True) | {key: value}, path)
    with pytest.raises(RunError, match=text):
        resume(run, quiet=True)
