"""A teacher's own scores: the same check and row in every command, Python and page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mentee
from mentee.tasks import TASKS

CLASSES = 4
ORDER = [1, 0, 2, 3]  # two classes are exchanged
PERMUTED = "most of 0 is predicted as 1, most of 1 is predicted as 0"


class Oracle(nn.Module):
    """Knows the class by the first value of an example; `order`: what it calls each class."""

    def __init__(self, order: list[int], zero: float = 0.0, step: float = 60 / 255) -> None:
        super().__init__()
        self.order = nn.Parameter(9 * torch.eye(CLASSES)[order])
        self.zero, self.step = zero, step

    def forward(self, x: Tensor) -> Tensor:
        first = (x.flatten(1)[:, 0].float() - self.zero) / self.step
        return self.order[first.round().long().clamp(0, CLASSES - 1)]


def labels(n: int) -> Any:
    return np.arange(n) % CLASSES


def images(n: int) -> dict[str, Any]:
    pixels = np.random.default_rng(n).integers(0, 256, (n, 8, 8, 1))
    pixels[:, 0, 0, 0] = labels(n) * 60
    return {"image": pixels.astype(np.uint8), "label": labels(n)}


def texts(n: int) -> dict[str, Any]:
    return {"text": [f"{'abcd'[i]} {k}" for k, i in enumerate(labels(n))], "label": labels(n)}


DATA = {"source": "passed", "views": "none", "validation": 0.25}
IMAGES: dict[str, Any] = {
    "data": DATA,
    "student": {"network": "resnet8-cifar", "options": {"widths": [4, 4, 4]}},
    "teacher": {"network": "passed", "input": {"mean": [0.0], "std": [1.0]}},
    "method": "kd",
    "train": {"epochs": 1, "batch": 16},
}
TEXTS: dict[str, Any] = {
    **IMAGES,
    "data": {**DATA, "max_bytes": 8},
    "student": "hashed-bag-small",
    "teacher": {"network": "passed", "input": {"max_bytes": 8}},
}
KINDS: dict[str, tuple[dict[str, Any], Callable[[int], Any], tuple[float, float]]] = {
    "images": (IMAGES, images, (0.0, 60 / 255)),
    "texts": (TEXTS, texts, (97.0, 1.0)),
}


def options(kind: str, order: list[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A recipe, and what is passed from Python with it."""
    recipe, form, scale = KINDS[kind]
    data = {"train": form(64), "test": form(40)}
    return recipe, {"data": data, "teacher": Oracle(order, *scale)}


def by_train(recipe: Any, passed: Any, out: Path, say: Callable[[str], None]) -> list[Path]:
    mentee.train(recipe, out=out / "run", **passed)
    return [out / "run"]


def by_record(recipe: Any, passed: Any, out: Path, say: Callable[[str], None]) -> list[Path]:
    mentee.record_network(recipe, out / "record", say=say, **passed)
    recorded = {**recipe, "teacher": {"record": str(out / "record")}}
    mentee.train(recorded, out=out / "run", data=passed["data"], quiet=True)
    return [out / "run"]


def by_sweep(recipe: Any, passed: Any, out: Path, say: Callable[[str], None]) -> list[Path]:
    result = mentee.sweep(
        recipe, ["kd"], seeds=1, processes=1, out=out, live=True, say=say, **passed
    )
    assert not result.failed
    return [job.path for job in result.jobs]


def by_compare(recipe: Any, passed: Any, out: Path, say: Callable[[str], None]) -> list[Path]:
    result = mentee.compare(recipe, ["kd"], seeds=1, processes=1, out=out, say=say, **passed)
    assert PERMUTED in (out / "compare.md").read_text()
    assert PERMUTED in (out / "compare.html").read_text()
    assert PERMUTED in str(result)
    return [out / "resnet8-cifar-kd-seed0", out / "hashed-bag-small-kd-seed0"]


def by_pipeline(recipe: Any, passed: Any, out: Path, say: Callable[[str], None]) -> list[Path]:
    changes = ["probe.ways=[knn]", "probe.who=[student]", "probe.shares=[1.0]"]
    mentee.pipeline(recipe, out=out, changes=changes, say=say, quiet=True, **passed)
    return [out / "run"]


COMMANDS = [by_train, by_record, by_sweep, by_compare, by_pipeline]


