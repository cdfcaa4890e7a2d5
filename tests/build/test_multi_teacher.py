"""Several teachers that each teach for themselves, and the student's own average as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from mentee import models, probe, record, resume, train
from mentee.api import record_network
from mentee.build.overrides import PythonOverrides
from mentee.build.setup import build
from mentee.errors import MenteeError, PairError, RecipeError, RunError
from mentee.recipe import MultiRecipe, read
from mentee.teachers import MultiTeacher
from mentee.teachers.pretrained import embedder
from mentee.types import Step
from tests.conftest import cut_off, digits

SMALL = {"data": {"limit": 96, "validation": None, "views": "none"}, "select": {"keep": "last"}}
SHORT = {"train": {"epochs": 2, "batch": 32}}


def middle(images: Any) -> torch.Tensor:
    """A quarter of digits in the middle, where no pixel is always the same."""
    pixels = [torch.as_tensor(image).float()[2:6, 2:6].flatten() for image in images]
    return torch.stack(pixels) / 255


MIDDLE = embedder(middle, name="middle", kind="image", width=16)


@pytest.fixture(scope="module")
def two(teacher: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A network that learned digits, and one of other widths that was drawn."""
    network = models.build("resnet8-cifar", classes=10, channels=1, widths=(4, 8, 16), seed=3)
    weights = str(tmp_path_factory.mktemp("two") / "small.safetensors")
    save_file(network.state_dict(), weights)
    options = {"widths": [4, 8, 16]}
    return {"a": teacher, "b": {"network": "resnet8-cifar", "options": options, "weights": weights}}


def recipe_of(teachers: Any, method: Any = "cktf-bank+kd", **parts: Any) -> dict[str, Any]:
    several = teachers if teachers is None or "teachers" in teachers else {"teachers": teachers}
    numbers = {"memory.negatives": 16}
    said = (
        {"name": method, "params": numbers}
        if method in ("crd-bank", "cktf-bank", "cktf-bank+kd")
        else method
    )
    return digits(**{"teacher": several, "method": said, **SMALL, **SHORT, **parts})


def losses_of(recipe: Any, out: Path, **given: Any) -> list[dict[str, float]]:
    found: list[Step] = []
    train(recipe, out=out, quiet=True, on_step=found.append, **given)
    return [dict(step.losses) for step in found]


def test_each_has_heads_of_its_own_and_its_share(two: Any, tmp_path: Path) -> None:
    recipe = recipe_of({"teachers": two, "weights": {"a": 3}})
    parts = build(read(recipe))
    assert isinstance(parts.teacher, MultiTeacher)
    weights = parts.module.criterion.weights
    assert weights["kl/logits~logits.a"] == pytest.approx(0.75)
    assert weights["kl/logits~logits.b"] == pytest.approx(0.25)
    assert weights["contrast/embedding~embedding.b"] == pytest.approx(0.25 * 0.8)
    assert weights["task"] == 1.0
    stages = [name for name in weights if "stages" in name]
    assert stages == [f"contrast/stages.{i}~stages.{name}.{i}" for name in "ab" for i in range(3)]
    sides = parts.module.criterion.adapters
    assert len({id(p) for name in sides for p in sides[name].parameters()}) == len(
        list(sides.parameters())
    )
    run = train(recipe, out=tmp_path / "run", quiet=True)
    assert resume(run.path).summary == run.summary


def test_each_says_what_it_says_alone(two: Any) -> None:
    several = build(read(recipe_of(two)))
    batch = several.splits.first(8)
    together = several.teacher(batch)  # type: ignore[misc]
    for name, said in two.items():
        alone = build(read(recipe_of(None, teacher=said))).teacher(batch)  # type: ignore[misc]
        assert len(alone) > 3
        for place, value in alone.items():
            head, point, number = place.partition(".")
            torch.testing.assert_close(together[f"{head}.{name}{point}{number}"], value)


def test_one_alone_by_name_learns_what_it_learns_without(two: Any, tmp_path: Path) -> None:
    plain = losses_of(recipe_of(None, teacher=two["a"]), tmp_path / "plain")
    named = losses_of(recipe_of({"a": two["a"]}), tmp_path / "named")
    for one, other in zip(plain, named, strict=True):
        assert list(one.values()) == pytest.approx(list(other.values()), rel=1e-6)


