"""Other domains: named test sets, corruptions, what is lost, and the table that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mentee import train
from mentee.cli import app
from mentee.errors import DataError, RecipeError
from mentee.run import evaluate, evaluate_domains
from mentee.run.domains import as_domains
from tests.run.conftest import digits


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    domains = {
        "train": {"split": "train"},
        "noise": {"corruption": "gaussian_noise", "severity": 5},
    }
    recipe = digits(data={"out_of_domain": domains}, train={"epochs": 4})
    return train(recipe, out=tmp_path_factory.mktemp("domains") / "run", quiet=True).path


def test_the_summary_says_what_is_lost_in_each_domain(run: Path) -> None:
    import json

    summary = json.loads((run / "summary.json").read_text())
    there = summary["out_of_domain"]
    assert set(there) == {"train", "noise"}
    for found in there.values():
        lost = summary["test"]["accuracy"] - found["scores"]["accuracy"]
        assert found["drop"] == pytest.approx(lost)
    assert there["noise"]["drop"] > 0.02
    assert there["train"]["examples"] == 1297
    assert there["noise"]["examples"] == 500


def test_a_domain_is_scored_as_its_split_alone(run: Path) -> None:
    whole = evaluate_domains(run, as_domains(["again=train"], False, None))
    assert whole.domains["again"]["scores"] == evaluate(run, split="train")
    assert whole.scores == evaluate(run)


def test_all_corruptions_have_a_mean_of_their_own(run: Path) -> None:
    found = evaluate_domains(run, as_domains([], True, 20)).domains
    parts = [each for name, each in found.items() if "/" in name]
    assert len(parts) == 75
    assert {each["examples"] for each in parts} == {20}
    mean = np.mean([each["scores"]["accuracy"] for each in parts])
    assert found["corruptions"]["scores"]["accuracy"] == pytest.approx(mean)
    assert found["corruptions"]["drop"] == pytest.approx(np.mean([e["drop"] for e in parts]))
    # All of them lost what they lost of one score: that of the same 20 examples, uncorrupted.
    clean = {round(each["drop"] + each["scores"]["accuracy"], 6) for each in parts}
    assert len(clean) == 1
    assert 20 * clean.pop() == pytest.approx(round(20 * (found["corruptions"]["drop"] + mean)))


def test_the_command_prints_a_table(run: Path) -> None:
    said = CliRunner().invoke(app, ["evaluate", str(run), "--on", "again=train"])
    assert said.exit_code == 0, said.output
    head, test, again = said.output.splitlines()
    assert head.split()[:2] == ["on", "accuracy"]
    assert test.split()[0] == "test"
    assert again.split()[0] == "again"


@pytest.mark.parametrize("pair", ["tweets", "=test", "tweets="])
def test_a_domain_has_a_name_and_a_split(pair: str) -> None:
    with pytest.raises(RecipeError, match="expected name=split, or name=source:split"):
        as_domains([pair], False, None)


def test_the_colon_of_a_sources_own_name_is_not_taken_for_that_of_a_split() -> None:
    text = "m=embedded:mnist: .* expected name=source:split, such as m=embedded:mnist:test"
    with pytest.raises(RecipeError, match=text):
        as_domains(["m=embedded:mnist"], False, None)
    domain = as_domains(["m=embedded:mnist:train"], False, None)["m"]
    assert (domain.source, domain.split) == ("embedded:mnist", "train")


@pytest.mark.parametrize(
    "options", [["--on", "a=train", "--split", "train"], ["--corruptions", "--data", "other/"]]
)
def test_one_other_set_and_a_comparison_exclude_each_other(run: Path, options: list[str]) -> None:
    said = CliRunner().invoke(app, ["evaluate", str(run), *options])
    assert isinstance(said.exception, RecipeError)
    assert f"{options[-2]} scores one set alone, --on and" in str(said.exception)


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        ({"corruption": "gausian_noise"}, "did you mean 'gaussian_noise'"),
        ({"split": "tset"}, "no split 'tset'"),
    ],
)
def test_what_does_not_exist_is_refused(domain: dict[str, Any], text: str, tmp_path: Path) -> None:
    recipe = digits(data={"out_of_domain": {"x": domain}, "limit": 64}, train={"epochs": 1})
    with pytest.raises(DataError, match=text):
        train(recipe, out=tmp_path / "run", quiet=True)
