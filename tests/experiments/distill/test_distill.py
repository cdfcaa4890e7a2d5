"""The whole search on small digits: what is trained, what is written, and what a stop changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from mentee import distill
from mentee.api import Interrupted
from mentee.errors import MenteeError, RecipeError, RunError
from mentee.experiments.distill import Distilled, advise, lengths, preparation, strategies, trials
from mentee.experiments.pages import write_page
from mentee.recipe import read

PLANNED_LATER = ("search", "final", "winner", "pareto", "export")
SMALL = {"network": "resnet8-cifar", "options": {"widths": [4, 6, 8]}}


def recipe(teacher: dict[str, Any], **parts: Any) -> dict[str, Any]:
    data = {"source": "embedded:digits", "views": "crop", "pad": 1, "limit": 60}
    return {"data": data, "student": SMALL, "teacher": teacher, "train": {"batch": 20}} | parts


def search(teacher: dict[str, Any], out: Path, **options: Any) -> Distilled:
    options = {"epochs": 6, "seeds": 1, "processes": 1, "say": lambda line: None} | options
    result = distill(recipe(teacher), out=out, **options)
    assert result is not None
    return result


@pytest.fixture(autouse=True, scope="module")
def _few() -> Iterator[None]:
    """Three strategies, two rates and very short runs, since each takes half a second."""
    with pytest.MonkeyPatch.context() as patch:
        few = [s for s in strategies.OF_NETWORKS if s.first or s.method in ("cktf+kd", "kd")]
        patch.setattr(strategies, "OF_NETWORKS", few)
        patch.setattr(trials, "RATES", (3.0,))
        patch.setattr(lengths, "LEAST_EPOCHS", 1)
        patch.setattr(lengths, "LEAST_STEPS", 1)
        patch.setattr(preparation, "latency", lambda network, example: (0.5, "torch"))
        yield


@pytest.fixture(scope="module")
def searched(
    teacher: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Distilled, list[str]]:
    lines = list[str]()
    return search(teacher, tmp_path_factory.mktemp("d") / "out", say=lines.append), lines


def test_scratch_and_kd_are_compared_with_the_best(searched: tuple[Distilled, Any]) -> None:
    content = searched[0].content
    rows = {row["method"]: row for row in content["final"]["rows"]}
    assert {"none", "kd"} < set(rows)
    assert len(rows) == 3
    assert all(row["seeds"] == [0] for row in rows.values())
    best = max(rows.values(), key=lambda row: row["validation"]["mean"])
    assert content["winner"]["label"] == best["method"]
    assert searched[0].student == searched[0].path / content["winner"]["run"]
    assert searched[0].student.parent.name == "final"
    assert "long" not in content["lengths"]


def test_runs_of_the_search_never_read_the_test_part(searched: tuple[Distilled, Any]) -> None:
    folders = [each for each in (searched[0].path / "search").iterdir() if each.is_dir()]
    assert folders
    assert all(read(each / "recipe.yaml").data.test is None for each in folders)
    finals = [p.parent for p in (searched[0].path / "final").glob("*/summary.json")]
    scored = [each for each in finals if read(each / "recipe.yaml").data.test]
    assert {each.name for each in finals if each not in scored} <= {
        each.name for each in finals if "first" in each.name and "then" not in each.name
    }
    assert all(json.loads((each / "summary.json").read_text())["test"] for each in scored)


def test_all_trials_have_the_same_steps(searched: tuple[Distilled, Any]) -> None:
    steps = {}
    for path in (searched[0].path / "final").glob("*/summary.json"):
        summary = json.loads(path.read_text())
        first = path.parent.parent / path.parent.name.replace("first-then-none", "first")
        both = first != path.parent  # the two phases together are one trial
        steps[path.parent.name] = summary["steps"] + (
            json.loads((first / "summary.json").read_text())["steps"] if both else 0
        )
    longest = [n for name, n in steps.items() if not ("first" in name and "then" not in name)]
    assert max(longest) - min(longest) <= 3  # an epoch of three steps, by rounding


def test_a_first_phase_hands_its_weights_on_and_reads_no_label(
    searched: tuple[Distilled, Any],
) -> None:
    folder = searched[0].path / "search"
    first = folder / "resnet8-cifar-to-teacher+cktf-first-1-epochs-seed0"
    then = read(
        folder / "resnet8-cifar-to-teacher+cktf-first-then-none-1-epochs-seed0" / "recipe.yaml"
    )
    assert Path(str(then.student.weights)) == (first / "student.safetensors").resolve()
    assert not read(first / "recipe.yaml").method.labels


def test_without_labels_the_classifier_alone_is_trained_on_them(
    teacher: dict[str, Any], tmp_path: Path
) -> None:
    found = search(teacher, tmp_path / "out", epochs=3, label_free=True)
    rows = {row["method"] for row in found.content["final"]["rows"]}
    assert (
        {"none"}
        < rows
        <= {"none", "to-teacher+cktf", "to-teacher", "cktf", "crd"}
        | {f"{name}, lr × 3" for name in ("to-teacher+cktf", "to-teacher", "cktf", "crd")}
    )
    for path in (found.path / "final").glob("*/summary.json"):
        run = read(path.parent / "recipe.yaml")
        assert run.train.classifier_only != (not run.method.labels), path.parent.name
        if run.train.classifier_only and run.student.weights:
            before, after = (
                load_file(run.student.weights),
                load_file(path.parent / "student.safetensors"),
            )
            changed = {name for name in before if not before[name].equal(after[name])}
            assert changed == {"fc.weight", "fc.bias"}
    assert "Labels trained the classifier alone" in (found.path / "distill.md").read_text()


def test_files_of_the_result(searched: tuple[Distilled, Any]) -> None:
    out, content = searched[0].path, searched[0].content
    assert json.loads((out / "distill.json").read_text())["winner"] == content["winner"]
    text = (out / "distill.md").read_text()
    assert content["winner"]["verdict"] in text
    assert "resnet8-cifar" in (out / "report.html").read_text()
    assert read(out / "recipe.yaml").student.network == "resnet8-cifar"
    fronts = content["pareto"]
    assert set(fronts) == {"parameters", "bytes", "milliseconds"}
    assert all({*front} <= {row["run"] for row in content["search"]} for front in fronts.values())


def test_the_winner_is_exported_with_its_card_and_what_int8_costs(
    searched: tuple[Distilled, Any],
) -> None:
    pytest.importorskip("onnxruntime")
    out, exported = searched[0].path, searched[0].content["export"]
    file = out / "export" / exported["file"]
    assert file.stat().st_size == exported["bytes"]
    assert (out / "export" / "model-int8.onnx").is_file() == exported["int8"]["kept"]
    assert exported["int8"]["reason"] in (out / "distill.md").read_text()
    card = (out / "README.md").read_text()
    assert "`export/model.onnx` runs with onnxruntime" in card
    assert str(out) not in card
    assert 0 < searched[0].content["students"][0]["milliseconds"] < 1000


def test_the_page_tells_what_was_tried_and_how_sure_the_result_is(
    searched: tuple[Distilled, Any],
) -> None:
    text, content = (searched[0].path / "distill.md").read_text(), searched[0].content
    assert "after 1 epochs" in text
    assert all(row["strategy"] in text for row in content["search"])
    assert "The teacher's own scores" in text
    assert "seen in its training" in "\n".join(searched[1])
    assert (content["winner"]["to_kd"] is None) == (content["winner"]["label"] == "kd")


def test_the_pages_are_written_again_from_the_files(searched: tuple[Distilled, Any]) -> None:
    page = searched[0].path / "report.html"
    before = page.read_text()
    page.unlink()
    assert write_page(searched[0].path) == page
    assert page.read_text() == before


def test_a_rung_has_whole_runs_and_a_third_of_them_passes(
    searched: tuple[Distilled, Any],
) -> None:
    content = searched[0].content
    assert content["lengths"]["rungs"] == [1, 3]
    stopped = [row for row in content["search"] if row["stopped"]]
    last = [row for row in content["search"] if not row["stopped"]]
    assert {row["epochs"] for row in stopped} == {1}
    assert {row["epochs"] for row in last} == {3}
    assert {"none", "kd"} <= {row["strategy"].partition(",")[0] for row in last}
    for row in last:
        both = [row["run"], row["run"].replace("-3-epochs", "-1-epochs")]
        summaries = [
            json.loads((searched[0].path / "search" / run / "summary.json").read_text())
            for run in both
        ]
        scores = [each["validation"]["accuracy"] for each in summaries]
        assert scores == [row["rungs"]["3"], row["rungs"]["1"]]
        if "first" not in row["run"]:
            assert [each["epochs"] for each in summaries] == [3, 1]
    passed = min(row["rungs"]["1"] for row in last if row["strategy"] == "cktf+kd")
    rivals = [r["rungs"]["1"] for r in stopped if r["strategy"].startswith("cktf+kd")]
    assert all(passed >= each for each in rivals)


def weights(out: Path) -> dict[str, Any]:
    return {str(p.relative_to(out)): load_file(p) for p in out.glob("*/*/student.safetensors")}


def test_a_search_that_is_stopped_says_so_and_keeps_its_runs(
    searched: tuple[Distilled, Any], teacher: dict[str, Any], tmp_path: Path
) -> None:
    def stop(line: str) -> None:
        if "none-1-epochs" in line:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match=r"the same command with --out .*cut resumes"):
        search(teacher, tmp_path / "cut", say=stop)
    mine, theirs = weights(tmp_path / "cut"), weights(searched[0].path)
    assert 1 <= len(mine) <= 2
    for name, tensors in mine.items():
        assert all((tensors[key] == theirs[name][key]).all() for key in tensors), name


def test_what_is_missing_is_trained_and_all_comes_out_the_same(
    searched: tuple[Distilled, Any], teacher: dict[str, Any]
) -> None:
    out, lines = searched[0].path, list[str]()
    before, content = weights(out), json.loads((out / "distill.json").read_text())
    plan = {key: value for key, value in content.items() if key not in PLANNED_LATER}
    (out / "distill.json").write_text(json.dumps(plan))
    for name in ("search/*-kd*-1-epochs-seed0", "search/*-3-epochs-seed0", "final/*-seed0"):
        shutil.rmtree(sorted(out.glob(name))[-1])
    resumed = search(teacher, out, say=lines.append).content
    assert sum("-seed0  " in line for line in lines) == 3
    assert all(resumed[key] == content[key] for key in ("winner", "search", "lengths"))
    tests = [[row["test"] for row in each["final"]["rows"]] for each in (resumed, content)]
    assert tests[0] == tests[1]
    after = weights(out)
    assert after.keys() == before.keys()
    for name, tensors in after.items():
        assert all((tensors[key] == before[name][key]).all() for key in tensors), name


def test_the_same_call_again_trains_nothing(
    searched: tuple[Distilled, Any], teacher: dict[str, Any]
) -> None:
    lines = list[str]()
    result = search(teacher, searched[0].path, say=lines.append)
    assert result.content["winner"] == searched[0].content["winner"]
    assert not [line for line in lines if "-seed" in line]


def test_another_request_in_the_folder_is_refused(
    searched: tuple[Distilled, Any], teacher: dict[str, Any]
) -> None:
    with pytest.raises(RunError, match=r"begun otherwise \(request.seeds: 1 there, 3 here\)"):
        search(teacher, searched[0].path, seeds=3)


def test_lengths_that_are_set_by_the_time_stay_as_they_are(
    teacher: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategies, "OF_NETWORKS", strategies.OF_NETWORKS[1:2])
    lines = list[str]()

    def stop(line: str) -> None:
        lines.append(line)
        if line.startswith("final: "):
            os.kill(os.getpid(), signal.SIGINT)

    options = {"epochs": None, "minutes": 0.2, "say": stop}
    with pytest.raises(Interrupted):
        search(teacher, tmp_path / "out", **options)
    before = json.loads((tmp_path / "out" / "distill.json").read_text())
    keys = {"views", "students", "longest", "configurations", "rungs", "search", "final", "seeds"}
    assert before["lengths"].keys() == keys
    final = before["lengths"]["final"]
    monkeypatch.setattr(
        lengths.Lengths, "set_long", lambda self, pace: self.content.update({"long": 2 * final})
    )
    found = search(teacher, tmp_path / "out", **{**options, "say": lambda line: None})
    after = found.content
    assert after["lengths"] == {**before["lengths"], "long": 2 * final}
    assert after["spent_seconds"] > before["spent_seconds"]
    assert [*after["seconds"]][:4] == ["look", "record", "latency", "labels"]
    assert all(after["seconds"][part] == before["seconds"][part] for part in ("look", "labels"))
    (long,) = (tmp_path / "out" / "long").glob("*/summary.json")
    assert read(long.parent / "recipe.yaml").train.epochs == 2 * final
    assert f"Trained for {2 * final} epochs in place of {final}" in after["winner"]["verdict"]
    rows = {row["method"]: row["validation"] for row in after["final"]["rows"]}
    short = max(rows[after["winner"]["label"]]["scores"].values())
    better = json.loads(long.read_text())["validation"]["accuracy"] > short
    assert better == (found.student == long.parent)


def test_a_dry_run_writes_nothing(
    teacher: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = list[str]()
    assert distill(recipe(teacher), minutes=1.0, dry_run=True, say=lines.append) is None
    assert list(tmp_path.iterdir()) == []
    assert any("configurations" in line and "about 1 min" in line for line in lines)


@pytest.mark.parametrize("blank", [False, True])
def test_rows_without_a_label_are_unlabeled_examples(
    teacher: dict[str, Any], tmp_path: Path, *, blank: bool
) -> None:
    pixels, labels = load_digits(return_X_y=True)
    images = pixels[:200].reshape(-1, 8, 8, 1).astype(np.uint8)
    labels = np.where(blank & (np.arange(200) >= 120), -1, labels[:200])
    rows = {"image": images, "label": labels}
    data = {"source": "digits", "test": None, "views": "crop", "pad": 1}
    lines = list[str]()
    given = recipe(teacher, data=data)
    distill(given, minutes=1.0, dry_run=True, say=lines.append, data={"train": rows})
    assert any("cktf+kd, unlabeled too" in line for line in lines) == blank


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"teacher": None}, "there is no teacher"),
        ({"data": {"source": "embedded:digits", "label": False}}, "data.label is false"),
        ({"data": {"source": "embedded:digits", "validation": None}}, "data.validation is null"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    teacher: dict[str, Any], tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(RecipeError, match=text):
        distill({**recipe(teacher), **change}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["seeds", "minutes", "epochs"])
def test_numbers_above_zero(teacher: dict[str, Any], tmp_path: Path, option: str) -> None:
    with pytest.raises(RecipeError, match=f"{option} is 0"):
        distill(
            recipe(teacher), out=tmp_path / "out", **{option: 0.0 if option == "minutes" else 0}
        )


def test_advice_is_a_recipe_with_reasons(teacher: dict[str, Any]) -> None:
    text = advise(recipe(teacher), max_params=6_000)
    advised = read(yaml.safe_load(text))
    assert advised.method.name == "cktf+kd"
    assert advised.student.network == "resnet8-cifar"
    assert "# cktf+kd: " in text
    assert "# or kd: " in text


def test_the_commands(
    mentee: Callable[..., tuple[int, str, str]], file: Callable[[Any], str], teacher: dict[str, Any]
) -> None:
    path = file(recipe(teacher))
    code, out, _ = mentee("distill", path, "--dry-run", "--max-params", "6k", "--epochs", "4")
    assert code == 0, out
    assert "student resnet8-cifar-4: 5,142 parameters" in out
    code, out, _ = mentee("advise", "--help")
    assert "--set" in out
    assert "A network by name." in out
    code, out, _ = mentee("advise", path, "--set", "train.batch=30")
    assert code == 0
    assert "batch: 30" in out
    assert "cktf+kd" in out
    code, _, error = mentee("distill", path, "--max-latency", "many")
    assert code == 2
    assert "--max-latency many: expected a number such as 5ms" in error


def test_embeddings_have_strategies_of_their_own(tmp_path: Path) -> None:
    def names(teacher: dict[str, Any], *, spare: bool) -> list[str]:
        return [s.name for s in strategies.strategies(read(recipe(teacher)), spare=spare)]

    alone = names({"record": "vectors"}, spare=False)
    assert alone[:2] == ["none", "ec"]
    assert {"to-teacher first, then ec", "ec (task 0.1, logits 0.8)", "probe-kd"} <= {*alone}
    assert "kd" not in alone
    spare = names({"record": "vectors"}, spare=True)
    assert spare[:2] == ["none", "ec, unlabeled too"]
    assert {"ec", "to-teacher first, then none"} <= {*spare}
    assert len(spare) == len(set(spare))
    both = {"teachers": {name: {"record": name} for name in ("one", "other")}}
    several = {"to-teacher first, then none", "to-teacher first, then ec, unlabeled too"}
    several |= {"probe-kd, unlabeled too"}
    assert several <= {*names(both, spare=True)}


def test_a_strategy_may_weigh_its_terms_otherwise(tmp_path: Path) -> None:
    content = read(recipe({"record": "vectors"}))
    strategy = next(s for s in strategies.OF_EMBEDDINGS if s.weights)
    method = strategies.supervised(content, strategy, content.student).method
    assert (method.name, method.weights) == ("ec", {"task": 0.1, "logits": 0.8})


def test_a_search_of_which_every_run_fails_says_why(
    teacher: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategies, "OF_NETWORKS", strategies.OF_NETWORKS[1:2])
    broken = recipe(teacher, train={"batch": 20, "lr": 1e12, "optimizer": "sgd"})
    with pytest.raises(MenteeError, match="every run of the search failed: the loss is"):
        distill(broken, out=tmp_path / "out", epochs=1, processes=1, say=lambda line: None)
    assert (tmp_path / "out" / "distill.json").is_file()