def test_networks_and_records_are_mixed_each_by_a_method_of_its_own(
    two: Any, tmp_path: Path
) -> None:
    record("embedded:digits", MIDDLE, tmp_path / "vectors", splits=("train", "test"), say=len)
    places = recipe_of(None, "crd-bank", teacher=two["b"])
    record_network(places, tmp_path / "places", names=["crd-bank"], dtype="float32", say=len)
    teachers = {
        "live": two["a"],
        "replayed": {"record": str(tmp_path / "places")},
        "vectors": {"record": str(tmp_path / "vectors")},
        "both": {"networks": [two["a"], two["b"]]},
    }
    said = {
        "teachers": teachers,
        "methods": {"live": "at", "vectors": "phi-s", "both": {"name": "kd", "weights": {"kl": 2}}},
        "dropout": 0.5,
    }
    run = train(recipe_of(said, "crd-bank"), out=tmp_path / "run", quiet=True)
    weights = run.summary["weights"]
    assert weights["kl/logits~logits.both"] == pytest.approx(0.5)
    assert weights["contrast/embedding~embedding.replayed"] == pytest.approx(0.2)
    assert sum("live" in name for name in weights) == 3
    assert run.summary["reading"] == "live: live, replayed: clean, vectors: clean, both: live"
    kept = run.summary["kept"]
    assert {name: each["part"] for name, each in kept.items()} == {
        "live": "test", "replayed": "train", "vectors": "test", "both": "test",
    }  # fmt: skip
    for each in kept.values():
        assert 0 < each["similarity"] <= 1
        assert each["explained"] < 1
        assert 0 < each["neighbors"] < 1
    text = (run.path / "report.md").read_text()
    assert "## Similarity to each teacher" in text
    assert "| replayed |" in text
    assert resume(run.path).summary == run.summary


def test_what_is_not_there_is_said_with_the_teachers_name(two: Any, tmp_path: Path) -> None:
    record("embedded:digits", MIDDLE, tmp_path / "vectors", say=len)
    vectors = {"record": str(tmp_path / "vectors")}
    for teachers, method, text in (
        ({"a": two["a"], "v": vectors}, "kd", r"teacher v: .* has no logits, only embedding; take"),
        ({"a": {"network": "resnet8-cifar"}, "b": two["b"]}, "kd", "teacher a: .* has no weights"),
        ({"teachers": two, "methods": {"b": "none"}}, "kd", "teacher b: method 'none' reads noth"),
        (two, "simkd", r"'simkd' keeps its teacher's classifier, and a is one of 2 teachers; take"),
        (
            {"a": {"networks": [two["a"]]}, "b": two["b"]},
            "crd-bank",
            "teacher a: several networks tea",
        ),
    ):
        with pytest.raises(MenteeError, match=text):
            build(read(recipe_of(teachers, method)))


def test_mistakes_in_the_recipe_are_named() -> None:
    for teacher, text in (
        ({"teachers": {}}, r"teacher\.teachers: dictionary should have at least 1 item"),
        ({"teachers": {"a.b": "x"}}, r"teachers: names should be letters, digits, - and _"),
        ({"teachers": {"a": "x"}, "weights": {"c": 2}}, r"teacher\.weights: keys should be of a"),
        (
            {"teachers": {"a": "x"}, "methods": {"a": {"name": "crd", "labels": False}}},
            r"teacher\.methods: labels should stand in the recipe's own method",
        ),
        ({"teachers": {"a": "x"}, "dropout": 1}, r"teacher\.dropout: input should be less than 1"),
        ({"teachers": {"a": {"netwrk": "x"}}}, r"a\.netwrk: there is no such key; did you mean 'n"),
        ({"teachers": {"a": "x"}, "methds": 1}, r"methds: there is no such key; did you mean 'met"),
        ({"teachers": {"a": {"record": {"x": "y"}}}}, "each record should be a teacher by itself"),
    ):
        with pytest.raises(RecipeError, match=text):
            read(recipe_of(None, teacher=teacher))


