from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.errors import MenteeError, RecipeError
from mentee.methods import METHODS
from mentee.recipe import Network, Recipe, dump, find_recipe, read, shipped

SMALL: dict[str, Any] = {"data": "embedded:digits", "student": "resnet8-cifar"}

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
names = st.one_of(texts, st.sampled_from(["1e5", "yes", "null", "~", "1.0", "2020-01-01", "a: b"]))
folders = names.filter(lambda name: name.isprintable() and not {"/", "\\"} & set(name))
counts = st.integers(1, 10**6)
positives = st.floats(1e-12, 1e12)
shares = st.floats(0, 1, exclude_max=True)
integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.one_of(integers, floats, st.booleans(), names, st.none())


def parts(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with any of these keys."""
    return st.fixed_dictionaries({}, optional=fields)


words = st.one_of(
    names,
    st.fixed_dictionaries({"name": names}, optional={"params": st.dictionaries(names, numbers)}),
)
terms = st.fixed_dictionaries(
    {"layers": st.one_of(names, st.lists(names, min_size=2, max_size=2)), "loss": words}
    | {"weight": st.floats(-10, 10)},
    optional={"representation": words, "memory": words},
)
networks = st.one_of(
    names,
    st.fixed_dictionaries(
        {"network": names},
        optional={
            "classes": counts,
            "weights": names,
            "options": st.dictionaries(names, st.one_of(numbers, st.lists(integers))),
            "input": st.one_of(
                names,
                st.fixed_dictionaries(
                    {"mean": st.lists(positives, min_size=1)}
                    | {"std": st.lists(positives, min_size=1)}
                ),
            ),
        },
    ),
)
recipes = st.fixed_dictionaries(
    {
        "data": st.fixed_dictionaries(
            {"source": names},
            optional={
                "validation": st.one_of(names, st.floats(0.01, 0.99), st.none()),
                "test": st.one_of(names, st.none()),
                "limit": counts,
                "label": st.one_of(names, st.lists(names, min_size=1)),
                "classes": st.lists(names),
                "pad": st.integers(0, 9),
            },
        ),
        "student": networks,
    },
    optional={
        "teacher": networks,
        "method": st.one_of(
            folders,
            parts(
                name=folders,
                terms=st.lists(terms, min_size=1, max_size=2),
                params=st.dictionaries(names, numbers),
                weights=st.dictionaries(names, st.floats(-10, 10)),
            ),
        ),
        "train": parts(
            epochs=counts,
            lr=positives,
            momentum=shares,
            milestones=st.lists(counts),
            max_grad_norm=positives,
            ema=shares,
            precision=st.sampled_from(["float32", "bfloat16", "float16"]),
        ),
        "select": parts(
            keep=st.sampled_from(["best", "last"]),
            patience=counts,
            threshold=st.floats(0.01, 0.99),
        ),
        "save": parts(steps=counts, minutes=st.one_of(positives, st.none())),
    },
)


@given(recipes)
@settings(max_examples=60, deadline=None)
def test_what_is_dumped_is_read_again(content: dict[str, Any]) -> None:
    recipe = read(content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(dump(recipe), encoding="utf-8")
        assert read(path) == recipe
    assert read(yaml.safe_load(dump(recipe))).model_dump() == recipe.model_dump()
    assert read(recipe) == recipe


def test_every_key_is_written_out() -> None:
    written = yaml.safe_load(dump(read(SMALL)))
    assert set(written) == set(Recipe.model_fields)
    assert written["train"]["momentum"] == 0.9
    assert written["select"] == {
        "keep": "best",
        "by": None,
        "every": 1,
        "patience": None,
        "cooldown": 0.0,
        "threshold": 0.5,
    }


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("train.epochs=20", lambda r: r.train.epochs == 20),
        ("train.lr=1e-3", lambda r: r.train.lr == 0.001),
        ("train.lr=1E+2", lambda r: r.train.lr == 100.0),
        ("train.milestones=[150, 180]", lambda r: r.train.milestones == [150, 180]),
        ("data.validation=null", lambda r: r.data.validation is None),
        ("data.validation=valid", lambda r: r.data.validation == "valid"),
        ("data.classes=['1e5', b]", lambda r: r.data.classes == ["1e5", "b"]),
        ("method=cktf", lambda r: r.method.name == "cktf"),
        ("method.name=cktf", lambda r: r.method.name == "cktf"),
        (
            "method.params.contrast.temperature=0.07",
            lambda r: r.method.params == {"contrast.temperature": 0.07},
        ),
        (
            "method.weights.stages.0=0.5",
            lambda r: r.method.weights == {"stages.0": 0.5},
        ),
        ("student=vgg8", lambda r: r.student.network == "vgg8"),
        (
            "student.classes=3",
            lambda r: (r.student.network, r.student.classes) == ("resnet8-cifar", 3),
        ),
        (
            "student.options.widths=[8, 16, 32]",
            lambda r: r.student.options["widths"] == (8, 16, 32),
        ),
        ("teacher={network: a, weights: b=c}", lambda r: r.teacher.weights == "b=c"),
        ("teacher.network=a", lambda r: r.teacher.network == "a"),
        ("save.minutes=null", lambda r: r.save.minutes is None),
    ],
)
def test_set(change: str, found: Any) -> None:
    assert found(read(SMALL, [change]))


def test_the_last_set_wins_and_the_given_mapping_stays_as_it_was() -> None:
    content = {**SMALL, "method": "kd", "train": {"epochs": 3}}
    recipe = read(content, ["train.epochs=4", "train.epochs=5", "method.params.kl.temperature=2.0"])
    assert (recipe.train.epochs, recipe.method.name) == (5, "kd")
    assert content == {**SMALL, "method": "kd", "train": {"epochs": 3}}


def test_another_method_leaves_the_numbers_of_the_one_before_behind() -> None:
    ec = {"name": "ec", "params": {"compress.width": 8}, "weights": {"task": 0.2}}
    content = {**SMALL, "method": ec}
    plain = read(content, ["method=none"]).method
    assert (plain.name, plain.params, plain.weights) == ("none", {}, {})
    assert plain.method(METHODS) == METHODS["none"]
    kept = read(content, ["method.name=ec+kd"]).method
    assert (kept.name, kept.params, kept.weights) == ("ec+kd", ec["params"], ec["weights"])
    both = read(content, ["method=ec", "method.params.compress.depth=2"]).method
    assert (both.name, both.params, both.weights) == ("ec", {"compress.depth": 2}, {})


@pytest.mark.parametrize("change", ["train.epochs", "=3", "train.epochs:3"])
def test_a_set_without_a_key_or_value(change: str) -> None:
    with pytest.raises(RecipeError, match=r"--set .*: expected key=value, such as train.epochs=20"):
        read(SMALL, [change])


def test_a_set_that_is_no_yaml() -> None:
    with pytest.raises(RecipeError, match=r"--set train.milestones=\[1: .* is not a YAML value"):
        read(SMALL, ["train.milestones=[1"])


def test_every_problem_is_said_at_once_each_key_in_one_line() -> None:
    changes = [
        "train.epoch=3",
        "train.lr=-1",
        "data.validation=1.5",
        "student.netwerk=a",
        "student.options.a={b: 1}",
        "student.input={men: [1.0]}",
        "method.terms=[{layers: logits, los: kl, weight: a}]",
        "train.schedule=cosin",
        "tran.x=1",
    ]
    with pytest.raises(RecipeError) as caught:
        read(SMALL, changes)
    head, *lines = str(caught.value).splitlines()
    assert head == f"{len(lines)} problems in the recipe:"
    for line in (
        "train.epoch: there is no such key; did you mean 'epochs'?",
        "train.lr: input should be greater than 0, not -1",
        "data.validation: input should be a valid string, or less than 1, not 1.5",
        "student.netwerk: there is no such key; did you mean 'network'? (known: classes, "
        "classifier, input, interpolation, network, options, reuse, size, weights)",
        "student.input.std: is missing",
        "student.input.men: there is no such key; did you mean 'mean'? (known: mean, std)",
        "method.terms.0.loss: is missing",
        "method.terms.0.los: there is no such key; did you mean 'loss'? (known: exclusive_warmup, "
        "layers, loss, memory, ramp, representation, stage_decay, weight)",
        "method.terms.0.weight: input should be a valid number, not 'a'",
        "train.schedule: input should be 'constant', 'cosine', 'one-cycle' or 'steps', not 'cosin'",
        "tran: there is no such key; did you mean 'train' or 'trackers'? (known: data, method, "
        "monitor, probe, save, select, student, teacher, trackers, train)",
    ):
        assert f"  - {line}" in lines
    keys = [line.split(":")[0] for line in lines]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("value", ["true", "3.5", "'3'"])
def test_numbers_are_not_guessed(value: str) -> None:
    with pytest.raises(RecipeError, match=r"1 problem in the recipe:\n  - train.epochs: input sh"):
        read(SMALL, [f"train.epochs={value}"])


def test_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("data: [")
    with pytest.raises(RecipeError, match=r"bad\.yaml cannot be read as YAML"):
        read(bad)
    bad.write_text("- a\n")
    with pytest.raises(RecipeError, match=r"bad\.yaml holds list, expected keys such as data:"):
        read(bad)


def test_a_name_that_is_nothing_names_the_close_ones() -> None:
    some = next(iter(shipped()))
    with pytest.raises(RecipeError, match=rf"neither a file nor a shipped recipe; did.*{some}"):
        find_recipe(some[:-1])


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_recipes_are_read_and_name_methods_and_networks_that_exist(name: str) -> None:
    from mentee.models import NETWORKS, ZOOS

    recipe = read(name)
    recipe.method.method(METHODS)
    for network in (recipe.student, recipe.teacher):
        if isinstance(network, Network):
            assert network.network in NETWORKS or network.network.split(":")[0] in ZOOS
    assert shipped()[name].read_text().startswith("#"), "the header says what it needs and gives"


def test_terms_of_ones_own_become_a_method() -> None:
    term = {
        "layers": ["stages.1", "layer2"],
        "loss": {"name": "kl", "params": {"temperature": 2.0}},
    }
    recipe = read({**SMALL, "method": {"name": "mine", "terms": [{**term, "weight": 0.5}]}})
    (found,) = recipe.method.method(METHODS).terms
    assert found.layer_pair == ("stages.1", "layer2")
    assert (found.loss.name, found.loss.params, found.weight) == (
        "kl",
        {"temperature": 2.0},
        0.5,
    )
    wrong = read({**SMALL, "method": {"terms": [{**term, "layers": ["a"], "weight": 1.0}]}})
    with pytest.raises(MenteeError, match="expected a layer, or the student's layer and the teach"):
        wrong.method.method(METHODS)
