"""Students × methods × seeds, by name and recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mentee.errors import RunError
from mentee.experiments.jobs import plan_jobs, save_plan
from mentee.recipe import MultiRecipe, read

RECIPE = read(
    {
        "data": "embedded:digits",
        "student": {"network": "timm:resnet18", "input": "imagenet", "options": {"drop_rate": 0.1}},
        "method": {"name": "kd", "params": {"kl.temperature": 2.0}},
        "train": {"seed": 3},
    }
)


def test_a_whole_seed_comes_before_the_next() -> None:
    jobs = plan_jobs(RECIPE, ["timm:resnet18", "resnet8-cifar"], ["kd", "crd+kd"], 2, Path("s"))
    assert [job.name for job in jobs] == [
        "timm-resnet18-kd-seed3",
        "timm-resnet18-crd+kd-seed3",
        "resnet8-cifar-kd-seed3",
        "resnet8-cifar-crd+kd-seed3",
        "timm-resnet18-kd-seed4",
        "timm-resnet18-crd+kd-seed4",
        "resnet8-cifar-kd-seed4",
        "resnet8-cifar-crd+kd-seed4",
    ]
    assert [job.recipe.train.seed for job in jobs[::4]] == [3, 4]


def test_the_recipes_own_keep_what_it_says_of_them() -> None:
    own, _, other, _ = plan_jobs(RECIPE, ["timm:resnet18", "vgg8"], ["kd", "crd"], 1, Path("s"))
    assert own.recipe == RECIPE
    assert other.recipe.student.input == "imagenet"
    assert other.recipe.student.options == {}
    assert other.recipe.method == RECIPE.method
    assert plan_jobs(RECIPE, [], ["crd"], 1, Path("s"))[0].recipe.method.params == {}


def test_from_scratch_nobody_teaches_by_a_method_of_its_own() -> None:
    teachers = {"a": "vgg8-cifar", "b": {"record": "x"}}
    said = {"teachers": teachers, "methods": {"b": "phi-s"}}
    recipe = read({**RECIPE.model_dump(), "teacher": said})
    none, kd = plan_jobs(recipe, [], ["none", "kd"], 1, Path("s"))
    assert isinstance(none.recipe.teacher, MultiRecipe)
    assert none.recipe.teacher.methods == {}
    assert kd.recipe.teacher == recipe.teacher


def test_what_an_earlier_version_did_not_say_is_no_difference(tmp_path: Path) -> None:
    """Its recipes had fewer keys; those it had are still compared."""
    (job,) = plan_jobs(RECIPE, [], ["kd"], 1, tmp_path)
    save_plan(tmp_path, [job], {"live": False})
    job.path.mkdir()
    job.folder.recipe.write_text("begun")
    ledger = tmp_path / "sweep.json"
    was = json.loads(ledger.read_text())
    del was[job.name]["recipe"]["train"]["compile"]
    del was[job.name]["recipe"]["data"]["cycle"]
    ledger.write_text(json.dumps(was))
    save_plan(tmp_path, [job], {"live": False})
    was[job.name]["recipe"]["train"]["epochs"] = 7
    ledger.write_text(json.dumps(was))
    with pytest.raises(RunError, match=r"started otherwise \(train.epochs: 7 there, 30 here\)"):
        save_plan(tmp_path, [job], {"live": False})


@pytest.mark.parametrize(("key", "value"), [("size", 32), ("classes", 7), ("input", None)])
def test_other_students_read_what_the_recipe_says(key: str, value: Any, tmp_path: Path) -> None:
    if key == "input":
        value = {"mean": [0.5], "std": [0.25]}
    content = read({"data": "embedded:digits", "student": {"network": "resnet8-cifar", key: value}})
    jobs = plan_jobs(content, ["resnet14-cifar", "resnet8-cifar"], ["none"], 1, tmp_path)
    for job in jobs:
        assert job.recipe.student.model_dump(mode="json")[key] == value
