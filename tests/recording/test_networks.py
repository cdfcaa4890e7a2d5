"""A network's record teaches exactly what the network does, under the same views."""

from __future__ import annotations

import importlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mentee import record_network, resume, train, verify
from mentee.api import Interrupted
from mentee.errors import DataError, MenteeError, PairError, RecipeError, RunError
from mentee.methods import METHODS
from mentee.records import open_record, stored_rows
from mentee.runs.folder import Folder
from mentee.types import Step
from tests.conftest import digits
from tests.processes import Forked
from tests.training.test_resume import assert_same, interrupt_at

SMALL = {"data": {"limit": 96, "validation": None, "test": None}, "select": {"keep": "last"}}
SHORT = {"epochs": 3, "batch": 32}
OTHER_TASKS = ("binary_kd", "bounded_regression")
ONE_CLASS = [
    name
    for name, row in METHODS.items()
    if row.terms and name != "cktf-exact" and all(t.loss.name not in OTHER_TASKS for t in row.terms)
]
WIDTHS = {
    "crd-exact": {"memory.negatives": 256},
    "pca": {"pca.width": 8},
    "similarity": {"memory.negatives": 64},
    "ft": {"paraphraser.steps": 3},
}
STEEP = {"nst": 3, "ft": 3}
"""Steps that are equal to 1e-6: rounding, which batches of another size differ in, grows tenfold
with each step of these at their published weights."""


def recipe_of(method: str, **parts: Any) -> dict[str, Any]:
    said = {"name": method, "params": WIDTHS.get(method, {})}
    return digits(**{**SMALL, "method": said, "train": SHORT, **parts})


