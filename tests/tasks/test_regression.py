"""Regression: parts against loops and other people's code, then whole runs on real data."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import sklearn.linear_model
import sklearn.metrics
import torch
from PIL import Image

import mentee
import mentee.recipe
from mentee import cli
from mentee.api import evaluate
from mentee.data import limit, open_examples, split
from mentee.errors import DataError, MenteeError, RecipeError
from mentee.experiments.compare import compare
from mentee.experiments.probe import probe
from mentee.metrics import Labeled, knn, regression_scores
from mentee.tasks import TASKS, Regression, read_labels
from tests.tasks.slant import opened, pixels, slant

IMAGES = np.zeros((6, 8, 8), np.uint8)
TINY = {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8]}}


def recipe(**parts: Any) -> dict[str, Any]:
    return {
        "data": {"source": "passed", "views": "none"},
        "student": TINY,
        "train": {"epochs": 4, "batch": 32, "lr": 0.1},
        **parts,
    }


# data


def test_numbers_that_are_not_whole_are_targets_and_whole_ones_classes() -> None:
    assert read_labels([0.5, 1.0, 2.0]).task.name == "regression"
    assert read_labels(np.array([3.0, 1.0, 2.0])).task.name == "single"
    assert read_labels([3, 1], task=TASKS["regression"]).values.tolist() == [[3.0], [1.0]]
    with pytest.raises(DataError, match=r"such as '0.5'; say data.task: regression to learn"):
        read_labels(["0.5", "1"])
    assert read_labels(["0.5", "1"], task=TASKS["single"]).classes == ("0.5", "1")
    assert read_labels(["0.5", "1"], task=TASKS["regression"]).values.tolist() == [[0.5], [1.0]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.5, float("inf")], "the target inf of row 1 is not finite"),
        (["1.5", "loud"], "the target 'loud' of row 1 is no number"),
        ([[1.0, 2.0], [1.0]], "rows of targets have 1 to 2 numbers"),
    ],
)
def test_targets_that_are_refused(values: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(values, task=TASKS["regression"])


def test_of_several_targets_a_missing_one_is_unknown() -> None:
    labels = read_labels([[1.5, None], ["", 2.5]], classes=["a", "b"], task=TASKS["regression"])
    assert labels.mask is not None
    assert labels.mask.tolist() == [[True, False], [False, True]]
    known = read_labels([[1.0, None], [3.0, 5.0], [5.0, 9.0]], task=TASKS["regression"])
    fitted = Regression().fitted(known)
    assert (fitted.mean, fitted.std) == ((3.0, 7.0), (1.6329932, 2.0))


def test_one_value_only_is_nothing_to_learn() -> None:
    data = {"image": IMAGES, "label": np.full(6, 2.5), "task": "regression"}
    with pytest.raises(DataError, match=r"'target' is 2.5 in all 6 examples .* nothing to learn"):
        mentee.train(recipe(data={"source": "x", "test": None, "validation": 0.2}), data=data)


def test_splits_and_limits_keep_the_spread_whatever_the_order() -> None:
    data = opened(300)["train"]
    train, validation = split(data, fraction=0.2, seed=0)
    for part in (train, validation, limit(data, 60, seed=0)):
        assert part.labels is not None
        low, middle, high = np.quantile(np.asarray(data.labels), [0.1, 0.5, 0.9])
        assert np.median(part.labels) == pytest.approx(middle, abs=(high - low) / 8)
        assert (part.labels < low).any()
        assert (part.labels > high).any()
    turned = data.take(np.arange(len(data))[::-1])
    assert set(split(turned, fraction=0.2, seed=0)[1].ids) == set(validation.ids)


# loss, scores, probes


@pytest.mark.parametrize("criterion", ["mse", "l1", "smooth_l1"])
def test_the_loss_is_of_standardized_targets_that_are_known(criterion: str) -> None:
    rng = np.random.default_rng(0)
    outputs, labels, known = (
        rng.normal(size=(5, 3)),
        rng.normal(size=(5, 3)),
        rng.random((5, 3)) < 0.6,
    )
    task = Regression(criterion, (1.0, -2.0, 0.5), (2.0, 0.5, 3.0))
    got = task.loss(*map(torch.from_numpy, (outputs, labels, known)))
    expected = []
    for i in range(5):
        errors = []
        for c in range(3):
            e = abs(outputs[i, c] - (labels[i, c] - task.mean[c]) / task.std[c])
            smooth = e * e / 2 if e < 1 else e - 0.5
            errors.append({"mse": e * e, "l1": e, "smooth_l1": smooth}[criterion])
        kept = [e for e, k in zip(errors, known[i], strict=True) if k]
        expected.append(sum(kept) / max(len(kept), 1))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)


def test_scores_are_those_of_other_libraries() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=(40, 3)) * [1, 10, 1] + [0, 50, 0]
    y[:, 2] = 4.0  # never varies: left out
    p, known = y + rng.normal(size=y.shape), rng.random(y.shape) < 0.7
    found = regression_scores(*map(torch.from_numpy, (p, y, known)))
    expected: dict[str, list[float]] = {name: [] for name in found}
    for c in range(2):
        a, b = y[known[:, c], c], p[known[:, c], c]
        expected["r2"].append(sklearn.metrics.r2_score(a, b))
        expected["mae"].append(sklearn.metrics.mean_absolute_error(a, b))
        expected["rmse"].append(sklearn.metrics.mean_squared_error(a, b) ** 0.5)
        expected["pearson"].append(np.corrcoef(a, b)[0, 1])
        expected["spearman"].append(scipy.stats.spearmanr(a, b).statistic)
    assert found == pytest.approx({name: np.mean(each) for name, each in expected.items()})
    assert set(found) == set(Regression.higher_is_better)
    constant = regression_scores(torch.zeros(4, 1), torch.arange(4.0)[:, None])
    assert set(constant) == {"r2", "mae", "rmse"}
    with pytest.raises(DataError, match="no target has two different known values"):
        regression_scores(torch.zeros(4, 1), torch.ones(4, 1))


def test_the_probe_is_ridge_regression_in_the_units_of_the_outputs() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(80, 5)) * [1, 2, 3, 4, 5] + 1
    y = x @ rng.normal(size=(5, 2)) + 30 + rng.normal(size=(80, 2))
    task = Regression(mean=(30.0, 30.0), std=(4.0, 4.0))
    layer = task.linear_probe(Labeled(torch.from_numpy(x).float(), torch.from_numpy(y)), k=2)
    z = (x - x.mean(0)) / x.std(0)
    model = sklearn.linear_model.Ridge(alpha=0.01 * len(x)).fit(z, (y - 30) / 4)
    got = layer(torch.from_numpy(x).float())
    np.testing.assert_allclose(got.numpy(), model.predict(z), rtol=1e-3, atol=1e-4)


def test_neighbors_predict_their_mean() -> None:
    x, y = torch.eye(3), torch.tensor([[1.0], [2.0], [6.0]])
    query = torch.tensor([[1.0, 1.0, 0.0]])
    found = knn(x, y, query, classes=1, k=2, temperature=None)
    assert found.item() == pytest.approx(1.5)


# whole runs


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("regression") / "teacher"
    wide = {"network": "resnet8-cifar", "options": {"widths": [8, 16, 16]}}
    made = recipe(student=wide, train={"epochs": 8, "batch": 32, "lr": 0.1})
    return mentee.train(made, out=out, data=opened(), quiet=True)


def taught(teacher: Any, method: Any, **parts: Any) -> dict[str, Any]:
    weights = str(teacher.path / "student.safetensors")
    network = {"network": "resnet8-cifar", "options": {"widths": [8, 16, 16]}, "weights": weights}
    return recipe(teacher=network, method=method, **parts)


def test_a_teacher_learns_its_targets_and_says_them_in_their_units(teacher: Any) -> None:
    data = opened()
    assert teacher.summary["test"]["r2"] > 0.85
    assert teacher.summary["score"] == {"name": "r2", "higher_is_better": True}
    kept = np.load(teacher.path / "predictions.npz")
    truth = np.asarray(data["test"].labels)
    error = np.abs(kept["values"] - truth).mean()
    assert error == pytest.approx(teacher.summary["test"]["mae"], rel=1e-5)
    again = evaluate(teacher.path, data=data)
    assert again == pytest.approx(teacher.summary["test"])
    assert "| test | " in (teacher.path / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("method", ["none", "output-mse", "bounded-regression", "crd", "fitnet"])
def test_methods_that_fit(teacher: Any, method: str, tmp_path: Path) -> None:
    run = mentee.train(taught(teacher, method), out=tmp_path / "run", data=opened(), quiet=True)
    assert np.isfinite(run.summary["test"]["r2"])
    if method == "output-mse":
        assert run.summary["test"]["r2"] > 0.5
        assert run.summary["teacher"]["scores"]["r2"] > 0.8


def test_a_student_of_few_labels_learns_in_the_units_of_its_teacher(
    teacher: Any, tmp_path: Path
) -> None:
    few = {"source": "passed", "views": "none", "limit": 40}
    made = taught(teacher, "output-mse", data=few)
    run = mentee.train(
        made, out=tmp_path / "run", data=opened(), quiet=True, changes=["train.epochs=1"]
    )
    units = mentee.recipe.read(teacher.path / "recipe.yaml").data.task.params
    assert mentee.recipe.read(run.path / "recipe.yaml").data.task.params == units
    assert run.summary["teacher"]["scores"]["r2"] > 0.8
    other = {"name": "regression", "params": {"mean": [0.0], "std": [1.0]}}
    with pytest.raises(RecipeError, match="the outputs of the teacher resnet8-cifar are in other"):
        mentee.train(taught(teacher, "output-mse", data={**few, "task": other}), data=opened())


@pytest.mark.parametrize("method", ["kd", "dkd", "binary-kd"])
def test_methods_of_classes_are_refused(teacher: Any, method: str) -> None:
    with pytest.raises(MenteeError, match="use output-mse or bounded-regression, or a method of"):
        mentee.train(taught(teacher, method), data=opened(100))


def test_it_is_chosen_by_an_error_and_resumed_exactly(teacher: Any, tmp_path: Path) -> None:
    made, data = taught(teacher, "output-mse", select={"by": "mae"}), opened(200)
    whole = mentee.train(made, out=tmp_path / "whole", data=data, quiet=True)
    with pytest.raises(mentee.api.Paused):
        mentee.train(made, out=tmp_path / "part", data=data, quiet=True, until=2)
    part = mentee.resume(tmp_path / "part", data=data, quiet=True)
    one, other = ((p / "student.safetensors").read_bytes() for p in (whole.path, part.path))
    assert one == other
    lines = [
        m["validation"]["mae"] for m in map(eval_line, metrics(whole.path)) if "validation" in m
    ]
    assert whole.summary["selected"]["score"] == min(lines)
    with pytest.raises(RecipeError, match=r"select.by is accuracy; expected one of r2, mae, rmse"):
        mentee.train({**made, "select": {"by": "accuracy"}}, data=data)


def metrics(path: Path) -> list[str]:
    return (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()


def eval_line(line: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)
    return found


def test_less_of_an_error_is_a_help(teacher: Any, tmp_path: Path) -> None:
    made = taught(
        teacher, "none", select={"by": "mae"}, train={"epochs": 2, "batch": 32, "lr": 0.1}
    )
    found = compare(
        made, ["output-mse"], seeds=2, data=opened(150), out=tmp_path / "c", processes=1, say=quiet
    )
    assert found.content["score"] == {"part": "test", "name": "mae", "higher_is_better": False}
    best, worst = found.rows
    assert best["validation"]["mean"] <= worst["validation"]["mean"]
    assert all(row["agreement"] is None or -1 <= row["agreement"] <= 1 for row in found.rows)
    assert "mae on test, lower is better" in str(found)


def quiet(line: str) -> None:
    """Say nothing."""


def test_a_probe_of_its_embedding(teacher: Any) -> None:
    found = probe(
        teacher.path,
        changes=["probe.shares=[1.0]", "probe.who=[student]"],
        data=opened(),
        say=quiet,
    )
    assert found.scores("linear", 1.0)[0] > 0.8
    assert found.scores("knn", 1.0)[0] > 0.3


def test_from_a_folder_by_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, n in (("train", 80), ("test", 30)):
        (tmp_path / "data" / part).mkdir(parents=True)
        images, _ = pixels(part, n)
        rows = ["file_name,lean,ink"]
        for number, (image, lean) in enumerate(zip(images, slant(images), strict=True)):
            Image.fromarray(image).save(tmp_path / "data" / part / f"{number}.png")
            ink = "" if number % 7 == 3 else f"{image.mean():.3f}"
            rows.append(f"{number}.png,{lean:.5f},{ink}")
        table = tmp_path / "data" / part / "metadata.csv"
        table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    text = f"""
