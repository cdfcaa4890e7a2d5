"""Logits are compared with the classes before the first step, and probabilities are no logits."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import mentee
from mentee.errors import MenteeError, PairError, RecipeError
from tests.conftest import digits

Named = namedtuple("Named", "features scores")
HOW = r'Let it return the logits alone, or by name: \{"logits": ...\}'


@dataclass
class Result:
    features: Tensor
    scores: Tensor


class Net(nn.Module):
    """Returns features `f`, logits `y` and those of an auxiliary classifier `a`, in some form."""

    def __init__(
        self, form: Callable[..., Any], inputs: int = 64, outputs: int = 10, seed: int = 5
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 32), nn.ReLU())
        self.fc, self.aux, self.form = nn.Linear(32, outputs), nn.Linear(32, outputs), form

    def forward(self, x: Tensor) -> Any:
        f = self.body(x.float())
        a = self.aux(f)
        return self.form(self, f, self.fc(f), a)


def plain(net: Net, f: Tensor, y: Tensor, a: Tensor) -> Tensor:
    return y


FORMS: dict[str, tuple[Callable[..., Any], str]] = {
    "tuple": (lambda net, f, y, a: (f, y), r"0 of \(0 \[., 32\], 1 \[., 10\]\) is taken"),
    "list": (lambda net, f, y, a: [f, y], r"0 of \(0 \[., 32\], 1 \[., 10\]\) is taken"),
    "dict": (lambda net, f, y, a: {"f": f, "y": y}, r"f of \(f \[., 32\], y \[., 10\]\) is taken"),
    "dataclass": (lambda net, f, y, a: Result(f, y), r"features of \(features \[., 32\], scores "),
    "namedtuple": (lambda net, f, y, a: Named(f, y), r"features of \(features \[., 32\], scores "),
    "nested": (lambda net, f, y, a: ((f, a), y), r"0.0 of \(0.0 \[., 32\], 0.1 \[., 10\], 1 "),
    "auxiliary first": (lambda net, f, y, a: (a, y), r"0 of .* but 1 has the same shape and is "
                        "computed after it, so that 0 may be of an auxiliary classifier"),
    "auxiliary by name": (lambda net, f, y, a: {"aux": a, "out": y}, "aux of .* but out has the "
                          "same shape"),
    "1x1 maps": (lambda net, f, y, a: y[:, :, None, None], r"its output \[., 10, 1, 1\] is taken"),
}  # fmt: skip


def short(**parts: Any) -> dict[str, Any]:
    return digits(**{"train": {"epochs": 1, "batch": 32}, **parts, "data": {"limit": 64}})


@pytest.mark.parametrize("who", ["student", "teacher"])
@pytest.mark.parametrize("form", FORMS)
def test_logits_that_are_not_where_they_are_read(form: str, who: str, tmp_path: Path) -> None:
    make, message = FORMS[form]
    recipe = short(method="none" if who == "student" else "kd")
    with pytest.raises(RecipeError, match=rf"{who} Net: {message}.*{HOW}"):
        mentee.train(recipe, **{who: Net(make)}, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


ACCEPTED: dict[str, Callable[..., Any]] = {
    "logits by name": lambda net, f, y, a: {"features": f, "logits": y},
    "logits first": lambda net, f, y, a: (y, a),
    "logits first, then features": lambda net, f, y, a: (y, f),
    "auxiliary and logits by name": lambda net, f, y, a: {"aux": a, "logits": y},
}


@pytest.mark.parametrize("form", ACCEPTED)
def test_logits_that_are_found(form: str, tmp_path: Path) -> None:
    runs = [
        mentee.train(short(method="kd"), student=Net(each), teacher=Net(each),
                     out=tmp_path / name, quiet=True)
        for name, each in (("plain", plain), ("form", ACCEPTED[form]))
    ]  # fmt: skip
    assert runs[0].summary["test"] == runs[1].summary["test"]


def only_while_training(net: Net, f: Tensor, y: Tensor, a: Tensor) -> Any:
    return (a, y) if net.training else y


ARRAYS = np.random.default_rng(0).integers(0, 256, (48, 4, 4, 1), dtype=np.uint8)
OTHERS: dict[str, tuple[dict[str, Any], Any, Callable[[], nn.Module], str]] = {
    "auxiliary while training": (short(), None, lambda: Net(only_while_training), "student Net: 0 "
                                 r"of \(0 \[2, 10\], 1 \[2, 10\]\) is taken as its logits, but 1"),
    "more outputs": (short(), None, lambda: Net(plain, outputs=12), r"its output \[2, 12\] is taken"
                     r" as its logits for 2 examples; expected \[2, 10\], for 10 classes. .*, or "
                     "say how many it has: student.classes: 12"),
    "fewer outputs": (short(), None, lambda: Net(plain, outputs=5), r"\[2, 5\] is taken .* 10 "),
    "no classifier": (short(student={"network": "timm:resnet10t", "options": {"num_classes": 0}}),
                      None, lambda: None, r"student ResNet: its output \[2, 512\] is taken"),
    "classes of the recipe": (short(student={"network": "resnet8-cifar", "classes": 5}), None,
                              lambda: None, "student.classes is 5, and digits has 10 classes; "
                              "leave student.classes out"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_a_student_with_other_outputs(case: str, tmp_path: Path) -> None:
    recipe, data, make, message = OTHERS[case]
    with pytest.raises(RecipeError, match=message):
        mentee.train(recipe, data=data, student=make(), out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def own(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A recipe and data of 48 vectors of 16, with other labels than one class each."""
    rows = np.random.default_rng(1)
    labels: Any = {
        "regression": [list(row) for row in rows.normal(size=(48, 3)).round(3).tolist()],
        "several labels": [[int(x) for x in row] for row in rows.integers(0, 2, (48, 3))],
    }[kind]
    data: dict[str, Any] = {"source": "mine", "test": None, "views": "none"}
    if kind == "regression":
        data["task"] = "regression"
    content = {"data": data, "student": "mine", "train": {"epochs": 1, "batch": 16}}
    return content, {"image": ARRAYS, "label": labels}


