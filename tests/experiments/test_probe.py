"""Probes of whole runs: the numbers, who is asked, what is kept and what is done again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mentee import Run, models, probe, record_network, train
from mentee.api import import_vectors
from mentee.data import open_examples
from mentee.errors import MenteeError, RecipeError, RunError
from mentee.experiments.probe import ProbeResult
from tests.conftest import digits
from tests.experiments.conftest import label_free
from tests.training.test_monitor import embedding

SMALL = ["probe.shares=[0.05,1.0]", "probe.seeds=2", "probe.who=[student]"]


def silent(line: str) -> None:
    """Say nothing."""


@pytest.fixture
def mine(run: Run, tmp_path: Path) -> Path:
    """A copy of the run, to be probed."""
    shutil.copytree(run.path, tmp_path / "run")
    return tmp_path / "run"


def seen(path: Path) -> dict[str, tuple[Any, Any]]:
    """(vectors, labels) of the training and of the test part, without this project's capture."""
    found = {}
    for split in ("train", "test"):
        some = open_examples("embedded:digits", split=split)
        found[split] = (embedding(path, some.read(np.arange(len(some)))), some.labels)
    return found


def test_neighbors_are_those_of_loops(mine: Path) -> None:
    found = probe(mine, changes=[*SMALL, "probe.ways=[knn]", "probe.knn=3"], say=silent)
    (x, y), (z, t) = seen(mine).values()
    x, z = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, z))
    right = []
    for query, label in zip(z, t, strict=True):
        near = np.argsort(-(x @ query))[:3]
        votes = np.bincount(y[near], weights=np.exp(x[near] @ query / 0.07), minlength=10)
        right.append(votes.argmax() == label)
    assert found.scores("knn", 1.0) == pytest.approx([np.mean(right)], abs=2 / 500)
    assert len(found.scores("knn", 0.05)) == 2


