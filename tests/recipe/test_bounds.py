"""Doubled keys, numbers read in two ways, growth without bound: refused, in text and Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mentee.errors import RecipeError
from mentee.recipe import dump, read
from mentee.recording.sources import parsed

SMALL = "data: embedded:digits\nstudent: resnet8-cifar\n"
MAPPING: dict[str, Any] = {"data": "embedded:digits", "student": "resnet8-cifar"}


@pytest.fixture
def refused(tmp_path: Path) -> Any:
    """The message by which a recipe of this text is refused."""

    def message(text: str) -> str:
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(RecipeError) as error:
            read(path)
        assert len(str(error.value)) < 5000
        return str(error.value).replace(str(path), "FILE")

    return message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(SMALL * 2, "the key data stands there twice (line 3)", id="top-level"),
        pytest.param(
            SMALL + "train: {lr: 0.1, lr: 0.2}", "the key lr stands there twice", id="flow"
        ),
        pytest.param(
            SMALL + "method:\n  name: kd\n  weights: {task: 1, task: 2}",
            "the key task stands there twice (line 5)",
            id="weights",
        ),
        pytest.param(SMALL + "train: {epochs: 010}", "010 begins with 0", id="octal"),
        pytest.param(SMALL + "train: {milestones: [08]}", "08 begins with 0", id="no octal"),
        pytest.param(
            SMALL + f"train: {{epochs: {'9' * 5000}}}", "a number has 5,000 digits", id="digits"
        ),
        pytest.param("[" * 3000, "nested more than 32 levels deep", id="deep lists"),
        pytest.param("{a: " * 3000, "nested more than 32 levels deep", id="deep mappings"),
        pytest.param("a: &a [*a]", "more than 1,000,000 values", id="alias of itself"),
        pytest.param(
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(
                f"{n}: &{n} [{(f'*{b}, ' * 8)[:-2]}]\n"
                for b, n in zip("abcdefg", "bcdefgh", strict=True)
            ),
            "more than 1,000,000 values",
            id="aliases",
        ),
        pytest.param(
            "m0: &m0 {a: 1}\n"
            + "".join(f"m{i + 1}: &m{i + 1} {{<<: [*m{i}, *m{i}]}}\n" for i in range(40)),
            "more than 1,000,000 values",
            id="merged aliases",
        ),
        pytest.param(SMALL + "x: '\0'", "special characters are not allowed", id="NUL"),
        pytest.param(SMALL + "? [a]\n: b", "a key is a list or a mapping", id="key is a list"),
        pytest.param(SMALL + "x: !!timestamp x", "a value is not of its tag", id="tag"),
        pytest.param(
            SMALL + "x: !!python/object/apply:os.system [ls]",
            "could not determine a constructor",
            id="code",
        ),
        pytest.param("x: " + "a" * (4 << 20), "it has 4,194,307 bytes, more than", id="large file"),
    ],
)
def test_a_text_that_is_no_clear_recipe_is_refused(refused: Any, text: str, message: str) -> None:
    problem = refused(text)
    assert problem.startswith("FILE cannot be read as YAML: ")
    assert message in problem


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            "train.epochs=1:30",
            "train.epochs: input should be a valid integer, not '1:30'",
            id="1:30",
        ),
        pytest.param(
            "train.warmup=190:20:30",
            "train.warmup: input should be a valid integer, not '190:20:30'",
            id="190:20:30",
        ),
        pytest.param(
            "train.seed=2020-01-31",
            "train.seed: input should be a valid integer, not '2020-01-31'",
            id="date",
        ),
        pytest.param(
            "train.seed=18446744073709551617",
            "train.seed: should be a number below 2^63 (9.2e18), not 18446744073709551617",
            id="seed",
        ),
        pytest.param(
            "data.view_seed=-9223372036854775809",
            "data.view_seed: should be a number",
            id="view seed",
        ),
        pytest.param(
            f"train.epochs={10**12}", "input should be less than or equal to 10000000", id="epochs"
        ),
        pytest.param("train.lr=1e308", "input should be less than or equal to 1", id="lr"),
        *(
            pytest.param(f"{key}={number}", "input should be a finite number", id=f"{key} {number}")
            for key in ("train.lr", "train.weight_decay", "train.factor", "method.weights.task")
            for number in (".inf", ".nan", "1e400")
            if (key, number) != ("train.lr", ".nan")
        ),
        pytest.param("data.seconds=.inf", "data.seconds: input should be a finite", id="seconds"),
        pytest.param("data.seconds=1e9", "data.seconds: input should be less than", id="days"),
        pytest.param("data.sample_rate=1000000000", "data.sample_rate: input should be", id="rate"),
        pytest.param("data.max_bytes=1000000000", "data.max_bytes: input should be", id="bytes"),
        pytest.param("data.pad=1000000000", "data.pad: input should be less than", id="pad"),
        pytest.param("data.size=1000000", "data.size: input should be less than", id="size"),
        pytest.param("data.validation=1e-9", "data.validation: input should be", id="validation"),
        pytest.param("data.label=[]", "at least 1 item", id="label"),
        pytest.param("monitor.label=[]", "at least 1 item", id="label of monitor"),
        pytest.param("train.num_workers=1000000", "less than or equal to 256", id="workers"),
        pytest.param("train.batch=100000000", "less than or equal to 1000000", id="batch"),
        pytest.param("probe.finetune.epochs=1000000000", "less than or equal to", id="probe"),
        pytest.param(
            "student.input={mean: [0.5], std: [.inf]}",
            "student.input.std.0: input should be a finite number, not inf",
            id="std",
        ),
        pytest.param("student.input={mean: [], std: []}", "student.input.mean: list", id="no mean"),
        pytest.param("method=../../evil", "method.name: should be without / and \\", id="folder"),
        pytest.param("method.name=..\\evil", "method.name: should be without", id="backslash"),
        pytest.param('data.source="a\\0b"', "data.source: should be without the", id="NUL"),
        pytest.param('student="\\uD800"', "should be without the characters", id="surrogate"),
        pytest.param(f"student={'a' * 5000}", "at most 4096 characters, not 'aaaa", id="long name"),
        pytest.param("data={1: a}", "data.1: the key should be a text", id="key"),
        pytest.param("train.lr={a: 1, a: 2}", "the key a stands there twice", id="twice"),
        pytest.param("train.epochs=010", "010 begins with 0", id="octal"),
        pytest.param("train.lr=[" + "[" * 3000, "is not a YAML value", id="deep"),
        pytest.param("train.lr=\0", "special characters are not allowed", id="NUL in --set"),
    ],
)
def test_a_number_or_name_without_meaning_is_refused(change: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        read(MAPPING, [change])
    assert message in str(error.value)
    assert len(str(error.value)) < 2000


def endless() -> dict[str, Any]:
    content: dict[str, Any] = {}
    content["data"] = content
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(endless(), "should not be nested more than 32 levels deep", id="endless"),
        pytest.param(MAPPING | {"train": {"seed": 10**5000}}, "train.seed: should be", id="digits"),
        pytest.param(MAPPING | {"train": {"lr": float("inf")}}, "train.lr: input should", id="inf"),
        pytest.param(MAPPING | {"data": "a\0b"}, "data.source: should be without", id="NUL"),
        pytest.param(MAPPING | {1: 2}, "1: the key should be a text", id="key"),
        pytest.param(
            MAPPING | {"method": {"name": "../x", "terms": []}}, "should be without /", id="folder"
        ),
    ],
)
def test_the_same_from_python(content: dict[Any, Any], message: str) -> None:
    with pytest.raises(RecipeError) as error:
        read(content)
    assert message in str(error.value)


def test_twenty_thousand_unknown_keys_make_a_short_message(refused: Any) -> None:
    text = refused(SMALL + "".join(f"k{i}: 1\n" for i in range(20_000)))
    assert text.startswith("20000 problems in FILE:\n  - k0: there is no such key; known: data")
    assert text.endswith("  - and 19,980 more")


@pytest.mark.parametrize(
    "name", ["a" * 300, "a" * 100_000, "a\0b", "\ud800", "/dev/null"], ids=lambda n: f"{len(n)}"
)
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match="is neither a file nor a shipped recipe") as error:
        read(name)
    assert len(str(error.value)) < 2000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1_000", 1000),
        ("0x10", 16),
        ("-5", -5),
        (".5", 0.5),
        ("1.", 1.0),
        ("0", 0),
        ("00.5", 0.5),
        ("true", True),
        ("yes", True),
        ("~", None),
        ("1:30", "1:30"),
        ("2020-01-31", "2020-01-31"),
        ("'010'", "010"),
        ("0b11", "0b11"),
        ("10%", "10%"),
        ("{a: &a [1], b: *a}", {"a": [1], "b": [1]}),
        ("{a: &a {x: 1, y: 2}, b: {<<: *a, y: 3}}", {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}),
    ],
)
def test_what_is_clear_is_read(text: str, value: Any) -> None:
    from mentee.recipe import parse_yaml

    assert parse_yaml(text) == value
    assert type(parse_yaml(text)) is type(value)


def test_texts_that_look_like_numbers_are_dumped_as_texts(tmp_path: Path) -> None:
    classes = ["010", "08", "1:30", "2020-01-31", "1e5", "0x1f", "1_000", "yes", ".inf", "12"]
    recipe = read({"data": {"source": "x", "classes": classes}, "student": "y"})
    (tmp_path / "recipe.yaml").write_text(dump(recipe), encoding="utf-8")
    assert read(tmp_path / "recipe.yaml").data.classes == classes


@pytest.mark.parametrize(
    ("pair", "value"),
    [("label=2020-01-31", "2020-01-31"), ("size=128", 128), ("at=1:30", "1:30")],
)
def test_options_are_read_in_the_same_way(pair: str, value: Any) -> None:
    assert parsed([pair], "--option") == {pair.partition("=")[0]: value}


@pytest.mark.parametrize("value", ["010", "{a: 1, a: 2}", "[" * 2000, "!!int x", "9" * 5000])
def test_options_refuse_the_same(value: str) -> None:
    with pytest.raises(RecipeError, match=r"^--column size=.*: it is not a value: "):
        parsed([f"size={value}"], "--column")


def test_a_recipe_of_many_classes_is_read_again_or_not_written(tmp_path: Path) -> None:
    names = [f"{i} " + "x" * 4000 for i in range(400)]
    recipe = read({"data": {"source": "x", "classes": names}, "student": "y"})
    (tmp_path / "recipe.yaml").write_text(dump(recipe), encoding="utf-8")
    assert read(tmp_path / "recipe.yaml") == recipe
    more = {"source": "x", "classes": [f"{name}{k}" for k in "abc" for name in names]}
    with pytest.raises(RecipeError, match=r"would take .* it names every class \(1,200\); give"):
        dump(read({"data": more, "student": "y"}))