@pytest.mark.parametrize(("kind", "what"), [("regression", "targets"), ("several labels", "class")])
def test_other_labels_count_the_outputs_too(kind: str, what: str, tmp_path: Path) -> None:
    recipe, data = own(kind)
    features_first = lambda net, f, y, a: (f, y)  # noqa: E731
    for number, net in enumerate([Net(features_first, 16, 3), Net(plain, 16, 4)]):
        with pytest.raises(RecipeError, match=rf"student Net: .* expected \[2, 3\], for 3 {what}"):
            mentee.train(recipe, data=data, student=net, out=tmp_path / str(number), quiet=True)
    mentee.train(recipe, data=data, student=Net(plain, 16, 3), out=tmp_path / "right", quiet=True)


def test_a_teacher_of_other_classes_is_told_as_before(tmp_path: Path) -> None:
    teacher = Net(plain, outputs=12)
    with pytest.raises(PairError, match="the student has 10 classes, the teacher 12"):
        mentee.train(short(method="kd"), teacher=teacher, out=tmp_path / "a", quiet=True)


def softmax(net: Net, f: Tensor, y: Tensor, a: Tensor) -> Any:
    return y.softmax(1)


def log_softmax(net: Net, f: Tensor, y: Tensor, a: Tensor) -> Any:
    return y.log_softmax(1)


def sigmoid(net: Net, f: Tensor, y: Tensor, a: Tensor) -> Any:
    return y.sigmoid()


def losses(run: mentee.Run) -> list[float]:
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    return [value for line in map(json.loads, lines) for value in line.get("losses", {}).values()]


def notes(run: mentee.Run) -> list[str]:
    return list(json.loads((run.path / "environment.json").read_text())["network_notes"])


@pytest.mark.parametrize("how", ["alone", "ensemble", "several", "tuple"])
def test_a_teacher_that_ends_in_softmax_teaches_as_its_logits_do(how: str, tmp_path: Path) -> None:
    in_tuple = lambda net, f, y, a: (y.softmax(1), f)  # noqa: E731
    runs = []
    for form in (log_softmax, in_tuple if how == "tuple" else softmax):
        one: Any = Net(form)
        one = {"ensemble": [one, Net(form)], "several": {"a": one}}.get(how, one)
        out = tmp_path / str(len(runs))
        runs.append(mentee.train(short(method="kd"), teacher=one, out=out, quiet=True))
    assert losses(runs[1]) == pytest.approx(losses(runs[0]), rel=1e-5)
    lines = [line for line in notes(runs[1]) if "probabilities" in line]
    named = "a: teacher Net" if how == "several" else "teacher Net"
    assert lines == [
        f"{named}: its outputs are probabilities (softmax); their logarithms are used as logits"
    ] * (2 if how == "ensemble" else 1)
    assert not any("probabilities" in line for line in notes(runs[0]))
    assert lines[0] in (runs[1].path / "report.md").read_text()


def test_a_teacher_that_ends_in_sigmoid_for_several_labels(tmp_path: Path) -> None:
    recipe, data = own("several labels")
    runs = [
        mentee.train({**recipe, "method": "binary-kd"}, data=data, quiet=True,
                     student=Net(plain, 16, 3, seed=6), teacher=Net(form, 16, 3),
                     out=tmp_path / form.__name__)
        for form in (plain, sigmoid)
    ]  # fmt: skip
    assert losses(runs[1]) == pytest.approx(losses(runs[0]), rel=1e-4)
    assert any("(sigmoid); their log-odds are used as logits" in line for line in notes(runs[1]))