def test_the_regression_is_scikit_learns(mine: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    found = probe(mine, changes=[*SMALL, "probe.ways=[linear]"], say=silent)
    (row,) = (row for row in found.content["rows"] if row["share"] == 1.0)
    (x, y), (z, t) = seen(mine).values()
    mean, std = x.mean(0), x.std(0)
    model = LogisticRegression(C=1 / (row["strength"] * len(x)), max_iter=5000)
    right = model.fit((x - mean) / std, y).score((z - mean) / std, t)
    assert row["score"] == pytest.approx(right, abs=0.006)
    assert set(row["scores"]) >= {"accuracy", "balanced_accuracy", "loss", "ece", "top5"}


def test_few_labels_are_worth_less_and_the_untrained_student_least(mine: Path) -> None:
    changes = ["probe.shares=[0.05,1.0]", "probe.seeds=2", "probe.ways=[linear]"]
    found = probe(mine, changes=changes, say=silent)
    for who in ("student", "untrained", "teacher"):
        few, all_of_them = found.scores("linear", 0.05, who), found.scores("linear", 1.0, who)
        assert max(few) < all_of_them[0]
    assert found.scores("linear", 1.0, "teacher") > found.scores("linear", 1.0, "student")
    head = str(found).splitlines()[0].split()
    assert head == ["network", "probe", "65", "labels", "(5", "%)", "1,297", "labels", "(100", "%)"]


def test_the_untrained_student_is_the_one_before_the_first_step(mine: Path) -> None:
    changes = [*SMALL[:2], "probe.who=[untrained]", "probe.ways=[knn]"]
    found = probe(mine, changes=changes, say=silent)
    first = models.build("resnet8-cifar", classes=1, channels=1, seed=0, widths=(8, 16, 32))
    from mentee.runs.folder import Folder

    Folder(mine).save_weights(mine / "student.safetensors", first.state_dict())
    other = probe(mine, changes=[*SMALL, "probe.ways=[knn]"], say=silent)
    assert other.scores("knn", 1.0) == found.scores("knn", 1.0, "untrained")


def test_a_record_of_its_places_knows_the_teacher(
    run: Run, mine: Path, teacher: dict[str, Any], tmp_path: Path
) -> None:
    changes = ["probe.shares=[1.0]", "probe.who=[teacher]", "probe.ways=[knn]"]
    live = probe(mine, changes=changes, say=silent)
    recipe = label_free(teacher)
    record_network(recipe, tmp_path / "record", views=1, say=silent)
    recipe["teacher"] = {"record": str(tmp_path / "record")}
    replayed = train(recipe, out=tmp_path / "replayed", quiet=True)
    found = probe(replayed.path, changes=changes, say=silent)
    assert found.scores("knn", 1.0, "teacher") == live.scores("knn", 1.0, "teacher")


def test_a_record_of_embeddings_has_to_have_the_test_part(tmp_path: Path) -> None:
    for split in ("train", "test"):
        some = open_examples("embedded:digits", split=split)
        one_hot = np.eye(10, dtype=np.float32)[some.labels]
        np.savez(tmp_path / f"{split}.npz", ids=list(some.ids), embedding=one_hot)
    recipe = label_free({}, teacher={"record": str(tmp_path / "records"), "clean": True})
    import_vectors(tmp_path / "train.npz", "embedded:digits", tmp_path / "records", say=silent)
    made = train(recipe, out=tmp_path / "run", quiet=True)
    changes = ["probe.shares=[0.01]", "probe.seeds=2", "probe.ways=[knn]", "probe.who=[teacher]"]
    found = probe(made.path, changes=changes, say=silent)
    assert found.content["rows"] == []
    assert "records has no record of test; add it: --splits test" in found.content["notes"][0]
    import_vectors(
        tmp_path / "test.npz", "embedded:digits", tmp_path / "records", split="test", say=silent
    )
    found = probe(made.path, changes=changes, say=silent)
    assert found.scores("knn", 0.01, "teacher") == [1.0, 1.0]
    assert found.content["notes"] == []


def test_what_is_known_is_kept_and_more_is_added(mine: Path) -> None:
    lines: list[str] = []
    ways = [*SMALL, "probe.ways=[knn]"]
    first = probe(mine, changes=ways, say=lines.append)
    counts = "10 classes, 1,297 / 500 examples (train / test)"
    assert (lines[0], len(lines)) == (counts, 3)
    again = probe(mine, changes=ways, say=lines.append)
    assert (again.content, lines[3:]) == (first.content, [counts])
    more = probe(mine, changes=[*ways, "probe.seeds=3"], say=lines.append)
    rows = [row for row in more.content["rows"] if row["seed"] < 2]
    assert rows == first.content["rows"]
    assert len(more.content["rows"]) == len(rows) + 1
    other = probe(mine, changes=[*ways, "probe.knn=1"], say=silent)
    assert len(other.content["rows"]) == len(rows), "other neighbors: all is asked anew"
    text = (mine / "report.md").read_text()
    assert "## Scores with few labels" in text
    assert "| student | knn | " in text
    saved = json.loads((mine / "probe.json").read_text())
    assert saved["rows"] == other.content["rows"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param("probe.test=train", "Of test train: accuracy on 1,297", id="split"),
        pytest.param(
            "probe.source=SOURCE", "Of source SOURCE, test test: accuracy on 40", id="source"
        ),
    ],
)
def test_a_probe_of_other_examples_keeps_the_earlier_one(
    change: str, named: str, mine: Path, tmp_path: Path
) -> None:
    source = tmp_path / "other"
    rng = np.random.default_rng(0)
    for number in range(80):
        folder = source / ("train", "test")[number % 2] / "ab"[number // 40]
        folder.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 255, (8, 8), np.uint8)
        Image.fromarray(image).save(folder / f"{number}.png")
    change, named = (text.replace("SOURCE", str(source)) for text in (change, named))
    own = [*SMALL, "probe.ways=[knn]"]
    first = probe(mine, changes=own, say=silent)
    changes = [*own, change] if "source" not in change else [*own, change, "probe.test=test"]
    other = probe(mine, changes=changes, say=silent)
    assert other.content["settings"]["test"] != first.content["settings"]["test"]
    assert other.content["others"] == [
        {key: first.content[key] for key in ("settings", "rows", "notes")}
    ]
    text = (mine / "report.md").read_text()
    assert text.count("| student | knn | ") == 2
    assert named in text
    assert "accuracy on 500 test examples" in text
    lines: list[str] = []
    again = probe(mine, changes=own, say=lines.append)
    assert (again.content["rows"], len(lines)) == (first.content["rows"], 1)
    assert [each["rows"] for each in again.content["others"]] == [other.content["rows"]]


TUNE = ["probe.ways=[linear,finetune,probe-finetune]", "probe.shares=[0.05]", "probe.seeds=1"]


def tuned(path: Path, *changes: str) -> tuple[ProbeResult, dict[str, dict[str, torch.Tensor]]]:
    """What was found, and the weights of each fine-tuned network."""
    found = probe(path, changes=[*TUNE, "probe.who=[student]", *changes], say=silent)
    folders = sorted((path / "probe").iterdir())
    return found, {
        each.name.rpartition("-65-")[0]: load_file(each / "student.safetensors") for each in folders
    }


