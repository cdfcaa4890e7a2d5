"""The methods and the places in words."""

import pytest

from mentee.describe import list_methods, show_method, show_places
from mentee.errors import MenteeError
from mentee.methods import METHODS, Method, Term, Word


def test_every_row_is_listed_on_a_line_of_its_own():
    lines = list_methods().splitlines()
    for name, row in METHODS.items():
        assert [line for line in lines if line.split()[:1] == [name] and row.about in line]
    column = {line.index(row.about) for row, line in zip(METHODS.values(), lines, strict=False)}
    assert len(column) == 1


def test_a_row_of_your_own_is_listed_too():
    rows = {"mine": Method("mine", about="My own.")}
    assert list_methods(rows).splitlines()[0] == "mine  My own."


def test_a_row_is_shown_as_its_sentence():
    lines = show_method("cktf+kd").splitlines()
    assert lines[0] == f"cktf+kd: {METHODS['cktf+kd'].about}"
    assert lines[2] == "L =  1 · task"
    assert len(lines) == 3 + 4
    negatives = "negatives from bank(negatives=16384, draw=shared, momentum=0.5, class_aware=True)"
    assert lines[3].strip() == (
        "+ 0.1 · contrast(temperature=0.1) of project(width=128, batch_axis=False) at stem, "
        f"{negatives}"
    )
    assert lines[6].strip() == "+ 1 · kl(temperature=4.0) of as_is at logits"


def test_a_pair_of_places_names_both():
    row = Method("mine", (Term(("layer2", "layer3"), Word("kl"), 0.25),), about="Mine.")
    assert show_method("mine", {"mine": row}).splitlines() == [
        "mine: Mine.",
        "L =  1 · task",
        "   + 0.25 · kl of as_is at layer2 (teacher: layer3)",
    ]


def test_a_misspelt_row_is_refused():
    with pytest.raises(MenteeError, match="there is no method 'ckft'; did you mean 'cktf'"):
        show_method("ckft")


def test_the_short_names_of_a_network_are_shown_with_shapes():
    lines = show_places("resnet8-cifar", size=16, channels=1, classes=7).splitlines()
    assert lines[0].startswith("resnet8-cifar: ")
    assert lines[0].endswith(" parameters, 1 × 16 × 16")
    shapes = {line.split("  ")[0]: line for line in lines[1:]}
    assert list(shapes) == ["logits", "embedding", "stages.0", "stages.1", "stages.2", "stem"]
    for name, shape in {"logits": "7", "stages.1": "32 × 8 × 8", "stem": "16 × 16 × 16"}.items():
        assert f"  {shape}  " in shapes[name]
    assert shapes["logits"].endswith("what the network returns")
    assert "input of " in shapes["embedding"]


def test_all_modules_are_shown_when_asked_for():
    few = show_places("resnet8-cifar", size=16).splitlines()
    every = show_places("resnet8-cifar", size=16, every=True).splitlines()
    assert set(few[0].split()) == set(every[0].split())
    assert len(every) > 2 * len(few)
    assert any("output of " in line and ".conv" in line for line in every)


def test_a_row_whose_student_keeps_the_teachers_classifier_says_so():
    last = (
        "The student is its trunk, read at stages.last, a projector, and the teacher's classifier."
    )
    assert show_method("simkd").splitlines()[-1] == last
    assert "classifier" not in show_method("kd+crd")