def test_a_record_holds_logits_of_a_teacher_that_ends_in_softmax(tmp_path: Path) -> None:
    rows = []
    for form in (log_softmax, softmax):
        record = mentee.record_network(
            short(method="kd"), tmp_path / form.__name__, teacher=Net(form), views=0,
            dtype="float32", say=lambda line: None,
        )  # fmt: skip
        rows.append(record.read(np.arange(64))["logits"])
    assert torch.allclose(rows[0], rows[1], atol=1e-4)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        (softmax, {"dtype": "float16"}),
        (softmax, {"dtype": "int8", "views": 1}),
        (softmax, {"dtype": "float16", "top_k": 3}),
        (sigmoid, {"dtype": "bfloat16"}),
    ],
)
def test_a_record_of_probabilities_is_refused(
    form: Any, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "record"
    options = {"views": 0, "say": lambda line: None, "overwrite": True, **options}
    recipe = {**short(method="kd"), "teacher": {"record": str(out), "clean": True}}

    def record(form: Any) -> None:
        mentee.record_network(short(method="kd"), out, teacher=Net(form), **options)

    with monkeypatch.context() as earlier:  # which recorded what the network returned
        earlier.setattr("mentee.build.networks.give_logits", lambda *args: None)
        record(form)
    text = (
        r"has as logits are probabilities.*mentee record RECIPE --out .*record --methods kd "
        rf"--views {options['views']} --dtype {options['dtype']} --overwrite"
    )
    with pytest.raises(RecipeError, match=text):
        mentee.train(recipe, out=tmp_path / "run", quiet=True)
    several = {**recipe, "teacher": {"teachers": {"a": recipe["teacher"]}}}
    with pytest.raises(RecipeError, match=text):
        mentee.train(several, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    for again in (form, plain):
        record(again)
        mentee.train(recipe, out=tmp_path / again.__name__, quiet=True)


@pytest.mark.parametrize("form", [softmax, sigmoid])
def test_a_student_that_ends_in_probabilities(form: Any, tmp_path: Path) -> None:
    text = rf"student Net returns probabilities \(it ends in a {form.__name__}\)"
    with pytest.raises(RecipeError, match=text):
        mentee.train(short(), student=Net(form), out=tmp_path / "run", quiet=True)
    recipe, data = own("several labels")
    with pytest.raises(RecipeError, match="returns probabilities"):
        mentee.train(recipe, data=data, student=Net(sigmoid, 16, 3), out=tmp_path / "b", quiet=True)


def test_targets_between_0_and_1_may_be_a_sigmoids(tmp_path: Path) -> None:
    recipe, data = own("regression")
    student = Net(sigmoid, 16, 3)
    mentee.train(recipe, data=data, student=student, out=tmp_path / "run", quiet=True)


class Checkpointed(nn.Module):
    """Its stages are computed within activation checkpoints."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(16, 10)
        self.one = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU())
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        def inside(y: Tensor) -> Tensor:
            return self.two(self.one(y))

        y = checkpoint(inside, self.stem(x), use_reentrant=self.reentrant)
        return self.head(y.mean((2, 3)))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("method", ["at", "vid"])
def test_features_within_a_reentrant_checkpoint(method: str, tmp_path: Path) -> None:
    text = (
        r"layer stages\.\d lies within a reentrant activation checkpoint, where no gradient "
        r"reaches it; use torch.utils.checkpoint with use_reentrant=False"
    )
    recipe = short(method=method)

    def run(reentrant: bool, out: str) -> None:
        student, teacher = Checkpointed(reentrant), Checkpointed(False)
        mentee.train(recipe, student=student, teacher=teacher, out=tmp_path / out, quiet=True)

    with pytest.raises(RecipeError, match=text):
        run(True, "refused")
    run(False, "accepted")


def test_batch_norm_that_sees_one_value(tmp_path: Path) -> None:
    student = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))
    for number, train in enumerate([{"batch": 1}, {"batch": 4, "gradient_accumulation": 4}]):
        recipe = short(train={"epochs": 1, **train})
        with pytest.raises(RecipeError, match=r"Sequential has batch norms, .* raise train.batch"):
            mentee.train(recipe, student=student, out=tmp_path / str(number), quiet=True)


def test_parameters_that_nothing_trains_are_told(tmp_path: Path) -> None:
    run = mentee.train(short(), student=Net(plain), out=tmp_path / "run", quiet=True)
    assert notes(run) == [
        "student: aux.weight, aux.bias have no part in anything that is read, so nothing trains "
        "them"
    ]


SIZES = {
    "timm:vit_tiny_patch16_224": r"VisionTransformer cannot read \[2, 1, 8, 8\]: .*224",
    "torchvision:inception_v3": r"Inception3 cannot read \[2, 3, 8, 8\]: .*Output size is too",
}


@pytest.mark.parametrize("name", SIZES)
def test_a_network_that_refuses_the_size(name: str, tmp_path: Path) -> None:
    how = r".*student.size, teacher.size\); some .* \(options: \{img_size: ...\}\)"
    options = {"init_weights": False} if "torchvision" in name else {}
    recipe = short(student={"network": name, "options": options})
    recipe["data"]["channels"] = 3 if "torchvision" in name else 1
    with pytest.raises(MenteeError, match=SIZES[name] + how):
        mentee.train(recipe, out=tmp_path / "run", quiet=True)
