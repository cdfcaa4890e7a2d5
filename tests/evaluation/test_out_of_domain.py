"""Other domains: named test sets, corruptions, what is lost, and the table that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from mentee import resume, train
from mentee.api import evaluate, evaluate_domains
from mentee.cli import app
from mentee.errors import DataError, RecipeError
from mentee.evaluation import evaluator
from mentee.evaluation.out_of_domain import parse_domains
from tests.conftest import digits


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
    whole = evaluate_domains(run, parse_domains(["again=train"], False, None))
    assert whole.domains["again"]["scores"] == evaluate(run, split="train")
    assert whole.scores == evaluate(run)


def test_all_corruptions_have_a_mean_of_their_own(run: Path) -> None:
    found = evaluate_domains(run, parse_domains([], True, 20)).domains
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
    head, test, again = said.stdout.splitlines()
    assert head.split()[:2] == ["on", "accuracy"]
    assert test.split()[0] == "test"
    assert again.split()[0] == "again"


@pytest.mark.parametrize("pair", ["tweets", "=test", "tweets="])
def test_a_domain_has_a_name_and_a_split(pair: str) -> None:
    with pytest.raises(RecipeError, match="expected name=split, or name=source:split"):
        parse_domains([pair], False, None)


def test_the_colon_of_a_sources_own_name_is_not_taken_for_that_of_a_split() -> None:
    text = "m=embedded:mnist: .* expected name=source:split, such as m=embedded:mnist:test"
    with pytest.raises(RecipeError, match=text):
        parse_domains(["m=embedded:mnist"], False, None)
    domain = parse_domains(["m=embedded:mnist:train"], False, None)["m"]
    assert (domain.source, domain.split) == ("embedded:mnist", "train")


@pytest.mark.parametrize(
    "options", [["--on", "a=train", "--split", "train"], ["--corruptions", "--data", "other/"]]
)
def test_one_other_set_and_a_comparison_exclude_each_other(run: Path, options: list[str]) -> None:
    said = CliRunner().invoke(app, ["evaluate", str(run), *options])
    assert isinstance(said.exception, RecipeError)
    assert f"{options[-2]} scores one set alone, --on and" in str(said.exception)


def write_images(folder: Path, *classes: str, each: int = 3) -> Path:
    """Random 8×8 images of a test split, so many of each class."""
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / "test" / name).mkdir(parents=True)
        for i in range(each):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "test" / name / f"{i}.png")
    return folder


def test_all_that_does_not_exist_is_said_before_the_first_step(tmp_path: Path) -> None:
    domains = {
        "fine": {"split": "train", "limit": 9},
        "noise": {"corruption": "gausian_noise"},
        "split": {"split": "tset"},
        "source": {"source": str(tmp_path / "none")},
        "classes": {"source": str(write_images(tmp_path / "emus", "3", "emu"))},
        "record": {"split": "train", "record": str(tmp_path / "records")},
    }
    recipe = digits(data={"out_of_domain": domains, "limit": 64}, train={"epochs": 1})
    with pytest.raises(DataError) as refused:
        train(recipe, out=tmp_path / "run", quiet=True)
    head, *lines = str(refused.value).splitlines()
    assert head == "5 problems in the sets of other domains:"
    expected = {
        "noise": "there is no corruption 'gausian_noise' of image; did you mean 'gaussian_noise'",
        "split": "no split 'tset'",
        "source": "none' does not exist",
        "classes": "class 'emu' of the source is not among the classes",
        "record": "there is no folder",
    }
    for line, (name, text) in zip(lines, expected.items(), strict=True):
        assert line.startswith(f"  - {name}: ")
        assert text in line
    assert not (tmp_path / "run").exists()


def test_texts_have_no_corruptions(tmp_path: Path) -> None:
    for split in ("train", "test"):
        rows = "".join(f"{i},word {i % 2},{'ab'[i % 2]}\n" for i in range(40))
        (tmp_path / f"{split}.csv").write_text(f"id,text,label\n{rows}")
    data = {"source": str(tmp_path), "out_of_domain": {"all": {"corruption": "all"}}}
    recipe = {"data": data, "student": "hashed-bag-small", "train": {"epochs": 1, "batch": 8}}
    with pytest.raises(DataError, match="  - all: there is no corruption of text; leave this dom"):
        train(recipe, out=tmp_path / "run", quiet=True)


def test_a_severity_is_of_a_corruption(tmp_path: Path) -> None:
    recipe = digits(data={"out_of_domain": {"x": {"severity": 3}}})
    text = r"data.out_of_domain.x.severity: should be null without a corruption .*, not 3"
    with pytest.raises(RecipeError, match=text):
        train(recipe, out=tmp_path / "run", quiet=True)


def test_the_student_is_on_disk_before_it_is_judged(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise DataError("the disk was pulled out")

    recipe = digits(train={"epochs": 4})
    with monkeypatch.context() as patch:
        patch.setattr(evaluator, "score_domains", fail)
        with pytest.raises(DataError, match="pulled out"):
            train(recipe, out=tmp_path / "run", quiet=True)
    mine, whole = (load_file(path / "student.safetensors") for path in (tmp_path / "run", run))
    assert all(torch.equal(mine[name], whole[name]) for name in whole)
    assert resume(tmp_path / "run", quiet=True).summary["test"] == evaluate(run)


def test_a_domain_without_scores_loses_no_run(tmp_path: Path) -> None:
    """Three classes at once; in one domain every example has every one."""
    rng = np.random.default_rng(0)

    def some(labels: Any) -> datasets.Dataset:
        images = [Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)) for _ in labels]
        return datasets.Dataset.from_dict({"image": images, "label": labels}).cast_column(
            "image", datasets.Image()
        )

    mixed = rng.integers(0, 2, (48, 3)).tolist()
    data = datasets.DatasetDict(
        {"train": some(mixed), "test": some(mixed[:20]), "full": some([[1, 1, 1]] * 8)}
    )
    domains = {"full": {"split": "full"}, "fog": {"split": "full", "corruption": "fog"}}
    recipe = digits(
        data={"out_of_domain": domains, "limit": None, "validation": None},
        train={"epochs": 1, "batch": 16},
    )
    run = train(recipe, out=tmp_path / "run", data=data, quiet=True)
    assert set(run.summary["test"]) == {"map", "auroc", "f1"}
    for name in ("full", "fog/fog-1", "fog/fog-5", "fog"):
        assert run.summary["out_of_domain"][name]["scores"] == {}
        assert run.summary["out_of_domain"][name]["drop"] is None
    text = "has no scores: no class has both positive and negative examples"
    assert [note.partition(";")[0] for note in run.summary["notes"]] == [
        f"{name} {text}" for name in domains
    ]
    assert f"- full {text}" in (run.path / "report.md").read_text()
    with pytest.raises(DataError, match="no class has both positive and negative examples"):
        evaluate(run.path, data=data, split="full")