def test_fine_tuning_begins_where_it_says(mine: Path) -> None:
    """With steps of nothing, the body is the student's and the classifier the regression's."""
    still = ["probe.finetune.epochs=1", "probe.finetune.least=0", "probe.finetune.lr=1e-30"]
    _, weights = tuned(mine, *still)
    assert set(weights) == {"student-finetune", "student-probe-finetune"}
    student = load_file(mine / "student.safetensors")
    for state in weights.values():
        for name, value in student.items():
            if name.startswith("fc.") or "running" in name or "tracked" in name:
                continue
            assert torch.equal(state[name], value), name
    (folder,) = (mine / "probe").glob("student-probe-finetune-*")
    layer = load_file(folder / "classifier.safetensors")
    assert torch.equal(weights["student-probe-finetune"]["fc.weight"], layer["weight"])
    assert not torch.equal(weights["student-finetune"]["fc.weight"], layer["weight"])


def test_fine_tuning_sees_the_labels_of_its_subset_alone(mine: Path) -> None:
    found, _ = tuned(mine, "probe.finetune.least=20", "probe.finetune.epochs=2")
    (folder,) = (mine / "probe").glob("student-finetune-*")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["examples"] == {"train": 65, "validation": 0, "test": 500}
    assert summary["steps"] >= 20
    assert summary["weights"] == {"task": 1.0}
    assert found.scores("finetune", 0.05) == [summary["test"]["accuracy"]]
    assert summary["selected"]["keep"] == "last"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"classifier": "three.safetensors"},
            r"has bias \[3\], weight \[3, 32\]; the classifier of",
        ),
        ({"options": {"widths": [4, 8, 16]}}, r"lacks \d+ weights of resnet8-cifar, such as"),
        ({"classifier": "nowhere.safetensors"}, r"there is no file .*nowhere.safetensors"),
    ],
)
def test_a_beginning_that_does_not_fit(
    change: dict[str, Any], text: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file({"weight": torch.zeros(3, 32), "bias": torch.zeros(3)}, "three.safetensors")
    recipe = digits()
    begin = {"weights": str(run.path / "student.safetensors"), "classifier": "new", **change}
    recipe["student"] = {**recipe["student"], **begin}
    with pytest.raises(MenteeError, match=text):
        train(recipe, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_trained_layer_may_learn_from_views(mine: Path) -> None:
    ways = [*SMALL, "probe.ways=[layer]", "probe.layer.epochs=20", "probe.layer.milestones=[15]"]
    clean = probe(mine, changes=ways, say=silent).scores("layer", 1.0)
    views = probe(mine, changes=[*ways, "probe.layer.views=2"], say=silent).scores("layer", 1.0)
    assert clean != views
    assert min(clean + views) > 0.25


def test_texts_of_several_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 120), ("test", 80)):
        lines = ["text,a,b"]
        for _ in range(count):
            a, b = rng.integers(0, 2, 2)
            words = ["red" * a, "blue" * b, *rng.choice(["one", "two", "three"], 3)]
            lines.append(f"{' '.join(filter(None, words))},{a},{b if rng.random() < 0.8 else ''}")
        (tmp_path / f"{split}.csv").write_text("\n".join(lines) + "\n")
    recipe = {
        "data": {"source": str(tmp_path), "label": ["a", "b"], "max_bytes": 40, "validation": None},
        "student": "hashed-bag-small",
        "train": {"epochs": 2, "batch": 16},
    }
    made = train(recipe, out=tmp_path / "run", quiet=True)
    changes = ["probe.shares=[0.1,1.0]", "probe.seeds=2", "probe.who=[student,untrained]"]
    found = probe(made.path, changes=changes, say=silent)
    assert found.content["settings"]["by"] == "map"
    assert found.scores("linear", 1.0)[0] > 0.9
    assert found.scores("knn", 1.0)[0] > 0.6
    assert len(found.scores("linear", 0.1)) == 2


def test_only_what_is_asked_can_be_changed(
    mine: Path, mentee: Callable[..., tuple[int, str, str]]
) -> None:
    with pytest.raises(RecipeError, match=r"train.epochs=3: the run is finished; only its probe"):
        probe(mine, changes=["train.epochs=3"], say=silent)
    with pytest.raises(RunError, match="is no run"):
        probe(mine / "nowhere", say=silent)
    with pytest.raises(
        MenteeError, match=r"probe\.wasy: there is no such key; did you mean 'ways'"
    ):
        probe(mine, changes=["probe.wasy=[knn]"], say=silent)
    status, out, _ = mentee("probe", mine, "--ways", "knn", "--shares", "1", "--seeds", "1")
    assert status == 0
    assert "student    knn    0." in out
    status, out, _ = mentee("report", mine)
    assert status == 0
    assert "## Scores with few labels" in out
    assert out.rstrip().endswith("report.md")
