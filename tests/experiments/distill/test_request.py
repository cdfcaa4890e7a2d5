"""Numbers with units, and recipes from the words of a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentee.errors import MenteeError, RecipeError
from mentee.experiments.distill.request import budget_of, is_recipe, quantity, recipe_of


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("300k", "", 300_000),
        ("1.5M", "", 1.5e6),
        ("200KB", "b", 2e5),
        ("4", "ms", 4),
        ("0.5ms", "ms", 0.5),
    ],
)
def test_units(text: str, unit: str, value: float) -> None:
    assert quantity(text, "--max", unit) == value


@pytest.mark.parametrize("text", ["", "many", "0", "-3", "3ms", "1e3", "3kk"])
def test_what_is_no_number_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(RecipeError, match=r"--max-params .*expected a number"):
        quantity(text, "--max-params")


def test_kilo_milliseconds_are_refused() -> None:
    with pytest.raises(RecipeError, match="such as 5ms"):
        quantity("5k", "--max-latency", "ms")


def test_a_budget_has_whole_numbers() -> None:
    budget = budget_of({"max_params": "0.3k", "max_latency": "2"})
    assert budget == {"max_params": 300, "max_bytes": None, "max_latency": 2.0}
    assert isinstance(budget["max_params"], int)


def test_data_get_a_student_of_their_kind(tmp_path: Path) -> None:
    rows = "\n".join(f"text {i},{'ab'[i % 2]}" for i in range(40))
    (tmp_path / "train.csv").write_text(f"text,label\n{rows}\n")
    text = recipe_of(str(tmp_path), embeddings=["vectors"], changes=["data.test=null"])
    assert text["student"]["network"] == "hashed-bag"
    assert text["teacher"]["record"] == "vectors"
    digits = recipe_of("embedded:digits", teacher="resnet20-cifar", weights="w.safetensors")
    assert digits["student"]["network"] == "resnet8-cifar"
    assert digits["teacher"]["weights"] == "w.safetensors"


def test_several_records_have_the_names_of_their_folders() -> None:
    recipe = recipe_of(
        "embedded:digits", embeddings=["records/a", "records/b"], student="resnet8-cifar"
    )
    assert recipe["teacher"]["record"] == {"a": "records/a", "b": "records/b"}


def test_a_recipe_keeps_what_is_not_named_anew(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("{data: embedded:digits, student: resnet14-cifar, train: {batch: 7}}")
    recipe = recipe_of(str(file), teacher="resnet20-cifar")
    assert recipe["student"]["network"] == "resnet14-cifar"
    assert recipe["train"]["batch"] == 7
    assert is_recipe(str(file))
    assert not is_recipe("embedded:digits")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"teacher": "resnet20-cifar", "embeddings": ["a"]}, "give one of them"),
        ({"embeddings": ["a/vectors", "b/vectors"]}, "two have the same folder name"),
        ({"weights": "w.safetensors"}, "name it with --teacher"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, object], text: str) -> None:
    with pytest.raises(MenteeError, match=text):
        recipe_of("embedded:digits", **options)  # type: ignore[arg-type]