def test_several_are_passed_from_python_by_name(two: Any, tmp_path: Path) -> None:
    made = {}
    for name, said in two.items():
        widths = tuple(said.get("options", {}).get("widths", (16, 32, 64)))
        made[name] = models.build("resnet8-cifar", classes=10, channels=1, widths=widths)
        models.load_weights(made[name], said["weights"])
    passed = losses_of(recipe_of(None), tmp_path / "run", teacher=made)
    named = losses_of(recipe_of(two), tmp_path / "named")
    assert passed == named
    kept = read(tmp_path / "run" / "recipe.yaml").teacher
    assert isinstance(kept, MultiRecipe)
    (tmp_path / "run" / "summary.json").unlink()
    with pytest.raises(RunError, match=r"which was passed from Python; pass it again"):
        resume(tmp_path / "run")
    resume(tmp_path / "run", teacher=made, quiet=True)
    with pytest.raises(RecipeError, match=r"c passed from Python, and teacher\.teachers na"):
        build(read(recipe_of(two)), PythonOverrides(teacher={"c": made["a"]}))


def test_dropping_changes_what_is_heard_and_is_the_same_after_a_stop(
    two: Any, tmp_path: Path
) -> None:
    def losses(drop: float, out: str, **more: Any) -> list[dict[str, float]]:
        return losses_of(
            recipe_of({"teachers": two, "dropout": drop}, "kd", **more), tmp_path / out
        )

    all_heard, some_heard = losses(0.0, "all"), losses(0.6, "some")
    assert list(all_heard[0]) == list(some_heard[0])
    assert all_heard[0] != some_heard[0]
    assert some_heard == losses(0.6, "again")


def test_without_labels_they_teach_and_are_probed(two: Any, tmp_path: Path) -> None:
    teachers = {name: {**said, "classes": 10} for name, said in two.items()}
    recipe = recipe_of(teachers, "to-teacher", data={**SMALL["data"], "label": False})
    recipe |= {"monitor": {"limit": 64}, "probe": {"shares": [1.0], "ways": ["knn"], "seeds": 1}}
    recipe["probe"]["who"] = ["student", "teacher"]
    run = train(recipe, out=tmp_path / "run", quiet=True)
    assert set(run.summary["kept"]) == {"a", "b"}
    found = probe(run.path, say=len).content
    assert {row["who"] for row in found["rows"]} == {"student", "teacher a", "teacher b"}
    kd = build(read({**recipe, "method": "kd"}))
    assert kd.recipe.student.classes == 10


def test_weights_may_be_balanced_over_teachers(two: Any, tmp_path: Path) -> None:
    method = {"name": "kd", "balance": "unit"}
    run = train(recipe_of(two, method), out=tmp_path / "run", quiet=True)
    used = run.summary["weights_used"]
    assert used["kl/logits~logits.a"] != pytest.approx(used["kl/logits~logits.b"], rel=1e-3)


def test_the_students_own_average_teaches_and_is_kept(tmp_path: Path) -> None:
    recipe = recipe_of(None, "kd", teacher={"ema": 0.9}, train={"epochs": 3, "batch": 32})
    seen: list[Step] = []
    run = train(recipe, out=tmp_path / "run", quiet=True, on_step=seen.append)
    assert all(step.losses["kl/logits"] > 0 for step in seen)
    assert read(run.path / "recipe.yaml").train.ema == 0.9
    assert run.summary["reading"] == "the student's own average (0.9)"
    assert run.summary["parameters"]["teacher"] is None
    for changes, text in (
        (
            {"train": {"ema": 0.5}},
            r"teacher\.ema is 0\.9 and train\.ema 0\.5",
        ),
        ({"data": {"label": False}, "method": "crd-bank"}, "own average has nothing to teach it"),
        ({"method": "simkd"}, "or the student's own average, has none"),
        ({"method": "phi-s"}, "has no fixed distribution at embedding"),
    ):
        with pytest.raises((RecipeError, PairError, MenteeError), match=text):
            build(read(digits(**{**recipe, **changes})))


def test_a_run_with_its_average_is_resumed_bit_by_bit(tmp_path: Path) -> None:
    recipe = recipe_of(None, "cktf-bank+kd", teacher={"ema": 0.9}, save={"steps": 2})
    whole = train(recipe, out=tmp_path / "whole", quiet=True)

    cut_off(recipe, tmp_path / "run", after=5)
    again = resume(tmp_path / "run", quiet=True)
    assert again.summary["test"] == whole.summary["test"]
    names = ("student.safetensors",)
    assert all((whole.path / n).read_bytes() == (again.path / n).read_bytes() for n in names)