@pytest.fixture(scope="module")
def live(teacher: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    return lambda method, **parts: recipe_of(method, teacher=teacher, **parts)


@pytest.fixture(scope="module")
def record(live: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of every method, two views, float32."""
    out = tmp_path_factory.mktemp("record") / "own"
    lines: list[str] = []
    record_network(live("cktf"), out, names=ONE_CLASS, views=2, dtype="float32", say=lines.append)
    assert "96 images × 3 views → " in lines[1]
    return out


def steps_of(recipe: dict[str, Any], out: Path) -> Iterator[Step]:
    found: list[Step] = []
    train(recipe, out=out, quiet=True, on_step=found.append)
    return found


@pytest.mark.parametrize("method", ONE_CLASS)
def test_recorded_and_live_losses_are_equal(
    method: str, live: Any, record: Path, tmp_path: Path
) -> None:
    cycle = digits()["data"] | SMALL["data"] | {"cycle": 2}
    ours = steps_of(recipe_of(method, teacher={"record": str(record)}), tmp_path / "recorded")
    theirs = steps_of(live(method, data=cycle), tmp_path / "live")
    assert len(ours) == len(theirs) == 9
    for mine, other in list(zip(ours, theirs, strict=True))[: STEEP.get(method)]:
        assert mine.losses.keys() == other.losses.keys()
        for name, value in other.losses.items():
            assert mine.losses[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name
    if method in STEEP:
        return
    weights = [load_file(tmp_path / run / "student.safetensors") for run in ("recorded", "live")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("dtype", "off"), [("float16", 2e-3), ("bfloat16", 1e-2), ("int8", 1e-2)])
def test_narrow_numbers_are_off_by_their_precision(
    dtype: Any, off: float, live: Any, tmp_path: Path
) -> None:
    record_network(live("cktf+kd"), tmp_path / "r", views=1, dtype=dtype, say=str)
    ours = steps_of(recipe_of("cktf+kd", teacher={"record": str(tmp_path / "r")}), tmp_path / "a")
    cycle = digits()["data"] | SMALL["data"] | {"cycle": 1}
    theirs = steps_of(live("cktf+kd", data=cycle), tmp_path / "b")
    for name, value in theirs[0].losses.items():
        assert ours[0].losses[name] == pytest.approx(value, rel=off), name
    assert ours[0].losses["kl/logits"] != theirs[0].losses["kl/logits"]


def test_a_record_in_memory_teaches_the_same(
    record: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    said = {"record": str(record)}
    mapped = steps_of(recipe_of("cktf", teacher=said), tmp_path / "a")
    loaded = steps_of(recipe_of("cktf", teacher=said | {"in_memory": True}), tmp_path / "b")
    assert [step.loss for step in mapped] == [step.loss for step in loaded]
    monkeypatch.setattr(stored_rows, "available", lambda: 100)
    with pytest.raises(
        RunError, match=r"teacher.in_memory: .* needs .* MB and 0.0 MB are available"
    ):
        train(recipe_of("cktf", teacher=said | {"in_memory": True}), out=tmp_path / "c", quiet=True)


def test_rows_of_a_record_are_negatives_and_an_interrupted_run_draws_the_same(
    live: Any, tmp_path: Path
) -> None:
    fixed = {"name": "unit", "of": {"name": "to_teacher", "params": {"scale": "whiten"}}}
    term = {
        "layers": "embedding",
        "loss": "info_nce",
        "weight": 1.0,
        "representation": fixed,
        "memory": {"name": "record", "params": {"negatives": 40}},
    }
    own = {"name": "own", "terms": [term]}
    record_network(live("kd") | {"method": own}, tmp_path / "r", views=2, dtype="float32", say=str)
    said = {"teacher": {"record": str(tmp_path / "r")}, "save": {"steps": 2, "minutes": None}}
    recipe = recipe_of("kd", **said) | {"method": own}
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    with pytest.raises(Interrupted):
        train(recipe, out=tmp_path / "run", quiet=True, on_step=interrupt_at(5))
    resume(tmp_path / "run", quiet=True)
    assert_same(tmp_path / "run", whole.path)
    with pytest.raises(MenteeError, match=r"the memory record has rows .*: mentee record RECIPE"):
        train(live("kd") | {"method": own}, out=tmp_path / "online", quiet=True)
    assert not (tmp_path / "online").exists()


def test_what_was_read_how_is_in_the_resolved_recipe_and_the_report(
    record: Path, tmp_path: Path
) -> None:
    run = train(recipe_of("kd", teacher={"record": str(record)}), out=tmp_path / "r", quiet=True)
    assert run.summary["reading"] == "views=2"
    assert "| teacher outputs | views=2 |" in (run.path / "report.md").read_text()
    said = (run.path / "recipe.yaml").read_text()
    assert "cycle: 2" in said
    assert "view_seed: 0" in said


def test_runs_of_other_seeds_read_the_same_record(record: Path, tmp_path: Path) -> None:
    other = recipe_of("kd", teacher={"record": str(record)}, train={**SHORT, "seed": 5})
    first = recipe_of("kd", teacher={"record": str(record)})
    losses = [steps_of(r, tmp_path / str(i))[0].loss for i, r in enumerate((first, other))]
    assert losses[0] != losses[1]


def test_the_clean_examples_teach_where_nothing_is_augmented(
    live: Any, record: Path, tmp_path: Path
) -> None:
    plain = digits()["data"] | SMALL["data"] | {"views": "none"}
    ours = recipe_of("kd", teacher={"record": str(record)}, data=plain)
    a = steps_of(ours, tmp_path / "a")
    b = steps_of(live("kd", data=plain), tmp_path / "b")
    assert [s.loss for s in a] == pytest.approx([s.loss for s in b], rel=1e-6)
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["reading"] == "clean"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"data": {"pad": 2}}, r"was made of other views \(pad: 1 there, 2 here\)"),
        ({"data": {"cycle": 3}}, r"data.cycle is 3 and .* has 2 views; record more \(--views 3\)"),
        ({"data": {"view_seed": 4}}, r"view_seed: 0 there, 4 here"),
        ({"method": "cktf-exact"}, r"depends on what else is in the batch, so no record holds it"),
        ({"train": {"mixup": 0.3}}, r"a mixture was not recorded; set train.mixup to null"),
    ],
)
def test_what_the_record_does_not_hold_is_refused(
    change: dict[str, Any], text: str, record: Path, tmp_path: Path
) -> None:
    recipe = recipe_of("kd", teacher={"record": str(record)})
    for key, value in change.items():
        recipe[key] = {**recipe[key], **value} if isinstance(value, dict) else value
    with pytest.raises((RecipeError, DataError, PairError), match=text):
        train(recipe, out=tmp_path / "run", quiet=True)


def test_random_views_are_refused_unless_the_clean_record_is_to_teach_them(
    live: Any, tmp_path: Path
) -> None:
    record_network(live("kd"), tmp_path / "r", views=0, say=str)
    recipe = recipe_of("kd", teacher={"record": str(tmp_path / "r")})
    with pytest.raises(RecipeError, match=r"has the clean examples only, and data.views is crop"):
        train(recipe, out=tmp_path / "a", quiet=True)
    recipe["teacher"]["clean"] = True
    run = train(recipe, out=tmp_path / "b", quiet=True)
    assert run.summary["reading"] == "clean for every view"


def test_a_place_that_was_not_recorded_is_named_with_the_command(live: Any, tmp_path: Path) -> None:
    record_network(live("kd"), tmp_path / "r", views=1, say=str)
    recipe = recipe_of("cktf", teacher={"record": str(tmp_path / "r")})
    with pytest.raises(RecipeError, match=r"has logits; method 'cktf' reads .*--methods cktf"):
        train(recipe, out=tmp_path / "a", quiet=True)
    record_network(live("kd"), tmp_path / "r", names=["cktf"], views=2, say=str)
    assert open_record(tmp_path / "r").manifest.methods == ("kd", "cktf")
    train(recipe, out=tmp_path / "a", quiet=True)


def test_verify_reads_a_sample_live_and_knows_other_weights(
    live: Any, record: Path, teacher: dict[str, Any], tmp_path: Path
) -> None:
    found = verify(record, live("cktf"), sample=20)
    assert (found.examples, found.views) == (20, (-1, 0, 1))
    assert {"logits", "embedding", "stages.0 | mean"} <= found.cosine.keys()
    assert min(found.cosine.values()) == pytest.approx(1, abs=1e-5)
    assert "worst cosine of 20 examples (clean, view 0, view 1)" in str(found)
    few = tmp_path / "few"  # each check builds the pair once for each method
    record_network(live("cktf"), few, views=1, dtype="float32", say=str)
    from_record = recipe_of("cktf", teacher={"record": str(few)})
    recorded, online = (verify(few, each, sample=20) for each in (from_record, live("cktf")))
    assert recorded.cosine == online.cosine
    weights = load_file(teacher["weights"])
    weights["fc.bias"] = weights["fc.bias"] + 1
    save_file(weights, tmp_path / "other.safetensors")
    other = live("cktf") | {"teacher": teacher | {"weights": str(tmp_path / "other.safetensors")}}
    with pytest.raises(DataError, match=r"something else: teacher's fingerprint"):
        verify(few, other)


def test_nothing_but_a_record_is_overwritten(live: Any, tmp_path: Path) -> None:
    record_network(live("kd"), tmp_path / "r", views=0, say=str)
    record_network(live("kd"), tmp_path / "r", views=0, dtype="int8", overwrite=True, say=str)
    assert open_record(tmp_path / "r").manifest.dtype == "int8"
    whole, shard = bytes_of(tmp_path / "r"), tmp_path / "r/train/clean/shard-00000.npy"
    shard.write_bytes(shard.read_bytes()[:-1])
    options: dict[str, Any] = {"views": 0, "dtype": "int8", "say": str}
    record_network(live("kd"), tmp_path / "r", repair=True, **options)
    assert bytes_of(tmp_path / "r") == whole
    (tmp_path / "s" / "train").mkdir(parents=True)
    (tmp_path / "s" / "train" / "thesis.tex").write_text("years of work")
    with pytest.raises((DataError, RunError), match="no record"):
        record_network(live("kd"), tmp_path / "s", views=0, overwrite=True, say=str)
    assert (tmp_path / "s" / "train" / "thesis.tex").exists()


def test_what_is_recorded_already_is_not_computed_again(
    live: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By its path: the package has a function of the same name.
    flow = importlib.import_module("mentee.representations.fsp")
    computed: list[int] = []
    fsp_matrices = flow.fsp_matrices

    def counted(maps: Any) -> torch.Tensor:
        computed.append(len(maps[0]))
        return fsp_matrices(maps)

    monkeypatch.setattr(flow, "fsp_matrices", counted)
    record_network(live("fsp"), tmp_path / "r", views=0, say=str)
    assert sum(computed) > 96  # and some more to estimate the minutes
    computed.clear()
    record_network(live("at"), tmp_path / "r", views=0, say=str)
    assert set(computed) == {1}  # to know its shape
    assert open_record(tmp_path / "r").manifest.methods == ("fsp", "at")


def test_a_recipe_without_a_network_has_nothing_to_record(live: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"recorded where it is a network"):
        record_network(recipe_of("none"), tmp_path / "r")
    with pytest.raises(RecipeError, match=r"method 'none' reads no teacher"):
        record_network(live("none"), tmp_path / "r")


def kill_9_once_there(folder: Path, command: Forked) -> None:
    until = time.monotonic() + 120
    while not folder.is_dir():
        assert time.monotonic() < until
        assert command.poll() is None, command.communicate()
        time.sleep(0.001)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()


def test_kill_9_of_the_command_and_again_gives_the_same_bytes(
    live: Any, tmp_path: Path, begin: Any
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(live("cktf", data={"limit": None, "validation": 0.15})))
    out = tmp_path / "cut"
    command = ("-m", "mentee.cli", "record", recipe, "--views", "3", "--batch", "8", "--out")
    killed = begin(*command, out)
    kill_9_once_there(out / ".train.partial" / "view-000", killed)
    assert not (out / "train").exists()
    for folder in (out, tmp_path / "whole"):
        done = begin(*command, folder)
        said, err = done.communicate(timeout=300)
        assert done.returncode == 0, err
    assert "recorded in" in said
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_kill_9_of_overwriting_leaves_the_record_that_was_there(
    live: Any, tmp_path: Path, begin: Any
) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "r"
    recipe.write_text(json.dumps(live("cktf", data={"limit": None, "validation": 0.15})))
    record_network(live("kd"), out, views=0, say=str)
    before = bytes_of(out)
    command = ("-m", "mentee.cli", "record", recipe, "--views", "2", "--batch", "8", "--overwrite")
    killed = begin(*command, "--out", out)
    kill_9_once_there(out / ".train.partial" / "clean", killed)
    now = {name: held for name, held in bytes_of(out).items() if not name.startswith(".")}
    assert now == before
    for folder in (out, tmp_path / "whole"):
        done = begin(*command, "--out", folder)
        _, err = done.communicate(timeout=300)
        assert done.returncode == 0, err
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_components_and_largest_logits_teach(live: Any, tmp_path: Path, mentee: Any) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "r"
    recipe.write_text(json.dumps(live("cktf-bank+kd")))
    command = ["record", recipe, "--out", out, "--views", "1"]
    few = ("--pca", "stages.1=8", "--pca", "stages.2=16", "--top-k", "8")
    status, said, err = mentee(*command, *few)
    assert status == 0, err
    assert "stages.2 | mean: 16 principal components have " in said
    held = {c.layer: (c.form, c.stored) for c in open_record(out).columns}
    assert held["stages.2"] == ("pca", 16)
    assert held["logits"] == ("top", 17)
    assert held["embedding"][0] == "whole"
    ours = steps_of(recipe_of("cktf-bank+kd", teacher={"record": str(out)}), tmp_path / "a")
    cycle = digits()["data"] | SMALL["data"] | {"cycle": 1}
    theirs = steps_of(live("cktf-bank+kd", data=cycle), tmp_path / "b")
    for name, value in theirs[0].losses.items():
        assert ours[0].losses[name] == pytest.approx(value, rel=0.15), name
    found = verify(out, recipe, sample=40).cosine
    assert 0.5 < found["stages.2 | mean"] < 1
    for wrong, text in [
        (("--pca", "x"), "error: --pca x: expected one number, or LAYER=NUMBER"),
        (("--pca", "2", "--pca", "stem=3"), "error: --pca 2 --pca stem=3: expected one number"),
        (("--pca", "1000"), "error: --pca 1000: nothing has more numbers"),
        (("--top-k", "11"), "error: --top-k 11: there are 10 logits"),
        (
            ("--teacher", "minilm", "--top-k", "3"),
            "error: --views, --top-k: only for the network of a",
        ),
    ]:
        status, _, err = mentee(*command, *wrong)
        assert status == 2
        assert err.startswith(text), err


def test_largest_logits_are_for_one_class_an_example(live: Any, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (96, 8, 8), dtype=np.uint8)
    arrays = {"image": images, "label": (draw.random((96, 10)) < 0.3).astype(np.float32)}
    data = {"source": "mine", "limit": None, "validation": None, "test": None}
    recipe = live("cktf", data=data)
    with pytest.raises(RecipeError, match=r"--top-k 3 keeps what completes a softmax .*several"):
        record_network(recipe, tmp_path / "r", top_k=3, data=arrays, say=str)
    assert not (tmp_path / "r").exists()


def test_data_that_grew_are_recorded_on_and_teach_as_the_network_does(
    live: Any, tmp_path: Path
) -> None:
    """A share for validation takes some of the old examples away and gives others back."""
    lines: list[str] = []
    out = tmp_path / "r"
    for limit in (96, 160):
        data = {"limit": limit, "validation": 0.15}
        recipe = live("kd", data=data)
        record_network(recipe, out, views=2, dtype="float32", say=lines.append)
        assert min(verify(out, recipe, sample=200).cosine.values()) == pytest.approx(1, abs=1e-5)
    first, second = (line for line in lines if " views → " in line)
    assert "96 images × 3 views" in first
    assert "64 images × 3 views" in second
    ours = recipe_of("kd", data=data, teacher={"record": str(out)})
    theirs = live("kd", data={**data, "cycle": 2})
    said = open_record(out).manifest.teacher["network"]["input"]  # as measured on the first 96
    theirs["teacher"] = theirs["teacher"] | {"input": said}
    losses = [
        [step.loss for step in steps_of(each, tmp_path / name)]
        for name, each in (("recorded", ours), ("live", theirs))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_kill_9_while_data_that_grew_are_recorded(live: Any, tmp_path: Path, begin: Any) -> None:
    data = {"limit": 96, "validation": None}
    for name in ("cut", "whole"):
        record_network(live("cktf", data=data), tmp_path / name, views=2, batch=8, say=str)
    before = bytes_of(tmp_path / "cut")
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "cut"
    recipe.write_text(json.dumps(live("cktf", data={**data, "limit": 1200})))
    command = ("-m", "mentee.cli", "record", recipe, "--views", "2", "--batch", "8", "--out")
    killed = begin(*command, out)
    kill_9_once_there(out / ".train.partial" / "clean", killed)
    now = {name: held for name, held in bytes_of(out).items() if not name.startswith(".")}
    assert now == before, "the record is what it was"
    for folder in (out, tmp_path / "whole"):
        done = begin(*command, folder)
        said, err = done.communicate(timeout=300)
        assert done.returncode == 0, err
        assert "1,104 images × 3 views" in said or folder == out
    assert bytes_of(out) == bytes_of(tmp_path / "whole")
    grown = bytes_of(out)
    assert all(grown[name] == held for name, held in before.items() if name.endswith(".npy"))


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class Staged(nn.Module):
    """A network of five stages of one resolution or another, which says where they are."""

    feature_layers: ClassVar[dict[str, Any]] = {
        "stem": "stem",
        "stages": tuple(f"stages.{i}" for i in range(5)),
        "classifier": "classifier",
    }

    def __init__(self, count: int = 5) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(count)
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        layers = [nn.Conv2d(4, 4, 3, padding=1) for _ in range(count)]
        self.stages = nn.Sequential(*(nn.Sequential(each, nn.ReLU()) for each in layers))
        self.classifier = nn.Linear(4, 10)
        self.feature_layers = {
            **Staged.feature_layers,
            "stages": tuple(f"stages.{i}" for i in range(count)),
        }
        for parameter in self.parameters():
            nn.init.normal_(parameter, 0, 0.3, generator=generator)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.stages(self.stem(images)).mean((2, 3)))


@pytest.mark.parametrize("others", [False, True])
def test_stages_meet_as_live_where_the_teacher_has_more(
    others: bool, taught: Any, tmp_path: Path
) -> None:
    """3 of the student meet 1, 2, 4 of 0 to 4; a student of 4 has 0 and 3 recorded as well."""
    method = "cktf"
    recipe = taught(
        method=method,
        teacher={"network": "staged", "classes": 10},
        train={"epochs": 1},
        data={"cycle": 1},
    )
    passed = {"teacher": Staged(5), "student": Staged(3)}
    live = train(recipe, out=tmp_path / "live", quiet=True, **passed)
    silent = {"dtype": "float32", "views": 1, "say": lambda line: None}
    made = record_network(recipe, tmp_path / "record", **silent, **passed)
    kept = {column.layer for column in made.columns}
    assert kept == {"embedding", "stages.1", "stages.2", "stages.4"}
    if others:
        made = record_network(
            recipe, tmp_path / "record", **silent, teacher=passed["teacher"], student=Staged(4)
        )
        kept = {column.layer for column in made.columns}
        assert kept == {"embedding", *(f"stages.{i}" for i in range(5))}
    recipe["teacher"] = {"record": str(tmp_path / "record")}
    found = train(recipe, out=tmp_path / "run", quiet=True, student=Staged(3))
    lines = [
        next(line["losses"] for line in Folder(run.path).read_metrics() if "losses" in line)
        for run in (live, found)
    ]
    assert set(lines[0]) == set(lines[1])
    assert lines[1] == pytest.approx(lines[0], rel=1e-3)


def test_a_stage_that_was_not_recorded_is_named(taught: Any, tmp_path: Path) -> None:
    method = "cktf"
    recipe = taught(
        method=method, teacher={"network": "staged", "classes": 10}, train={"epochs": 1}
    )
    record_network(
        recipe,
        tmp_path / "record",
        views=1,
        say=lambda line: None,
        teacher=Staged(5),
        student=Staged(3),
    )
    recipe["teacher"] = {"record": str(tmp_path / "record")}
    with pytest.raises(RecipeError, match=r"method 'cktf' reads stages\.0 too\. Add it"):
        train(recipe, out=tmp_path / "run", quiet=True, student=Staged(5))
