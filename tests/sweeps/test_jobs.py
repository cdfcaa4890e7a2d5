"""Students × methods × seeds, by name and recipe."""

from __future__ import annotations

from pathlib import Path

from mentee.recipe import read
from mentee.sweeps.jobs import jobs_of

RECIPE = read(
    {
        "data": "embedded:digits",
        "student": {"network": "timm:resnet18", "input": "imagenet", "options": {"drop_rate": 0.1}},
        "method": {"name": "kd", "numbers": {"kl.temperature": 2.0}},
        "train": {"seed": 3},
    }
)


def test_a_whole_seed_comes_before_the_next() -> None:
    jobs = jobs_of(RECIPE, ["timm:resnet18", "resnet8-cifar"], ["kd", "crd+kd"], 2, Path("s"))
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
    own, _, other, _ = jobs_of(RECIPE, ["timm:resnet18", "vgg8"], ["kd", "crd"], 1, Path("s"))
    assert own.recipe == RECIPE
    assert other.recipe.student.input == "imagenet"
    assert other.recipe.student.options == {}
    assert other.recipe.method == RECIPE.method
    assert jobs_of(RECIPE, [], ["crd"], 1, Path("s"))[0].recipe.method.numbers == {}