@pytest.mark.parametrize(
    ("command", "kind"),
    [*((command, "images") for command in COMMANDS), (by_train, "texts"), (by_record, "texts")],
)
def test_every_command_scores_the_teacher_and_keeps_its_row(
    command: Any, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, passed = options(kind, ORDER)
    lines = list[str]()
    paths = command(recipe, passed, tmp_path, lines.append)
    shown = "\n".join(lines) + capsys.readouterr().out
    assert (
        "teacher: validation accuracy 0.5000 (16 examples; seen in its training: perhaps" in shown
    )
    assert "teacher: test accuracy 0.5000 (40 examples; seen in its training: not if" in shown
    assert PERMUTED in shown
    for path in (each for each in paths if each.exists()):
        teacher = json.loads((path / "summary.json").read_text())["teacher"]
        counts = {part: (each["examples"], each["of"]) for part, each in teacher["parts"].items()}
        assert counts == {"validation": (16, 16), "test": (40, 40)}
        assert [each["scores"]["accuracy"] for each in teacher["parts"].values()] == [0.5, 0.5]
        report = (path / "report.md").read_text()
        assert "| teacher, validation | 16 | 0.5000 |" in report
        assert "| teacher, test | 40 | 0.5000 |" in report
        assert PERMUTED in report


def test_a_right_teacher_has_no_warning_and_a_passed_one_is_read_from_the_record(
    tmp_path: Path,
) -> None:
    recipe, passed = options("images", [0, 1, 2, 3])
    result = mentee.compare(recipe, ["kd"], seeds=1, processes=1, out=tmp_path, **passed)
    assert not any("teacher" in note for note in result.content["notes"])
    run = result.path / "resnet8-cifar-kd-seed0"
    assert mentee.recipe.read(run / "recipe.yaml").teacher.record_folders  # type: ignore[union-attr]
    teacher = json.loads((run / "summary.json").read_text())["teacher"]
    assert teacher["parts"]["test"]["scores"]["accuracy"] == 1.0
    assert teacher["warnings"] == []
    recorded = {**recipe, "teacher": {"record": str(tmp_path / "record")}}
    _, other = options("images", ORDER)
    with pytest.raises(mentee.errors.PairError, match="has other weights by now; record it again"):
        mentee.train(recorded, out=tmp_path / "run", quiet=True, **other)


def test_a_record_without_scores_is_judged_by_its_logits_of_training_examples(
    tmp_path: Path,
) -> None:
    recipe, passed = options("texts", ORDER)
    mentee.record_network(recipe, tmp_path / "record", **passed)
    (tmp_path / "record" / "train" / "teacher.json").unlink()
    recorded = {**recipe, "teacher": {"record": str(tmp_path / "record")}}
    run = mentee.train(recorded, out=tmp_path / "run", data=passed["data"], quiet=True)
    (part,) = run.summary["teacher"]["parts"].items()
    assert (part[0], part[1]["examples"], part[1]["scores"]["accuracy"]) == ("train", 48, 0.5)
    assert part[1]["seen"].startswith("yes")
    assert PERMUTED in (run.path / "report.md").read_text()


def test_each_of_several_teachers_has_its_rows(tmp_path: Path) -> None:
    recipe, passed = options("images", ORDER)
    several = {name: recipe["teacher"] for name in ("bad", "good")}
    teachers = {"bad": passed["teacher"], "good": Oracle([0, 1, 2, 3])}
    run = mentee.train(
        {**recipe, "teacher": {"teachers": several}},
        out=tmp_path / "run",
        data=passed["data"],
        teacher=teachers,
        quiet=True,
    )
    report = (run.path / "report.md").read_text()
    assert "| teacher bad, test | 40 | 0.5000 |" in report
    assert "| teacher good, test | 40 | 1.0000 |" in report
    note = "test: its classes seem to be in another order than those of the data"
    assert f"- teacher bad: {note}: {PERMUTED}" in report
    assert "teacher good: " not in report


def test_a_teacher_of_other_classes_is_named_and_not_scored(tmp_path: Path) -> None:
    recipe, passed = options("images", ORDER)
    passed["teacher"] = nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
    other = {**recipe, "method": "crd"}
    other["teacher"] = {**recipe["teacher"], "classes": 7}
    run = mentee.train(other, out=tmp_path / "run", quiet=True, **passed)
    assert run.summary["teacher"]["parts"] == {}
    line = "teacher: not scored: it has 7 outputs, the labels 4 classes"
    assert line in (run.path / "report.md").read_text()


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        (0.25, "no: its own run held them out"),
        (0.5, "perhaps: they are cut off the training split"),
    ],
)
def test_what_the_teachers_own_run_held_out_it_has_not_seen(
    validation: float, expected: str, tmp_path: Path
) -> None:
    recipe, passed = options("images", ORDER)
    own = {**recipe, "teacher": None, "method": "none"}
    teacher = mentee.train(own, out=tmp_path / "teacher", data=passed["data"], quiet=True)
    weights = str(teacher.path / "student.safetensors")
    made = {**recipe, "teacher": {**recipe["student"], "weights": weights}}
    made["data"] = {**DATA, "validation": validation}
    run = mentee.train(made, out=tmp_path / "run", data=passed["data"], quiet=True)
    parts = run.summary["teacher"]["parts"]
    assert parts["validation"]["seen"].startswith(expected)
    assert parts["test"]["seen"] == "no: its own run held them out"


@pytest.mark.parametrize(
    ("scores", "classes", "chance"),
    [
        pytest.param({"balanced_accuracy": 0.9}, 2, False, id="two classes, good"),
        pytest.param({"balanced_accuracy": 0.52}, 2, True, id="two classes, bad"),
        pytest.param({"balanced_accuracy": 0.5}, 3, False, id="three classes"),
        pytest.param({"balanced_accuracy": 0.19}, 10, True, id="ten classes, bad"),
        pytest.param({"balanced_accuracy": 0.21}, 10, False, id="ten classes, weak"),
    ],
)
def test_near_chance_depends_on_the_number_of_classes(
    scores: dict[str, float], classes: int, chance: bool
) -> None:
    assert TASKS["single"].near_chance({"accuracy": 0.9, **scores}, classes) == chance


@pytest.mark.parametrize(
    ("counts", "moved"),
    [
        pytest.param([[9, 1], [1, 9]], 0, id="right"),
        pytest.param([[1, 9], [9, 1]], 2, id="two exchanged"),
        pytest.param([[9, 0, 1], [0, 1, 9], [0, 9, 1]], 2, id="two of three"),
        pytest.param([[0, 9, 0], [0, 0, 9], [9, 0, 0]], 3, id="a cycle"),
        pytest.param([[9, 0, 0], [8, 1, 0], [9, 0, 0]], 0, id="one class for all"),
        pytest.param([[4, 3, 3], [3, 4, 3], [3, 3, 4]], 0, id="weak"),
        pytest.param([], 0, id="no confusions"),
    ],
)
def test_permuted_classes_are_those_taken_for_one_another(
    counts: list[list[int]], moved: int
) -> None:
    from mentee.evaluation.teacher_check import permuted

    assert permuted(counts, ["a", "b", "c"]).count("is predicted as") == moved
