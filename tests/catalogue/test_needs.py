"""What methods need, against what is known of them."""

from __future__ import annotations

import pytest

from mentee.catalogue.needs import needs, representation_needs
from mentee.losses import LOSSES
from mentee.methods import METHODS, Component, Method, Term, find
from mentee.representations import REPRESENTATIONS

SAME = "the same classes in the same order"
ANY = "an embedding of any task"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", ["no teacher"]),
        ("kd", [SAME, "one class an example"]),
        ("dkd", [SAME, "one class an example", "labels"]),
        ("crd", [ANY]),
        ("crd-bank", [ANY, "a memory"]),
        ("cktf", ["an embedding", "stages"]),
        ("cktf-bank", ["an embedding", "stages", "a memory"]),
        ("cktf(kd)", ["the same classes in the same order"]),
        ("standardized(kd)", [SAME, "one class an example"]),
        ("cktf(at)", ["stages"]),
        ("fsp", ["stages"]),
        ("sp+ec", [ANY.removesuffix(" of any task"), "stages", "labels"]),
        ("east", [ANY]),
        ("ec", [ANY, "labels"]),
        ("ec-binary-kd", [ANY, "several classes an example", "labels"]),
        ("probe-kd", [ANY, "one class an example", "labels"]),
        ("pca", [ANY]),
        ("semckd", ["stages"]),
        (
            "simkd-pooled",
            ["the teacher's linear classifier of embedding, its classes in the same order", ANY],
        ),
    ],
)
def test_what_a_row_needs(name: str, expected: list[str]) -> None:
    assert needs(find(name)) == expected


def test_the_published_cktf_asks_for_a_wide_teacher_of_its_resolution() -> None:
    found = needs(find("cktf-exact"))
    assert {"a teacher as wide or wider", "equal resolutions"} < set(found)
    assert "an online teacher (nothing can be recorded)" in found


def test_widths_are_tried_both_ways() -> None:
    plain = Method("plain", (Term("embedding", Component("mse"), 1.0),))
    assert needs(plain) == [ANY, "equal widths"]
    headed = Method("headed", (Term("embedding", Component("mse"), 1.0, Component("to_teacher")),))
    assert needs(headed) == [ANY]


def test_a_row_of_a_modules_own_path_and_a_chain() -> None:
    word = Component("project", {"width": 8}, Component("attention"))
    term = Term(
        ("layer2.0", "layer3.1"),
        Component("contrast"),
        1.0,
        word,
        Component("queue", {"negatives": 4}),
    )
    assert needs(Method("mine", (term,))) == ["layer3", "a memory"]


def test_a_row_that_fits_nothing_says_why() -> None:
    row = Method("odd", (Term("logits", Component("mse"), 1.0, Component("feature_maps")),))
    (said,) = needs(row)
    assert said.startswith(
        "something that no synthetic pair has: feature_maps: the student's feature is one vector"
    )


@pytest.mark.parametrize("name", METHODS)
def test_every_row_fits_its_twin(name: str) -> None:
    assert not any("synthetic" in each for each in needs(METHODS[name]))


@pytest.mark.parametrize("name", METHODS)
def test_needs_do_not_contradict_the_flags_of_the_words(name: str) -> None:
    found, entries = needs(METHODS[name]), [LOSSES[t.loss.name] for t in METHODS[name].terms]
    assert ("one class an example" in found) == any(
        each.outputs == "class logits" for each in entries
    )
    assert ("several classes an example" in found) == any(
        each.outputs == "label logits" for each in entries
    )
    assert ("a memory" in found) == any(term.memory for term in METHODS[name].terms)


def test_what_representations_ask_for() -> None:
    found = {name: representation_needs(name) for name in REPRESENTATIONS}
    statistics = "statistics of the vectors"
    assert {n for n, each in found.items() if "labels" in each} == {"compress", "probe"}
    wants = {"compress", "probe", "pca", "random", "to_teacher"}
    assert {n for n, each in found.items() if statistics in each} == wants
    assert found["fsp"] == found["reviewkd"] == ["several layers together"]
    assert found["compressed_logits"] == ["a term of `compress` at the same layer"]
