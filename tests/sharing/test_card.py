"""The model card: metadata that the hub's own classes read, and text that nothing breaks out of."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

import mentee
from mentee.errors import RunError
from mentee.sharing.card import escape, public_run
from mentee.sharing.local_paths import is_path, local_names, pattern, without_paths


@pytest.fixture
def run(shared_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(shared_run, tmp_path / "kd"))


def change(run: Path, **values: Any) -> None:
    file = run / "summary.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_the_metadata_are_those_of_the_hub(run: Path) -> None:
    path = mentee.card(run, license="apache-2.0", dataset="anna/birds")
    assert path == run / "README.md"
    summary = json.loads((run / "summary.json").read_text())
    data = ModelCard(path.read_text()).data
    assert (data.license, data.datasets, data.metrics) == (
        "apache-2.0",
        ["anna/birds"],
        ["accuracy"],
    )
    assert data.pipeline_tag == "image-classification"
    assert data.tags == ["mentee", "knowledge-distillation", "cktf+kd"]
    assert data.model_name == "resnet8-cifar, method cktf+kd"
    scores = {(each.dataset_split, each.metric_type): each for each in data.eval_results}
    assert {name: scores["test", name].metric_value for name in summary["test"]} == summary["test"]
    interval = summary["details"]["test"]["interval"]
    assert scores["test", "accuracy"].metric_args == {
        "confidence_interval_95": [interval["low"], interval["high"]]
    }
    assert scores["test", "accuracy"].dataset_name == "anna/birds"


def test_what_is_not_given_is_not_claimed(run: Path) -> None:
    text = mentee.card(run).read_text()
    assert ModelCard(text).data.license is None
    assert ModelCard(text).data.datasets is None
    for who in ("Student", "Teacher", "Data"):
        assert f"- {who}: not given\n" in text
    assert "Teacher: cc-by-4.0" in mentee.card(run, teacher_license="cc-by-4.0").read_text()


def test_the_card_says_what_the_run_found(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    text = mentee.card(run).read_text()
    assert f"with {summary['parameters']['student']:,} parameters" in text
    assert f"| {summary['test']['accuracy']:.4f} | " in text
    assert (
        f"| teacher, test | 24 | {summary['teacher']['parts']['test']['scores']['accuracy']:.4f}"
        in text
    )
    assert "L = 1 · task + 10 · info\\_nce/stages.0" in text
    assert "kl(temperature=4.0)" in text
    assert f"its confidence is off by {summary['test']['ece']:.4f}" in text
    assert "`export/model.onnx` runs with onnxruntime" in text
    assert "model.pt2" not in text
    assert "2303.07599" in text
    assert "torch 2." in text
    classes = summary["details"]["test"]["classes"]
    lowest = min(each["recall"] for each in classes.values())
    assert re.search(rf"lowest recall on test: .*{lowest:.4f}", text)


def test_changed_parameters_are_those_of_the_run(run: Path) -> None:
    file = run / "recipe.yaml"
    recipe = yaml.safe_load(file.read_text())
    recipe["method"]["params"] = {"kl.temperature": 2.0}
    (run / "environment.json").write_text(json.dumps({"data": {}, "teacher": None}))
    file.write_text(yaml.safe_dump(recipe))
    assert "kl(temperature=2.0)" in mentee.card(run).read_text()


def test_names_of_users_break_out_of_nothing(run: Path) -> None:
    text = mentee.card(run, license="other\n- evil: 1", dataset="b <b>\n---\n# x |").read_text()
    _, front, body = re.split(r"^---\n", text, maxsplit=2, flags=re.MULTILINE)
    assert yaml.safe_load(front)["license"] == "other\n- evil: 1"
    assert "<" not in body.replace("&lt;", "")
    assert "&lt;script&gt;alert(1)" in body
    assert "line break" in body
    assert "\\_\\_init\\_\\_ \\*bold\\*" in body
    headings = re.findall(r"^#+ .*", body, re.MULTILINE)
    assert headings[0] == "# resnet8-cifar, method cktf+kd"
    assert all(re.fullmatch(r"#+ [A-Z]\w*( \w+)*", each) for each in headings[1:])
    for table in re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1


def test_no_path_of_this_machine(run: Path, shared_run: Path) -> None:
    change(run, warnings=[f"{shared_run.parent}/teacher was read", f"{run}/x is odd"])
    text = mentee.card(run).read_text()
    assert "LOCAL was read" in text
    assert "secret-anna" not in text
    assert str(run) not in text


@pytest.mark.parametrize(
    ("task", "kind", "pipeline"),
    [
        ("none", "image", "image-feature-extraction"),
        ("none", "text", "feature-extraction"),
        ("multi", "audio", "audio-classification"),
        ("regression", "image", None),
    ],
)
def test_runs_of_other_tasks(task: str, kind: str, pipeline: str | None, run: Path) -> None:
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["data"]["kind"] = kind
    (run / "environment.json").write_text(json.dumps({"data": {}, "teacher": None}))
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    scores = None if task == "none" else {"mae": 0.5, "r2": math.nan}
    change(run, task=task, test=scores, score={"name": "mae"}, details={}, classes=None)
    change(run, validation=None, teacher=None)
    data = ModelCard(mentee.card(run).read_text()).data
    assert data.pipeline_tag == pipeline
    found = {each.metric_type: each.metric_value for each in data.eval_results or []}
    assert found == ({} if task == "none" else {"mae": 0.5})


def test_a_run_that_is_not_finished(run: Path) -> None:
    (run / "summary.json").unlink()
    with pytest.raises(RunError, match="is not finished; resume it"):
        mentee.card(run)


def test_a_damaged_summary_is_one_sentence(run: Path) -> None:
    change(run, selected={})
    with pytest.raises(RunError, match=r"summary\.json.* was changed"):
        mentee.card(run)


def test_paths_in_recipes_are_replaced_and_names_stay() -> None:
    recipe = {
        "data": {
            "source": "/home/anna/birds",
            "classes": ["a/b", "/c"],
            "unlabeled": {"source": "u/"},
        },
        "teacher": {"record": {"x": "records/x"}, "network": "timm:resnet18"},
        "student": {"weights": None},
        "method": {"weights": {"kl": 2.0}},
    }
    found: list[str] = []
    assert without_paths(recipe, found) == {
        "data": {"source": "LOCAL", "classes": ["a/b", "/c"], "unlabeled": {"source": "LOCAL"}},
        "teacher": {"record": {"x": "LOCAL"}, "network": "timm:resnet18"},
        "student": {"weights": None},
        "method": {"weights": {"kl": 2.0}},
    }
    assert found == ["/home/anna/birds", "u/", "records/x"]
    local = pattern(local_names(Path("/runs/kd"), recipe))
    assert local.sub("LOCAL", "of /home/anna/birds/a.png, records/x.") == "of LOCAL, LOCAL."
    assert local.sub("LOCAL", "/home/anna/birdseed records/xyz") == "LOCAL records/xyz"
    assert not is_path("hub:anna/birds:small")


def test_escaped_text_is_one_line() -> None:
    assert escape("a\n\n# b\r\n| [x](y) `c` $d$ ~e~ & \\") == (
        "a \\# b | \\[x\\](y) \\`c\\` \\$d\\$ \\~e\\~ &amp; \\\\"
    )


def test_examples_and_notes_stay_here(shared_run: Path) -> None:
    from mentee.evaluation.evaluator import finished_files

    whole = finished_files(shared_run)
    assert whole.diagnostics["confused"]
    assert "command" in whole.environment
    public = public_run(whole, shared_run)
    assert "confused" not in public.diagnostics
    assert "command" not in public.environment
    assert "secret-anna" not in public.recipe