data: {{source: {tmp_path / "data"}, label: [lean, ink], task: regression, views: none}}
student: {{network: resnet8-cifar, options: {{widths: [4, 8, 8]}}}}
train: {{epochs: 2, batch: 16}}
"""
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    run = str(tmp_path / "run")
    for command in (["train", str(tmp_path / "recipe.yaml"), "--out", run], ["evaluate", run]):
        monkeypatch.setattr("sys.argv", ["mentee", *command])
        with contextlib.suppress(SystemExit):
            cli.main()
    said = capsys.readouterr().out
    assert "validation r2" in said
    assert "rmse" in said
    kept = np.load(tmp_path / "run" / "predictions.npz")
    assert kept["values"].shape == (30, 2)


def test_a_network_of_other_targets_is_noticed() -> None:
    data = open_examples({"image": IMAGES, "label": np.arange(6) / 4 + 0.1})
    with pytest.raises(DataError, match=r"2 names .a, b. for 1 targets"):
        open_examples({"image": IMAGES, "label": np.arange(6) / 4}, classes=["a", "b"])
    assert data.classes == ("target",)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"name": "regression", "params": {"criterion": "hinge"}}, "no criterion 'hinge'"),
        ({"name": "regression", "params": {"loss": "mse"}}, "has no parameter 'loss'"),
        ({"name": "regresion"}, "no task 'regresion': did you mean 'regression'"),
        ({"name": "regression", "params": {"mean": [1.0]}}, "mean and std stand together"),
    ],
)
def test_tasks_that_are_refused(task: dict[str, Any], message: str) -> None:
    data = {"image": IMAGES, "label": np.arange(6) / 4}
    with pytest.raises(RecipeError, match=message):
        mentee.train(recipe(data={"source": "x", "test": None, "task": task}), data=data)


def test_classes_cannot_be_smoothed() -> None:
    data = {"image": IMAGES, "label": np.arange(6) / 4}
    made = recipe(
        data={"source": "x", "test": None, "validation": 0.3},
        train={"label_smoothing": 0.1, "batch": 2},
    )
    with pytest.raises(RecipeError, match="softens class labels, and the task is regression"):
        mentee.train(made, data=data)
